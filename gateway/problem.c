#include "gateway/problem.h"

#include "souk/json.h"

#define FAULT_TEXT_BYTES_MAX 1024
/* A worker's 16 items of three texts and its detail, each byte of them as \u00XX, and what else
 * stands there. */
#define PROBLEM_BYTES_MAX ((16 * 3 + 1) * FAULT_TEXT_BYTES_MAX * 6 + 16384)

static const char s_content_type[] = "application/problem+json";

static const char *s_in(uint8_t source) {
    switch (source) {
    case SOUK_SOURCE_PATH:
        return "path";
    case SOUK_SOURCE_QUERY:
        return "query";
    case SOUK_SOURCE_HEADER:
        return "header";
    default:
        return "body";
    }
}

static void s_member(souk_buf_t *json, souk_str_t name, souk_str_t value) {
    souk_buf_append_str(json, name); /* ,"name": */
    souk_json_write_str(json, value);
}

static void s_item(souk_buf_t *json, bool first, const souk_fault_item_t *item) {
    if (!souk_utf8_valid(item->in) || !souk_utf8_valid(item->pointer) ||
        !souk_utf8_valid(item->reason)) {
        return;
    }
    souk_buf_append_str(json, first ? SOUK_STR(",\"errors\":[") : SOUK_STR(","));
    s_member(json, SOUK_STR("{\"in\":"), item->in);
    s_member(json, SOUK_STR(",\"pointer\":"), item->pointer);
    s_member(json, SOUK_STR(",\"reason\":"), item->reason);
    souk_buf_append_byte(json, '}');
}

/* Opens the object and writes all but errors. */
static void s_begin(souk_exchange_t *exchange, const souk_err_info_t *info, souk_str_t detail) {
    souk_buf_t *json = &exchange->own_body;
    souk_buf_clear(json);
    json->max = PROBLEM_BYTES_MAX;
    souk_buf_append_str(json, SOUK_STR("{\"type\":\"urn:souk:error:"));
    souk_buf_append_str(json, souk_str_of(info->code));
    s_member(json, SOUK_STR("\",\"title\":"), souk_str_of(info->title));
    souk_buf_append_str(json, SOUK_STR(",\"status\":"));
    souk_json_write_int(json, info->status);
    s_member(json, SOUK_STR(",\"code\":"), souk_str_of(info->code));
    if (detail.size > 0 && souk_utf8_valid(detail)) {
        s_member(json, SOUK_STR(",\"detail\":"), detail);
    }
    if (exchange->instance_size > 0) {
        s_member(json, SOUK_STR(",\"instance\":"), souk_exchange_instance(exchange));
    }
    s_member(json, SOUK_STR(",\"request_id\":"), souk_exchange_request_id(exchange));
    s_member(json, SOUK_STR(",\"trace_id\":"), souk_exchange_trace_id(exchange));
}

/* head: allow, challenge and retry_after_s, where they are special. */
static void s_end(souk_exchange_t *exchange, souk_err_t err, const souk_answer_t *head) {
    const souk_err_info_t *info = souk_err_info(err);
    souk_answer_t answer = *head;
    souk_buf_append_byte(&exchange->own_body, '}');
    souk_assert(!exchange->own_body.overflow);
    if (answer.retry_after_s == 0 && info->retry) {
        answer.retry_after_s = 1;
    }
    if (answer.challenge == NULL && info->status == 401) {
        answer.challenge = "Bearer realm=\"souk\"";
    }
    answer.status = info->status;
    answer.content_type = s_content_type;
    answer.body = souk_buf_str(&exchange->own_body);
    exchange->err = err;
    souk_exchange_answer(exchange, &answer);
}

static souk_err_t s_public(souk_err_t err) {
    return souk_err_info(err)->is_public ? err : SOUK_ERR_INTERNAL;
}

void souk_problem_answer(souk_exchange_t *exchange, const souk_problem_t *problem) {
    souk_err_t err = s_public(problem->err);
    bool same = err == problem->err;
    s_begin(exchange, souk_err_info(err), souk_str_of(same ? problem->detail : NULL));
    souk_buf_t *json = &exchange->own_body;
    const souk_issues_t *issues = problem->issues;
    if (issues != NULL && issues->count > 0) {
        for (size_t i = 0; i < issues->count; i++) {
            s_item(json, i == 0,
                   &(souk_fault_item_t){
                       .pointer = souk_str_of(issues->items[i].pointer),
                       .reason = souk_str_of(issues->items[i].reason),
                       .in = souk_str_of(s_in(issues->items[i].source)),
                   });
        }
        souk_buf_append_byte(json, ']');
        if (issues->omitted > 0) {
            souk_buf_append_str(json, SOUK_STR(",\"errors_omitted\":"));
            souk_json_write_int(json, (int64_t)issues->omitted);
        }
    }
    int64_t retry_after_s = err == SOUK_ERR_RATE_LIMITED ? exchange->limit.retry_after_s : 0;
    s_end(exchange, err,
          &(souk_answer_t){.allow = souk_str_of(problem->allow),
                           .challenge = problem->challenge,
                           .retry_after_s = retry_after_s});
}

/* A worker's texts are data: their number is capped by souk_fault_t, their length here. */
static souk_str_t s_cut(souk_str_t text) {
    return text.size <= FAULT_TEXT_BYTES_MAX ? text : (souk_str_t){.data = NULL, .size = 0};
}

void souk_problem_answer_fault(souk_exchange_t *exchange, const souk_fault_t *fault) {
    souk_err_t err = s_public(fault->err);
    bool tell = err == fault->err && err != SOUK_ERR_INTERNAL;
    s_begin(exchange, souk_err_info(err), tell ? s_cut(fault->detail) : SOUK_STR(""));
    bool any = false;
    for (size_t i = 0; tell && i < fault->items_count; i++) {
        const souk_fault_item_t item = {.pointer = s_cut(fault->items[i].pointer),
                                        .reason = s_cut(fault->items[i].reason),
                                        .in = s_cut(fault->items[i].in)};
        size_t before = exchange->own_body.size;
        s_item(&exchange->own_body, !any, &item);
        any = any || exchange->own_body.size > before;
    }
    if (any) {
        souk_buf_append_byte(&exchange->own_body, ']');
    }
    s_end(exchange, err,
          &(souk_answer_t){.retry_after_s = ((int64_t)fault->retry_after_ms + 999) / 1000});
}
