/* Rows that a write leaves beside its effect: what happened, and who did it. */
#include "pg_impl.h"
#include "souk/id.h"

static const souk_pg_stmt_t s_event = {
    .name = "souk_outbox",
    .sql = "INSERT INTO outbox (id, type, aggregate, sequence, payload, traceparent)"
           " VALUES ($1, $2, $3, COALESCE($4::bigint, (SELECT COALESCE(max(sequence), 0) + 1 FROM "
           "outbox"
           " WHERE aggregate = $3)), $5::jsonb, $6)"};
static const souk_pg_stmt_t s_audit = {
    .name = "souk_audit",
    .sql = "INSERT INTO audit (id, actor, action, target, before, after, request_id)"
           " VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7)"};

static void s_id(souk_pg_args_t *args, const char *prefix) {
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new(prefix, id);
    souk_pg_str(args, (souk_str_t){.data = id, .size = size});
}

souk_err_t souk_pg_outbox(souk_ctx_t *ctx, const souk_event_t *event) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    s_id(&args, "evt_");
    souk_pg_str(&args, souk_str_of(event->type));
    souk_pg_str(&args, event->aggregate);
    if (event->sequence > 0) {
        souk_pg_int(&args, event->sequence);
    } else {
        souk_pg_null(&args); /* $4 has a cast */
    }
    souk_pg_str(&args, event->payload_json);
    souk_pg_str(&args, souk_ctx_traceparent(ctx));
    return souk_pg_post(ctx, &s_event, &args);
}

souk_err_t souk_pg_audit(souk_ctx_t *ctx, const char *action, souk_str_t target,
                         souk_str_t before_json, souk_str_t after_json) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    s_id(&args, "aud_");
    souk_pg_str(&args, souk_ctx_subject(ctx));
    souk_pg_str(&args, souk_str_of(action));
    souk_pg_str(&args, target);
    souk_pg_str(&args, before_json);
    souk_pg_str(&args, after_json);
    souk_pg_str(&args, souk_ctx_request_id(ctx));
    return souk_pg_post(ctx, &s_audit, &args);
}
