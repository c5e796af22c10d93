/* A call and its life: begin -> run -> outcome -> end. */
#include "runtime/invoke.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "souk/clock.h"
#include "souk/mp.h"

#define ARENA_KEEP_BYTES ((size_t)64 * 1024)
#define BUFFER_KEEP_BYTES ((size_t)16 * 1024)
#define FAULT_BYTES_MAX ((size_t)16 * 1024)
#define DETAIL_BYTES 256
#define PRINCIPAL_FIELDS_MAX 16

/* A list of str inside the principal. */
typedef struct {
    souk_mp_cursor_t first;
    uint32_t count;
} s_words_t;

typedef struct {
    souk_principal_kind_t kind;
    souk_str_t subject, session;
    s_words_t scopes, roles;
} s_principal_t;

struct souk_ctx {
    const souk_method_t *method;
    void *service, *slot;
    souk_req_t req;
    int64_t deadline_us;
    souk_arena_t *arena;
    souk_buf_t envelope; /* the request's own copy, when there is one */
    souk_buf_t reply;    /* encoded reply or fault */
    const void *request; /* decoded, in the arena */
    void *reply_struct;
    souk_err_t err;
    int64_t exec_us;
    bool encoded, replayed;
    atomic_bool cancelled;
    uint32_t retry_after_ms;
    size_t detail_bytes;
    char detail[DETAIL_BYTES];
    souk_issues_t issues;
    /* The principal, read when somebody asks. */
    bool principal_read;
    s_principal_t principal;
};

souk_ctx_t *souk_ctx_new(const souk_method_t *method) {
    souk_assert(method != NULL);
    souk_ctx_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->method = method;
    size_t keep =
        method->memory_bytes_max < ARENA_KEEP_BYTES ? method->memory_bytes_max : ARENA_KEEP_BYTES;
    self->arena = souk_arena_new(method->memory_bytes_max, keep);
    souk_buf_init(&self->envelope, SIZE_MAX / 2);
    size_t reply_max = method->reply_bytes_max;
    souk_buf_init(&self->reply, reply_max > FAULT_BYTES_MAX ? reply_max : FAULT_BYTES_MAX);
    return self;
}

void souk_ctx_destroy(souk_ctx_t **self_p) {
    souk_ctx_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    souk_arena_destroy(&self->arena);
    souk_buf_done(&self->envelope);
    souk_buf_done(&self->reply);
    free(self);
    *self_p = NULL;
}

/* ---- Begin and end ------------------------------------------------------------------------- */

void souk_ctx_begin(souk_ctx_t *self, const souk_req_t *req, int64_t deadline_us) {
    self->req = *req;
    self->deadline_us = deadline_us;
    self->err = SOUK_OK;
    souk_issues_init(&self->issues);
}

void souk_ctx_begin_copy(souk_ctx_t *self, souk_str_t envelope, int64_t deadline_us) {
    souk_buf_append(&self->envelope, envelope.data, envelope.size);
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, self->envelope.data, self->envelope.size);
    souk_envelope_t copy;
    souk_err_t err = souk_envelope_read(&cursor, &copy);
    souk_assert(err == SOUK_OK && copy.type == SOUK_MSG_REQ);
    souk_ctx_begin(self, &copy.as.req, deadline_us);
}

void souk_ctx_end(souk_ctx_t *self) {
    souk_arena_reset(self->arena);
    souk_buf_clear(&self->envelope);
    souk_buf_shrink(&self->envelope, BUFFER_KEEP_BYTES);
    souk_buf_clear(&self->reply);
    souk_buf_shrink(&self->reply, BUFFER_KEEP_BYTES);
    self->req = (souk_req_t){0};
    self->service = self->slot = NULL;
    self->request = NULL;
    self->reply_struct = NULL;
    self->exec_us = 0;
    self->encoded = self->replayed = false;
    atomic_store_explicit(&self->cancelled, false, memory_order_relaxed);
    self->retry_after_ms = 0;
    self->detail_bytes = 0;
    self->principal_read = false;
}

void souk_ctx_cancel(souk_ctx_t *self) {
    atomic_store_explicit(&self->cancelled, true, memory_order_relaxed);
}

/* ---- Run ----------------------------------------------------------------------------------- */

static souk_err_t s_decode(souk_ctx_t *self) {
    const souk_method_t *method = self->method;
    void *request = souk_arena_alloc(self->arena, method->request->struct_bytes);
    self->reply_struct = souk_arena_alloc(self->arena, method->reply->struct_bytes);
    if (request == NULL || self->reply_struct == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    SOUK_TRY(
        souk_schema_from_mp(method->request, self->req.body, self->arena, request, &self->issues));
    self->request = request;
    return SOUK_OK;
}

static const char *s_source_name(uint8_t source) {
    switch ((souk_source_t)source) {
    case SOUK_SOURCE_PATH:
        return "path";
    case SOUK_SOURCE_QUERY:
        return "query";
    case SOUK_SOURCE_HEADER:
        return "header";
    case SOUK_SOURCE_BODY:
        break;
    }
    return "body";
}

/* Private errors leave as `internal`, without what they said. */
static void s_encode_fault(souk_ctx_t *self) {
    bool is_public = souk_err_info(self->err)->is_public;
    souk_fault_t fault = {.err = is_public ? self->err : SOUK_ERR_INTERNAL,
                          .retry_after_ms = self->retry_after_ms};
    if (is_public && self->err != SOUK_ERR_INTERNAL) {
        fault.detail = souk_ctx_detail(self);
        for (size_t i = 0; i < self->issues.count && i < SOUK_COUNT_OF(fault.items); i++) {
            const souk_issue_t *issue = &self->issues.items[i];
            fault.items[i] = (souk_fault_item_t){.pointer = souk_str_of(issue->pointer),
                                                 .reason = souk_str_of(issue->reason),
                                                 .in = souk_str_of(s_source_name(issue->source))};
            fault.items_count = i + 1;
        }
    }
    souk_buf_clear(&self->reply);
    souk_fault_write(&self->reply, &fault);
    souk_assert(!self->reply.overflow);
}

souk_err_t souk_ctx_encode_reply(souk_ctx_t *self, souk_str_t *ret_reply) {
    self->encoded = false;
    return souk_ctx_reply_require(self, ret_reply);
}

souk_err_t souk_ctx_reply_require(souk_ctx_t *self, souk_str_t *ret_reply) {
    if (souk_arena_overflowed(self->arena)) {
        return SOUK_ERR_NO_MEMORY; /* the handler did not look; its reply may lack parts */
    }
    if (!self->encoded) {
        souk_buf_clear(&self->reply);
        souk_schema_to_mp(self->method->reply, self->reply_struct, &self->reply);
    }
    if (self->reply.overflow || self->reply.size > self->method->reply_bytes_max) {
        self->detail_bytes = (size_t)snprintf(self->detail, sizeof(self->detail),
                                              "The reply exceeds its size limit.");
        return SOUK_ERR_BAD_REPLY;
    }
    self->encoded = true;
    *ret_reply = souk_buf_str(&self->reply);
    return SOUK_OK;
}

void souk_ctx_begin_again(souk_ctx_t *self) {
    self->encoded = self->replayed = false;
    self->retry_after_ms = 0;
    self->detail_bytes = 0;
    souk_issues_init(&self->issues);
}

/* err is what the handler or the decoder said. */
static void s_finish(souk_ctx_t *self, souk_err_t err) {
    self->err = err;
    souk_str_t reply;
    if (self->err == SOUK_OK) {
        self->err = souk_ctx_reply_require(self, &reply);
    }
    if (self->err != SOUK_OK) {
        s_encode_fault(self);
    }
}

void souk_ctx_run(souk_ctx_t *self, void *service, void *slot) {
    self->service = service;
    self->slot = slot;
    int64_t from_us = souk_clock_mono_us();
    souk_err_t err = s_decode(self);
    if (err == SOUK_OK) {
        err = self->method->run(self, self->request, self->reply_struct);
    }
    s_finish(self, err);
    self->exec_us = souk_clock_mono_us() - from_us;
}

void souk_ctx_run_batch(souk_ctx_t *const *calls, size_t calls_count, void *service, void *slot) {
    souk_assert(calls_count > 0 && calls_count <= SOUK_BATCH_CALLS_MAX);
    souk_call_t rows[SOUK_BATCH_CALLS_MAX];
    size_t rows_count = 0;
    souk_batch_t batch = {.service = service, .slot = slot, .remaining_ms = UINT32_MAX};
    int64_t from_us = souk_clock_mono_us();
    for (size_t i = 0; i < calls_count; i++) {
        souk_ctx_t *call = calls[i];
        call->service = service;
        call->slot = slot;
        souk_err_t err = s_decode(call);
        if (err != SOUK_OK) {
            s_finish(call, err);
            continue;
        }
        uint32_t remaining_ms = souk_ctx_remaining_ms(call);
        if (remaining_ms < batch.remaining_ms) {
            batch.remaining_ms = remaining_ms;
        }
        rows[rows_count++] = (souk_call_t){
            .ctx = call, .request = call->request, .reply = call->reply_struct, .err = SOUK_OK};
    }
    if (rows_count > 0) {
        calls[0]->method->run_batch(&batch, rows, rows_count);
    }
    for (size_t i = 0; i < rows_count; i++) {
        s_finish(rows[i].ctx, rows[i].err);
    }
    int64_t exec_us = souk_clock_mono_us() - from_us;
    for (size_t i = 0; i < calls_count; i++) {
        calls[i]->exec_us = exec_us;
    }
}

/* ---- What the runtime reads ------------------------------------------------------------------ */

souk_err_t souk_ctx_outcome(const souk_ctx_t *self, souk_str_t *ret_body) {
    *ret_body = souk_buf_str(&self->reply);
    return self->err;
}

int64_t souk_ctx_exec_us(const souk_ctx_t *self) {
    return self->exec_us;
}

bool souk_ctx_replayed(const souk_ctx_t *self) {
    return self->replayed;
}

const souk_method_t *souk_ctx_method(const souk_ctx_t *self) {
    return self->method;
}

const souk_req_t *souk_ctx_req(const souk_ctx_t *self) {
    return &self->req;
}

souk_str_t souk_ctx_detail(const souk_ctx_t *self) {
    return (souk_str_t){.data = self->detail, .size = self->detail_bytes};
}

/* ---- What a handler sees --------------------------------------------------------------------- */

souk_arena_t *souk_ctx_arena(souk_ctx_t *self) {
    return self->arena;
}

uint32_t souk_ctx_remaining_ms(const souk_ctx_t *self) {
    int64_t left_us = self->deadline_us - souk_clock_mono_us();
    return left_us > 0 ? (uint32_t)(left_us / 1000) : 0;
}

bool souk_ctx_cancelled(const souk_ctx_t *self) {
    return atomic_load_explicit(&self->cancelled, memory_order_relaxed);
}

void *souk_ctx_service(const souk_ctx_t *self) {
    return self->service;
}

void *souk_ctx_slot(const souk_ctx_t *self) {
    return self->slot;
}

souk_str_t souk_ctx_request_id(const souk_ctx_t *self) {
    return self->req.request_id;
}

souk_str_t souk_ctx_traceparent(const souk_ctx_t *self) {
    return self->req.traceparent;
}

souk_str_t souk_ctx_key(const souk_ctx_t *self) {
    return self->req.key;
}

souk_str_t souk_ctx_key_hash(const souk_ctx_t *self) {
    return self->req.key_hash;
}

/* The reader stands in front of a list of str: checks it and keeps its place. */
static souk_err_t s_words_read(souk_mp_cursor_t *cursor, s_words_t *ret) {
    uint32_t count;
    SOUK_TRY(souk_mp_read_array(cursor, &count));
    souk_mp_cursor_t first = *cursor;
    for (uint32_t i = 0; i < count; i++) {
        souk_str_t word;
        SOUK_TRY(souk_mp_read_str(cursor, &word));
    }
    *ret = (s_words_t){.first = first, .count = count};
    return SOUK_OK;
}

static bool s_words_have(const s_words_t *self, souk_str_t wanted, bool star) {
    souk_mp_cursor_t cursor = self->first;
    for (uint32_t i = 0; i < self->count; i++) {
        souk_str_t word;
        if (souk_mp_read_str(&cursor, &word) == SOUK_OK &&
            (souk_str_equal(word, wanted) || (star && souk_str_equal(word, SOUK_STR("*"))))) {
            return true;
        }
    }
    return false;
}

static souk_err_t s_kind_read(souk_mp_cursor_t *cursor, souk_principal_kind_t *ret) {
    static const char *const names[] = {[SOUK_PRINCIPAL_USER] = "user",
                                        [SOUK_PRINCIPAL_GUEST] = "guest",
                                        [SOUK_PRINCIPAL_API_KEY] = "api_key"};
    souk_str_t text;
    SOUK_TRY(souk_mp_read_str(cursor, &text));
    for (size_t kind = SOUK_PRINCIPAL_USER; kind < SOUK_COUNT_OF(names); kind++) {
        if (souk_str_equal(text, souk_str_of(names[kind]))) {
            *ret = (souk_principal_kind_t)kind;
            return SOUK_OK;
        }
    }
    return SOUK_ERR_MALFORMED;
}

static souk_err_t s_principal_field(souk_mp_cursor_t *cursor, s_principal_t *ret) {
    souk_str_t name;
    SOUK_TRY(souk_mp_read_str(cursor, &name));
    if (souk_str_equal(name, SOUK_STR("sub"))) {
        return souk_mp_read_str(cursor, &ret->subject);
    }
    if (souk_str_equal(name, SOUK_STR("kind"))) {
        return s_kind_read(cursor, &ret->kind);
    }
    if (souk_str_equal(name, SOUK_STR("scopes"))) {
        return s_words_read(cursor, &ret->scopes);
    }
    if (souk_str_equal(name, SOUK_STR("roles"))) {
        return s_words_read(cursor, &ret->roles);
    }
    if (souk_str_equal(name, SOUK_STR("sid"))) {
        return souk_mp_read_str_or_nil(cursor, &ret->session);
    }
    return souk_mp_skip(cursor);
}

static souk_err_t s_principal_read(souk_str_t bytes, s_principal_t *ret) {
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, bytes.data, bytes.size);
    uint32_t count;
    SOUK_TRY(souk_mp_read_map(&cursor, &count));
    if (count > PRINCIPAL_FIELDS_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < count; i++) {
        SOUK_TRY(s_principal_field(&cursor, ret));
    }
    bool whole = ret->subject.size > 0 && ret->kind != SOUK_PRINCIPAL_ANONYMOUS;
    return whole ? SOUK_OK : SOUK_ERR_MALFORMED;
}

/* A principal that cannot be read counts as none: nobody gets rights by being unreadable. */
static const s_principal_t *s_principal(souk_ctx_t *self) {
    static const s_principal_t nobody = {
        .kind = SOUK_PRINCIPAL_ANONYMOUS, .subject = {"", 0}, .session = {"", 0}};
    if (!self->principal_read) {
        self->principal_read = true;
        self->principal = nobody;
        if (self->req.principal.data != NULL &&
            s_principal_read(self->req.principal, &self->principal) != SOUK_OK) {
            self->principal = nobody;
        }
    }
    return &self->principal;
}

souk_str_t souk_ctx_subject(souk_ctx_t *self) {
    return s_principal(self)->subject;
}

souk_principal_kind_t souk_ctx_kind(souk_ctx_t *self) {
    return s_principal(self)->kind;
}

souk_str_t souk_ctx_session(souk_ctx_t *self) {
    return s_principal(self)->session;
}

souk_str_t souk_ctx_address(const souk_ctx_t *self) {
    return self->req.address.data != NULL ? self->req.address : SOUK_STR("");
}

bool souk_ctx_has_scope(souk_ctx_t *self, const char *scope) {
    return s_words_have(&s_principal(self)->scopes, souk_str_of(scope), true);
}

bool souk_ctx_has_role(souk_ctx_t *self, const char *role) {
    return s_words_have(&s_principal(self)->roles, souk_str_of(role), false);
}

/* Prints as vsnprintf does, but does not cut inside a UTF-8 sequence. Returns the length. */
SOUK_PRINTF(3, 0)
static size_t s_print(char *text, size_t text_bytes, const char *format, va_list args) {
    int length = vsnprintf(text, text_bytes, format, args);
    if (length < 0) {
        return 0;
    }
    if ((size_t)length < text_bytes) {
        return (size_t)length;
    }
    size_t bytes = text_bytes - 1;
    size_t lead = bytes;
    while (lead > 0 && ((unsigned char)text[lead - 1] & 0xc0) == 0x80) {
        lead--;
    }
    if (lead > 0 && (unsigned char)text[lead - 1] >= 0xc0) {
        unsigned char first = (unsigned char)text[lead - 1];
        size_t needs = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        if (lead - 1 + needs > bytes) {
            bytes = lead - 1;
        }
    }
    text[bytes] = '\0';
    return bytes;
}

souk_err_t souk_ctx_fail(souk_ctx_t *self, souk_err_t err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    self->detail_bytes = s_print(self->detail, sizeof(self->detail), format, args);
    va_end(args);
    return err;
}

souk_err_t souk_ctx_fail_field(souk_ctx_t *self, const char *pointer, const char *format, ...) {
    char reason[sizeof(self->issues.items[0].reason)];
    va_list args;
    va_start(args, format);
    (void)s_print(reason, sizeof(reason), format, args);
    va_end(args);
    souk_issues_add(&self->issues, SOUK_ERR_VALIDATION, SOUK_SOURCE_BODY, pointer, "%s", reason);
    return SOUK_ERR_VALIDATION;
}

void souk_ctx_retry_after_ms(souk_ctx_t *self, uint32_t retry_after_ms) {
    self->retry_after_ms = retry_after_ms;
}

void souk_ctx_reply_encoded(souk_ctx_t *self, souk_str_t reply) {
    souk_buf_clear(&self->reply);
    souk_buf_append(&self->reply, reply.data, reply.size);
    self->encoded = true;
}

void souk_ctx_mark_replayed(souk_ctx_t *self) {
    self->replayed = true;
}
