/* The reply's msgpack becomes JSON without its type being known. On the way the fields are caught
 * that HTTP puts into the head: the ETag, those of the Location template, and the next page's
 * cursor for Link. */
#include "gateway/reply.h"

#include <stdio.h>

#include "gateway/etag.h"
#include "gateway/gateway.h"
#include "gateway/problem.h"
#include "souk/mp.h"
#include "souk/transcode.h"

#define LOCATION_FIELDS_MAX 3
#define FIELD_NAME_BYTES_MAX 64
#define CURSOR_BYTES_MAX 1024 /* a worker's word may not burst the answer's head */
#define JSON_PER_MSGPACK 6    /* a control character of one byte is \u0000 in JSON */

typedef struct {
    /* The ETag's first; then those of the location, or what else the ETag has: never both. */
    souk_capture_t captures[1 + LOCATION_FIELDS_MAX];
    char names[LOCATION_FIELDS_MAX][FIELD_NAME_BYTES_MAX];
    size_t count;
} wanted_t;

static void s_want(wanted_t *self, const souk_route_t *route) {
    self->captures[0].name = route->etag_field != NULL ? route->etag_field : "";
    self->count = 1;
    if (route->etag_more_field != NULL) {
        self->captures[self->count++].name = route->etag_more_field;
        return;
    }
    const char *at = route->location != NULL ? strchr(route->location, '{') : NULL;
    while (at != NULL) {
        const char *end = strchr(at, '}');
        souk_assert(end != NULL && end - at <= FIELD_NAME_BYTES_MAX &&
                    self->count <= LOCATION_FIELDS_MAX);
        char *name = self->names[self->count - 1];
        memcpy(name, at + 1, (size_t)(end - at - 1));
        name[end - at - 1] = '\0';
        self->captures[self->count++].name = name;
        at = strchr(end, '{');
    }
}

/* Appends text with all but unreserved characters percent-encoded. */
static void s_encode(souk_buf_t *buf, souk_str_t text) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            souk_buf_append_byte(buf, c);
        } else {
            souk_buf_append(buf, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
        }
    }
}

/* The template with its fields filled in; false when one is absent. */
static bool s_location(const char *template, const wanted_t *wanted, souk_buf_t *ret) {
    size_t number = 1;
    while (*template != '\0') {
        const char *open = strchr(template, '{');
        size_t plain = open != NULL ? (size_t)(open - template) : strlen(template);
        souk_buf_append(ret, template, plain);
        if (open == NULL) {
            break;
        }
        const char *value = wanted->captures[number++].value;
        if (value[0] == '\0') {
            return false;
        }
        s_encode(ret, souk_str_of(value));
        template = strchr(open, '}') + 1;
    }
    return !ret->overflow;
}

/* The text at a dotted path of maps. False: there is none. */
static bool s_find(souk_str_t body, const char *path, souk_str_t *ret_text) {
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, body.data, body.size);
    for (;;) {
        const char *dot = strchr(path, '.');
        souk_str_t name = {path, dot != NULL ? (size_t)(dot - path) : strlen(path)};
        uint32_t pairs = 0;
        bool found = false;
        if (souk_mp_read_map(&cursor, &pairs) != SOUK_OK) {
            return false;
        }
        for (uint32_t i = 0; i < pairs && !found; i++) {
            souk_str_t key;
            if (souk_mp_read_str(&cursor, &key) != SOUK_OK) {
                return false;
            }
            found = souk_str_equal(key, name);
            if (!found && souk_mp_skip(&cursor) != SOUK_OK) {
                return false;
            }
        }
        if (!found) {
            return false;
        }
        if (dot == NULL) {
            return souk_mp_read_str(&cursor, ret_text) == SOUK_OK;
        }
        path = dot + 1;
    }
}

/* <path?the same query with the next cursor>; rel="next" */
static bool s_link(const souk_exchange_t *exchange, souk_str_t cursor, souk_buf_t *ret) {
    souk_buf_append_byte(ret, '<');
    souk_buf_append_str(ret, souk_exchange_instance(exchange));
    char mark = '?';
    souk_str_t rest = souk_buf_str(&exchange->query);
    while (rest.size > 0) {
        const char *end = memchr(rest.data, '&', rest.size);
        souk_str_t part = {rest.data, end != NULL ? (size_t)(end - rest.data) : rest.size};
        size_t taken = end != NULL ? part.size + 1 : part.size;
        rest.data += taken;
        rest.size -= taken;
        if (part.size == 0 || (part.size >= 7 && memcmp(part.data, "cursor=", 7) == 0)) {
            continue;
        }
        souk_buf_append_byte(ret, (uint8_t)mark);
        souk_buf_append_str(ret, part);
        mark = '&';
    }
    souk_buf_append_byte(ret, (uint8_t)mark);
    souk_buf_append_str(ret, SOUK_STR("cursor="));
    s_encode(ret, cursor);
    souk_buf_append_str(ret, SOUK_STR(">; rel=\"next\""));
    return !ret->overflow;
}

/* 0 when there is none. */
static size_t s_etag(const souk_route_t *route, const wanted_t *wanted,
                     char ret_etag[SOUK_ETAG_BYTES_MAX]) {
    char joined[2 * sizeof wanted->captures[0].value];
    const char *value = wanted->captures[0].value;
    if (route->etag_more_field != NULL && wanted->captures[1].value[0] != '\0') {
        (void)snprintf(joined, sizeof joined, "%s-%s", value, wanted->captures[1].value);
        value = joined;
    }
    return souk_etag_make(souk_str_of(value), ret_etag);
}

static bool s_not_modified(const souk_exchange_t *exchange, const souk_answer_t *answer) {
    bool safe = exchange->method == SOUK_HTTP_GET || exchange->method == SOUK_HTTP_HEAD;
    return safe && answer->status == 200 && answer->etag.data != NULL &&
           exchange->if_none_match_size > 0 &&
           souk_etag_matches((souk_str_t){exchange->if_none_match, exchange->if_none_match_size},
                             answer->etag);
}

static void s_answer_json(souk_exchange_t *exchange, const souk_outcome_t *outcome,
                          const wanted_t *wanted) {
    const souk_route_t *route = exchange->entry->route;
    char etag[SOUK_ETAG_BYTES_MAX];
    souk_buf_t *texts = &exchange->server->request; /* free while an answer is made */
    souk_answer_t answer = {.status = route->status,
                            .content_type = "application/json",
                            .body = souk_buf_str(&exchange->own_body),
                            .replayed = (outcome->flags & SOUK_REP_REPLAYED) != 0};
    if (route->status == 204) {
        answer.content_type = NULL;
        answer.body.size = 0;
    }
    size_t etag_size = s_etag(route, wanted, etag);
    if (etag_size > 0) {
        answer.etag = (souk_str_t){etag, etag_size};
        answer.cache_control = route->auth == SOUK_AUTH_NONE ? "no-cache" : "private, no-cache";
    }
    if (s_not_modified(exchange, &answer)) {
        answer.status = 304;
        answer.content_type = NULL;
    }
    souk_buf_clear(texts);
    souk_str_t cursor;
    if (route->location != NULL && s_location(route->location, wanted, texts)) {
        answer.location = souk_buf_str(texts);
    } else if (route->next_field != NULL && s_find(outcome->body, route->next_field, &cursor) &&
               cursor.size <= CURSOR_BYTES_MAX && s_link(exchange, cursor, texts)) {
        answer.link = souk_buf_str(texts);
    }
    souk_exchange_answer(exchange, &answer);
}

void souk_reply_answer(souk_exchange_t *exchange, const souk_outcome_t *outcome) {
    if (outcome->err != SOUK_OK) {
        souk_fault_t none = {.err = outcome->err};
        souk_problem_answer_fault(exchange, outcome->fault != NULL ? outcome->fault : &none);
        return;
    }
    const souk_route_t *route = exchange->entry->route;
    wanted_t wanted = {.count = 0};
    s_want(&wanted, route);
    souk_buf_clear(&exchange->own_body);
    exchange->own_body.max = (size_t)route->reply_bytes_max * JSON_PER_MSGPACK + 1024;
    souk_err_t err = SOUK_ERR_TOO_LARGE;
    if (outcome->body.size <= route->reply_bytes_max) {
        err = souk_transcode(outcome->body, &exchange->own_body, wanted.captures, wanted.count);
    }
    if (err != SOUK_OK) {
        souk_problem_answer(exchange, &(souk_problem_t){.err = SOUK_ERR_BAD_REPLY});
        return;
    }
    s_answer_json(exchange, outcome, &wanted);
}
