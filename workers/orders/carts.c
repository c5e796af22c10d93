/* Guests, and carts: opening and reading them. Changing one is carts_change.c. */
#include <stdio.h>

#include "gen/metrics.h"
#include "gen/orders_handlers.h"
#include "orders/basket.h"
#include "souk/clock.h"
#include "souk/metrics.h"

#define POINTER_BYTES 48
#define DAY_S ((int64_t)24 * 3600)

/* ---- guests ---------------------------------------------------------------------------------- */

typedef struct {
    souk_str_t subject, token;
    int64_t expires_s;
} s_guest_t;

static souk_err_t s_guest(souk_ctx_t *ctx, s_guest_t *ret) {
    const orders_service_t *service = souk_ctx_service(ctx);
    souk_arena_t *arena = souk_ctx_arena(ctx);
    int64_t expires_s = souk_clock_unix_us() / 1000000 + service->config->guest_ttl_days * DAY_S;
    souk_guest_t guest;
    char token[SOUK_GUEST_TOKEN_BYTES + 1];
    if (souk_guest_new(&service->guest_keys, expires_s, &guest, token) != SOUK_OK) {
        return souk_ctx_fail(ctx, SOUK_ERR_UNAVAILABLE, "guest tokens are not set up");
    }
    *ret = (s_guest_t){.subject = souk_arena_copy(arena, souk_str_of(guest.subject)),
                       .token = souk_arena_copy(arena, souk_str_of(token)),
                       .expires_s = expires_s};
    return souk_arena_overflowed(arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

souk_err_t orders_guests_create(souk_ctx_t *ctx, const orders_guests_create_req_t *req,
                                orders_guests_create_rep_t *ret_rep) {
    (void)req;
    s_guest_t guest = {0};
    SOUK_TRY(s_guest(ctx, &guest));
    orders_guests_create_rep_set_guest_token(ret_rep, guest.token);
    orders_guests_create_rep_set_subject(ret_rep, guest.subject);
    orders_guests_create_rep_set_expires_at(ret_rep, guest.expires_s * 1000000);
    return SOUK_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

static souk_err_t s_show(souk_ctx_t *ctx, souk_str_t id, orders_cart_t *ret_rep) {
    const orders_basket_which_t which = {.id = id, .subject = souk_ctx_subject(ctx)};
    SOUK_TRY(orders_basket_queue(ctx, &which));
    orders_basket_t *basket;
    SOUK_TRY(orders_basket_take(ctx, &basket));
    return orders_basket_reply(ctx, basket, false, ret_rep);
}

souk_err_t orders_carts_get(souk_ctx_t *ctx, const orders_carts_get_req_t *req,
                            orders_carts_get_rep_t *ret_rep) {
    return s_show(ctx, req->id, ret_rep);
}

souk_err_t orders_carts_mine(souk_ctx_t *ctx, const orders_carts_mine_req_t *req,
                             orders_carts_mine_rep_t *ret_rep) {
    (void)req;
    return s_show(ctx, (souk_str_t){0}, ret_rep);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* One at a time for each subject, so that the count below holds; the lock is of the transaction. */
static const souk_pg_stmt_t s_turn = {
    .name = "orders_carts_turn",
    .sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7311002))"};
static const souk_pg_stmt_t s_count = {
    .name = "orders_carts_count",
    .sql = "SELECT count(*) FROM carts"
           " WHERE subject = $1 AND status = 'open' AND expires_at > now()"};

static souk_err_t s_require_room(souk_ctx_t *ctx, souk_str_t subject) {
    const orders_service_t *service = souk_ctx_service(ctx);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, subject);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_post(ctx, &s_turn, &args));
    SOUK_TRY(souk_pg_run(ctx, &s_count, &args, &rows));
    int64_t most = service->config->carts_max;
    if (souk_pg_get_int(rows, 0, 0) >= most) {
        return souk_ctx_fail(ctx, SOUK_ERR_CARTS_TOO_MANY,
                             "at most %lld carts may be open at a time", (long long)most);
    }
    return SOUK_OK;
}

static void s_pointer(size_t item, const char *field, char ret[static POINTER_BYTES]) {
    (void)snprintf(ret, POINTER_BYTES, "/items/%zu/%s", item, field);
}

/* The items of a request as lines; quantities of one SKU are summed. from: each line's first item.
 */
static souk_err_t s_fill(souk_ctx_t *ctx, const orders_carts_create_req_t *req,
                         orders_basket_t *basket) {
    size_t count, from[ORDERS_LINES_MAX] = {0};
    char pointer[POINTER_BYTES];
    const orders_cart_item_t *items = orders_carts_create_req_items(req, &count);
    for (size_t i = 0; i < count; i++) {
        orders_basket_line_t *line = orders_basket_line(basket, items[i].sku);
        if (line == NULL) {
            from[basket->count] = i;
            line = &basket->lines[basket->count++];
            *line = (orders_basket_line_t){.sku = items[i].sku, .seen_price = ORDERS_NONE};
        }
        line->quantity += items[i].quantity;
        if (line->quantity > ORDERS_QUANTITY_MAX) {
            s_pointer(i, "quantity", pointer);
            return orders_basket_refuse(ctx, SOUK_ERR_QUANTITY_TOO_LARGE, pointer,
                                        "more than %d of SKU %.*s", ORDERS_QUANTITY_MAX,
                                        (int)line->sku.size, line->sku.data);
        }
    }
    if (basket->count == 0) {
        return SOUK_OK;
    }
    SOUK_TRY(orders_basket_skus(ctx, basket->lines, basket->count));
    for (size_t i = 0; i < basket->count; i++) {
        s_pointer(from[i], "sku", pointer);
        SOUK_TRY(orders_basket_require_sellable(ctx, &basket->lines[i], pointer));
    }
    return SOUK_OK;
}

static souk_err_t s_create(souk_ctx_t *ctx, const void *request, void *reply) {
    const orders_carts_create_req_t *req = request;
    orders_cart_t *ret_rep = reply;
    s_guest_t guest = {.subject = souk_ctx_subject(ctx)};
    bool anonymous = souk_ctx_kind(ctx) == SOUK_PRINCIPAL_ANONYMOUS;
    if (anonymous) {
        SOUK_TRY(s_guest(ctx, &guest));
    } else {
        SOUK_TRY(s_require_room(ctx, guest.subject));
    }
    orders_basket_t *basket;
    SOUK_TRY(orders_basket_new(ctx, guest.subject, &basket));
    SOUK_TRY(s_fill(ctx, req, basket));
    SOUK_TRY(orders_basket_insert(ctx, basket));
    SOUK_TRY(orders_basket_put_lines(ctx, basket, basket->lines, basket->count));
    SOUK_TRY(orders_basket_reply(ctx, basket, true, ret_rep));
    if (anonymous) {
        orders_cart_set_guest_token(ret_rep, guest.token);
    }
    return SOUK_OK;
}

souk_err_t orders_carts_create(souk_ctx_t *ctx, const orders_carts_create_req_t *req,
                               orders_carts_create_rep_t *ret_rep) {
    if (souk_ctx_kind(ctx) == SOUK_PRINCIPAL_API_KEY) {
        return souk_ctx_fail(ctx, SOUK_ERR_FORBIDDEN, "carts are of users and guests");
    }
    SOUK_TRY(souk_pg_write(ctx, s_create, req, ret_rep));
    bool user = souk_ctx_kind(ctx) == SOUK_PRINCIPAL_USER;
    souk_metric_add(souk_metric(SOUK_METRIC_CARTS_OPENED_TOTAL, user ? "user" : "guest", NULL), 1);
    return SOUK_OK;
}
