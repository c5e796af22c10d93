/* Outbox rows, and the JSON in them. */
#include "souk/clock.h"
#include "souk/id.h"
#include "souk/json.h"
#include "users.h"

#define JSON_BYTES_MAX ((size_t)16 * 1024)

void users_json_begin(users_json_t *self) {
    souk_buf_init(&self->buf, JSON_BYTES_MAX);
    souk_buf_append_byte(&self->buf, '{');
}

static void s_name(users_json_t *self, const char *name) {
    if (self->buf.size > 1) {
        souk_buf_append_byte(&self->buf, ',');
    }
    souk_json_write_str(&self->buf, souk_str_of(name));
    souk_buf_append_byte(&self->buf, ':');
}

static void s_value(users_json_t *self, souk_str_t value) {
    if (value.data == NULL) {
        souk_buf_append_str(&self->buf, SOUK_STR("null"));
    } else {
        souk_json_write_str(&self->buf, value);
    }
}

void users_json_str(users_json_t *self, const char *name, souk_str_t value) {
    s_name(self, name);
    s_value(self, value);
}

void users_json_int(users_json_t *self, const char *name, int64_t value) {
    s_name(self, name);
    souk_json_write_int(&self->buf, value);
}

void users_json_time(users_json_t *self, const char *name, int64_t unix_us) {
    char text[SOUK_TIME_TEXT_BYTES];
    size_t size = souk_time_format(unix_us, text);
    users_json_str(self, name, (souk_str_t){.data = text, .size = size});
}

void users_json_strs(users_json_t *self, const char *name, const souk_str_t *values, size_t count) {
    s_name(self, name);
    souk_buf_append_byte(&self->buf, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            souk_buf_append_byte(&self->buf, ',');
        }
        s_value(self, values[i]);
    }
    souk_buf_append_byte(&self->buf, ']');
}

souk_err_t users_json_end(users_json_t *self, souk_arena_t *arena, souk_str_t *ret_text) {
    souk_buf_append_byte(&self->buf, '}');
    bool whole = !self->buf.overflow;
    souk_str_t copy = whole ? souk_arena_copy(arena, souk_buf_str(&self->buf)) : (souk_str_t){0};
    souk_buf_done(&self->buf);
    if (copy.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret_text = copy;
    return SOUK_OK;
}

static const souk_pg_stmt_t s_append = {
    .name = "users_event",
    .sql = "WITH next AS (UPDATE users SET events = events + 1 WHERE id = $2 RETURNING events)"
           " INSERT INTO outbox (id, type, aggregate, sequence, payload, traceparent)"
           " SELECT $1, $3, $2, next.events, $4::jsonb, $5 FROM next"};

/* A record in the log of the database that nobody reads: COMMIT waits for the disk. */
static const souk_pg_stmt_t s_nobody = {
    .name = "users_event_of_nobody",
    .sql = "SELECT 1 FROM pg_logical_emit_message(true, 'souk', ''::text)"};

souk_err_t users_event_of_nobody(souk_ctx_t *ctx) {
    return souk_pg_post(ctx, &s_nobody, NULL);
}

souk_err_t users_event(souk_ctx_t *ctx, const char *type, souk_str_t user_id, souk_str_t payload) {
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("evt_", id);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, (souk_str_t){.data = id, .size = size});
    souk_pg_str(&args, user_id);
    souk_pg_str(&args, souk_str_of(type));
    souk_pg_str(&args, payload);
    souk_pg_str(&args, souk_ctx_traceparent(ctx));
    return souk_pg_post(ctx, &s_append, &args);
}
