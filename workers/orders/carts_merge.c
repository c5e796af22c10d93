/* A user who has logged in takes over the cart of the guest that he was. */
#include "gen/metrics.h"
#include "gen/orders_handlers.h"
#include "orders/basket.h"
#include "souk/clock.h"
#include "souk/metrics.h"

/* The newest open cart of each, then both locked in one order. */
static const souk_pg_stmt_t s_turn = {
    .name = "orders_merge_turn",
    .sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7311002))"};
static const souk_pg_stmt_t s_find = {
    .name = "orders_merge_find",
    .sql = "SELECT (SELECT id FROM carts WHERE subject = a.subject AND status = 'open'"
           " AND expires_at > now() ORDER BY updated_at DESC, id DESC LIMIT 1)"
           " FROM unnest($1::text[]) WITH ORDINALITY AS a(subject, i) ORDER BY a.i"};
static const souk_pg_stmt_t s_lock = {
    .name = "orders_merge_lock",
    .sql = "SELECT id FROM carts WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE"};
static const souk_pg_stmt_t s_merged = {
    .name = "orders_merge_done",
    .sql = "UPDATE carts SET status = 'merged', version = version + 1, updated_at = $3"
           " WHERE id = $1 AND subject = $2"};

typedef struct {
    souk_str_t user, guest;       /* subjects */
    souk_str_t user_id, guest_id; /* carts; data NULL: none */
} s_pair_t;

static souk_err_t s_check_token(souk_ctx_t *ctx, souk_str_t token, souk_str_t *ret_subject) {
    const orders_service_t *service = souk_ctx_service(ctx);
    souk_guest_t guest;
    if (souk_guest_check(&service->guest_keys, token, souk_clock_unix_us() / 1000000, &guest) !=
        SOUK_OK) {
        return SOUK_ERR_GUEST_TOKEN_INVALID;
    }
    *ret_subject = souk_arena_copy(souk_ctx_arena(ctx), souk_str_of(guest.subject));
    return ret_subject->data == NULL ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

static souk_err_t s_find_pair(souk_ctx_t *ctx, s_pair_t *pair) {
    souk_pg_args_t turn, find;
    souk_pg_args_init(&turn, souk_ctx_arena(ctx));
    souk_pg_str(&turn, pair->user);
    SOUK_TRY(souk_pg_post(ctx, &s_turn, &turn)); /* so that two do not open a cart each */
    souk_pg_args_init(&find, souk_ctx_arena(ctx));
    const souk_str_t subjects[] = {pair->user, pair->guest};
    souk_pg_strs(&find, subjects, SOUK_COUNT_OF(subjects));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_find, &find, &rows));
    pair->user_id = souk_pg_get_str(rows, 0, 0);
    pair->guest_id = souk_pg_get_str(rows, 1, 0);
    return SOUK_OK;
}

/* ret_user, ret_guest NULL: there is none, or it is no longer open. */
static souk_err_t s_lock_pair(souk_ctx_t *ctx, const s_pair_t *pair, orders_basket_t **ret_user,
                              orders_basket_t **ret_guest) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    const souk_str_t ids[] = {pair->user_id, pair->guest_id};
    souk_pg_strs(&args, ids, SOUK_COUNT_OF(ids));
    SOUK_TRY(souk_pg_post(ctx, &s_lock, &args));
    const orders_basket_which_t which[] = {{.id = pair->user_id, .subject = pair->user},
                                           {.id = pair->guest_id, .subject = pair->guest}};
    orders_basket_t *baskets[] = {NULL, NULL};
    for (size_t i = 0; i < SOUK_COUNT_OF(which); i++) {
        if (which[i].id.data == NULL) {
            continue;
        }
        SOUK_TRY(orders_basket_queue(ctx, &which[i]));
        souk_err_t err = orders_basket_take(ctx, &baskets[i]);
        if (err == SOUK_ERR_NOT_FOUND) { /* it has expired meanwhile */
            continue;
        }
        SOUK_TRY(err);
        if (baskets[i]->status != ORDERS_CART_STATUS_OPEN) {
            baskets[i] = NULL;
        }
    }
    *ret_user = baskets[0];
    *ret_guest = baskets[1];
    return SOUK_OK;
}

/* Lines of one SKU are summed up to what a line may hold. */
static souk_err_t s_pour_lines(souk_ctx_t *ctx, orders_basket_t *user,
                               const orders_basket_t *guest) {
    orders_basket_line_t changed[ORDERS_LINES_MAX];
    for (size_t i = 0; i < guest->count; i++) {
        changed[i] = guest->lines[i];
        const orders_basket_line_t *mine = orders_basket_line(user, changed[i].sku);
        if (mine != NULL) {
            int64_t sum = mine->quantity + changed[i].quantity;
            changed[i].quantity = sum < ORDERS_QUANTITY_MAX ? sum : ORDERS_QUANTITY_MAX;
        }
    }
    SOUK_TRY(orders_basket_put_lines(ctx, user, changed, guest->count));
    for (size_t i = 0; i < guest->count; i++) {
        orders_basket_line_t *mine = orders_basket_line(user, changed[i].sku);
        if (mine == NULL && user->count == ORDERS_LINES_MAX) {
            return souk_ctx_fail(ctx, SOUK_ERR_CART_FULL, "together they have more than %d lines",
                                 ORDERS_LINES_MAX);
        }
        *(mine != NULL ? mine : &user->lines[user->count++]) = changed[i];
    }
    return SOUK_OK;
}

/* What else the guest's cart knows is taken where the user's knows nothing. */
static void s_pour_rest(orders_basket_t *user, const orders_basket_t *guest) {
    if (user->address.data == NULL) {
        user->country = guest->country;
    }
    if (user->discount_code.data == NULL) {
        user->discount_known = guest->discount_known;
        user->discount = guest->discount;
    }
    souk_str_t *const mine[] = {&user->email, &user->address, &user->shipping_method,
                                &user->discount_code};
    const souk_str_t theirs[] = {guest->email, guest->address, guest->shipping_method,
                                 guest->discount_code};
    for (size_t i = 0; i < SOUK_COUNT_OF(mine); i++) {
        *mine[i] = mine[i]->data == NULL ? theirs[i] : *mine[i];
    }
}

static souk_err_t s_close_guest(souk_ctx_t *ctx, const orders_basket_t *guest) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, guest->id);
    souk_pg_str(&args, guest->subject);
    souk_pg_time(&args, souk_clock_unix_us());
    return souk_pg_post(ctx, &s_merged, &args);
}

static souk_err_t s_merge(souk_ctx_t *ctx, const void *request, void *reply) {
    const orders_carts_merge_req_t *req = request;
    orders_cart_t *ret_rep = reply;
    s_pair_t pair = {.user = souk_ctx_subject(ctx)};
    SOUK_TRY(s_check_token(ctx, req->guest_token, &pair.guest));
    SOUK_TRY(s_find_pair(ctx, &pair));
    orders_basket_t *user, *guest;
    SOUK_TRY(s_lock_pair(ctx, &pair, &user, &guest));
    if (guest == NULL) {
        return user != NULL ? orders_basket_reply(ctx, user, false, ret_rep)
                            : souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "neither has an open cart");
    }
    if (user == NULL) {
        SOUK_TRY(orders_basket_new(ctx, pair.user, &user));
        SOUK_TRY(orders_basket_insert(ctx, user));
    }
    SOUK_TRY(s_pour_lines(ctx, user, guest));
    s_pour_rest(user, guest);
    SOUK_TRY(orders_basket_update(ctx, user));
    SOUK_TRY(s_close_guest(ctx, guest));
    souk_metric_add(souk_metric(SOUK_METRIC_CARTS_MERGED_TOTAL, NULL), 1);
    return orders_basket_reply(ctx, user, true, ret_rep);
}

souk_err_t orders_carts_merge(souk_ctx_t *ctx, const orders_carts_merge_req_t *req,
                              orders_carts_merge_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_merge, req, ret_rep);
}
