/* users.erasures: who was erased, for services that keep something about users. Numbers become
 * visible in their order (a trigger sees to that), so a reader goes on behind its last one. The
 * account that has that number tells a reader that this is another database, or an older state of
 * it. */
#include "gen/users_handlers.h"
#include "users.h"

static const souk_pg_stmt_t s_known = {
    .name = "users_erasures_known",
    .sql = "SELECT $1 = 0 OR EXISTS (SELECT FROM users WHERE erased_number = $1 AND id = $2)"};
static const souk_pg_stmt_t s_page = {
    .name = "users_erasures",
    .sql = "SELECT erased_number, id, erased_at FROM users WHERE erased_number > $1"
           " ORDER BY erased_number LIMIT $2"};

souk_err_t users_erasures(souk_ctx_t *ctx, const users_erasures_req_t *req,
                          users_erasures_rep_t *ret_rep) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    const souk_pg_rows_t *rows;
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, req->after);
    souk_pg_str(&args,
                souk_bits_has(&req->bits, USERS_ERASURES_REQ_ID_BIT) ? req->id : (souk_str_t){0});
    SOUK_TRY(souk_pg_run(ctx, &s_known, &args, &rows));
    bool restart = !souk_pg_get_bool(rows, 0, 0);
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, restart ? 0 : req->after);
    souk_pg_int(&args, req->limit);
    SOUK_TRY(souk_pg_run(ctx, &s_page, &args, &rows));
    size_t count = souk_pg_count(rows);
    users_erasure_t *users = users_erasures_rep_new_users(ret_rep, arena, count);
    if (users == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        users_erasure_set_number(&users[i], souk_pg_get_int(rows, i, 0));
        users_erasure_set_id(&users[i], souk_pg_get_str(rows, i, 1));
        users_erasure_set_erased_at(&users[i], souk_pg_get_time(rows, i, 2));
    }
    users_erasures_rep_set_restart(ret_rep, restart);
    users_erasures_rep_set_more(ret_rep, count == (size_t)req->limit);
    return SOUK_OK;
}
