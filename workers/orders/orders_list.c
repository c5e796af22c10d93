/* Lists of orders, newest first, by keyset: a page goes on behind the last order of the one before,
 * so that deep pages cost what the first does, and nothing is counted. */
#include "gen/orders_handlers.h"
#include "orders/record.h"
#include "orders/service.h"
#include "souk/base64.h"
#include "souk/id.h"
#include "souk/mp.h"
#include "souk/text.h"

#define CURSOR_BYTES_MAX 96
#define CURSOR_FORMAT 2
#define CURSOR_FIELDS 2
/* Between an order's placed_at and the time in its id: an attempt of a batch, or a clock set back.
 */
#define ID_TIME_SLACK_MS 600000

/* Each list has the clause that narrows it most, for which there is an index, first and bare; the
 * others are left out by null parameters. One statement for all would be planned for none. */
#define LIST(clause)                                                                               \
    "SELECT o.id, o.number, o.version, o.status, o.payment_status, o.fulfilment_status,"           \
    " o.subject, o.email, o.grand_total, o.currency, o.placed_at, o.updated_at,"                   \
    " (SELECT sum(l.quantity)::bigint FROM order_lines l WHERE l.order_id = o.id)"                 \
    " FROM orders o WHERE " clause " AND o.id < $3::text AND o.id >= $12::text"                    \
    " AND ($2::timestamptz IS NULL OR o.placed_at < $2)"                                           \
    " AND ($5::text IS NULL OR o.status = $5) AND ($6::text IS NULL OR o.payment_status = $6)"     \
    " AND ($7::text IS NULL OR o.fulfilment_status = $7)"                                          \
    " AND ($8::text IS NULL OR lower(o.email) COLLATE \"C\" = lower($8))"                          \
    " AND ($9::text IS NULL OR o.subject = $9)"                                                    \
    " AND ($10::text IS NULL OR EXISTS (SELECT FROM order_lines l"                                 \
    " WHERE l.order_id = o.id AND l.sku = $10))"                                                   \
    " AND ($11::timestamptz IS NULL OR o.placed_at >= $11)"                                        \
    " ORDER BY o.id DESC LIMIT $4::bigint"

static const souk_pg_stmt_t s_by_number = {.name = "orders_list_number",
                                           .sql = LIST("o.number = $1::bigint")};
static const souk_pg_stmt_t s_by_subject = {.name = "orders_list_subject",
                                            .sql = LIST("o.subject = $1::text")};
static const souk_pg_stmt_t s_by_email = {
    .name = "orders_list_email", .sql = LIST("lower(o.email) COLLATE \"C\" = lower($1::text)")};
static const souk_pg_stmt_t s_by_sku = {
    .name = "orders_list_sku",
    .sql = LIST("o.id IN (SELECT l.order_id FROM order_lines l WHERE l.sku = $1::text)")};
static const souk_pg_stmt_t s_by_status = {.name = "orders_list_status",
                                           .sql = LIST("o.status = $1::text")};
static const souk_pg_stmt_t s_by_time = {.name = "orders_list_time",
                                         .sql = LIST("$1::text IS NULL")};

/* Texts: data NULL for none. */
typedef struct {
    const souk_pg_stmt_t *stmt;
    int64_t number; /* $1 of s_by_number */
    souk_str_t key; /* $1 of the others */
    souk_str_t status, payment_status, fulfilment_status, email, subject, sku;
    int64_t from_us, to_us; /* ORDERS_NO_TIME for none */
    int64_t limit;
} query_t;

/* ---- cursor: [format, id] -------------------------------------------------------------------- */

static souk_str_t s_cursor_write(souk_arena_t *arena, souk_str_t id) {
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, CURSOR_BYTES_MAX);
    souk_mp_write_array(&buf, CURSOR_FIELDS);
    souk_mp_write_int(&buf, CURSOR_FORMAT);
    souk_mp_write_str(&buf, id);
    souk_assert(!buf.overflow); /* an id has at most SOUK_ID_BYTES_MAX */
    size_t chars = souk_base64_chars(buf.size);
    char *text = souk_arena_alloc(arena, chars);
    if (text == NULL) {
        return (souk_str_t){0};
    }
    souk_base64_encode(buf.data, buf.size, text);
    return (souk_str_t){.data = text, .size = chars};
}

/* A made-up cursor only starts elsewhere in the same list: it opens no other orders. */
static souk_err_t s_cursor_read(souk_str_t text, souk_arena_t *arena, souk_str_t *ret_id) {
    size_t bytes = souk_base64_bytes(text.size);
    if (bytes > CURSOR_BYTES_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    char *data = souk_arena_alloc(arena, bytes + 1);
    if (data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    SOUK_TRY(souk_base64_decode(text, data));
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, data, bytes);
    uint32_t fields = 0;
    uint64_t format = 0;
    souk_str_t id;
    SOUK_TRY(souk_mp_read_array(&cursor, &fields));
    SOUK_TRY(souk_mp_read_uint(&cursor, UINT64_MAX, &format));
    SOUK_TRY(souk_mp_read_str(&cursor, &id));
    if (fields != CURSOR_FIELDS || format != CURSOR_FORMAT || !souk_mp_at_end(&cursor) ||
        !souk_id_valid(id, "ord_")) {
        return SOUK_ERR_MALFORMED;
    }
    *ret_id = id;
    return SOUK_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void s_summary(const souk_pg_rows_t *rows, size_t row, orders_order_summary_t *ret) {
    const souk_type_t *type = &orders_order_summary_type;
    orders_order_summary_set_id(ret, souk_pg_get_str(rows, row, 0));
    orders_order_summary_set_number(ret, souk_pg_get_int(rows, row, 1));
    orders_order_summary_set_version(ret, souk_pg_get_int(rows, row, 2));
    orders_order_summary_set_status(ret,
                                    orders_enum_of(type, "status", souk_pg_get_str(rows, row, 3)));
    orders_order_summary_set_payment_status(
        ret, orders_enum_of(type, "payment_status", souk_pg_get_str(rows, row, 4)));
    orders_order_summary_set_fulfilment_status(
        ret, orders_enum_of(type, "fulfilment_status", souk_pg_get_str(rows, row, 5)));
    orders_order_summary_set_subject(ret, souk_pg_get_str(rows, row, 6));
    orders_order_summary_set_email(ret, souk_pg_get_str(rows, row, 7));
    souk_money_set_amount(&ret->grand_total, souk_pg_get_int(rows, row, 8));
    souk_money_set_currency(&ret->grand_total, souk_pg_get_str(rows, row, 9));
    souk_bits_set(&ret->bits, ORDERS_ORDER_SUMMARY_GRAND_TOTAL_BIT);
    orders_order_summary_set_placed_at(ret, souk_pg_get_time(rows, row, 10));
    orders_order_summary_set_updated_at(ret, souk_pg_get_time(rows, row, 11));
    orders_order_summary_set_items_count(ret, souk_pg_get_int(rows, row, 12));
}

static souk_str_t s_floor(souk_arena_t *arena, int64_t unix_us, int64_t slack_ms) {
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_floor("ord_", unix_us / 1000 + slack_ms, id);
    return souk_arena_copy(arena, (souk_str_t){.data = id, .size = size});
}

/* Ids bound what is looked at, times what is found. */
static souk_err_t s_run(souk_ctx_t *ctx, const query_t *query, souk_str_t cursor,
                        const souk_pg_rows_t **ret_rows) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    int64_t to_us = query->to_us, from_us = query->from_us;
    souk_str_t before = SOUK_STR("ord_8"); /* behind all ids: a ULID's first digit is at most 7 */
    souk_str_t after = SOUK_STR("");
    if (cursor.data != NULL) {
        souk_err_t err = s_cursor_read(cursor, arena, &before);
        if (err == SOUK_ERR_MALFORMED) {
            return souk_ctx_fail(ctx, err, "cursor is not one of this list's");
        }
        SOUK_TRY(err);
    } else if (to_us != ORDERS_NO_TIME) {
        before = s_floor(arena, to_us, ID_TIME_SLACK_MS);
    }
    if (from_us != ORDERS_NO_TIME) {
        after = s_floor(arena, from_us, -ID_TIME_SLACK_MS);
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    if (query->stmt == &s_by_number) {
        souk_pg_int(&args, query->number);
    } else {
        souk_pg_str(&args, query->key);
    }
    souk_pg_time(&args, to_us);
    souk_pg_str(&args, before);
    souk_pg_int(&args, query->limit + 1); /* one more tells whether there is a next page */
    souk_pg_str(&args, query->status);
    souk_pg_str(&args, query->payment_status);
    souk_pg_str(&args, query->fulfilment_status);
    souk_pg_str(&args, query->email);
    souk_pg_str(&args, query->subject);
    souk_pg_str(&args, query->sku);
    souk_pg_time(&args, from_us);
    souk_pg_str(&args, after);
    return souk_pg_run(ctx, query->stmt, &args, ret_rows);
}

static void s_page(souk_ctx_t *ctx, const souk_pg_rows_t *rows, int64_t limit,
                   souk_keyset_page_t *ret) {
    souk_keyset_page_set_limit(ret, limit);
    if (souk_pg_count(rows) > (size_t)limit) {
        size_t last = (size_t)limit - 1;
        souk_keyset_page_set_next(
            ret, s_cursor_write(souk_ctx_arena(ctx), souk_pg_get_str(rows, last, 0)));
    } else {
        souk_bits_set_nil(&ret->bits, SOUK_KEYSET_PAGE_NEXT_BIT);
    }
}

/* ---- handlers -------------------------------------------------------------------------------- */

souk_err_t orders_list(souk_ctx_t *ctx, const orders_list_req_t *req, orders_list_rep_t *ret_rep) {
    const query_t query = {.stmt = &s_by_subject,
                           .key = souk_ctx_subject(ctx),
                           .from_us = ORDERS_NO_TIME,
                           .to_us = ORDERS_NO_TIME,
                           .limit = req->limit};
    bool paged = souk_bits_has(&req->bits, ORDERS_LIST_REQ_CURSOR_BIT);
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(s_run(ctx, &query, paged ? req->cursor : (souk_str_t){0}, &rows));
    size_t count = souk_pg_count(rows);
    count = count > (size_t)req->limit ? (size_t)req->limit : count;
    orders_order_summary_t *data = orders_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    for (size_t i = 0; data != NULL && i < count; i++) {
        s_summary(rows, i, &data[i]);
    }
    s_page(ctx, rows, req->limit, &ret_rep->page);
    souk_bits_set(&ret_rep->bits, ORDERS_LIST_REP_PAGE_BIT);
    return SOUK_OK;
}

/* The value of a given enum as the column has it. */
static souk_str_t s_name(const souk_bits_t *bits, unsigned bit, const char *field, int32_t value) {
    if (!souk_bits_has(bits, bit)) {
        return (souk_str_t){0};
    }
    const souk_field_t *found = souk_type_field(&orders_admin_list_req_type, souk_str_of(field));
    return souk_str_of(found->enum_names[value]);
}

static souk_str_t s_text(const souk_bits_t *bits, unsigned bit, souk_str_t value) {
    return souk_bits_has(bits, bit) ? value : (souk_str_t){0};
}

/* By the clause that leaves the fewest orders. */
static void s_choose(query_t *query) {
    const struct {
        const souk_pg_stmt_t *stmt;
        souk_str_t *filter;
    } ways[] = {{&s_by_email, &query->email},
                {&s_by_subject, &query->subject},
                {&s_by_sku, &query->sku},
                {&s_by_status, &query->status}};
    query->stmt = query->number > 0 ? &s_by_number : &s_by_time;
    for (size_t i = 0; i < SOUK_COUNT_OF(ways) && query->stmt == &s_by_time; i++) {
        if (ways[i].filter->data != NULL) {
            query->stmt = ways[i].stmt;
            query->key = *ways[i].filter;
        }
    }
}

souk_err_t orders_admin_list(souk_ctx_t *ctx, const orders_admin_list_req_t *req,
                             orders_admin_list_rep_t *ret_rep) {
    const souk_bits_t *bits = &req->bits;
    query_t query = {
        .number = souk_bits_has(bits, ORDERS_ADMIN_LIST_REQ_NUMBER_BIT) ? req->number : 0,
        .status = s_name(bits, ORDERS_ADMIN_LIST_REQ_STATUS_BIT, "status", req->status),
        .payment_status = s_name(bits, ORDERS_ADMIN_LIST_REQ_PAYMENT_STATUS_BIT, "payment_status",
                                 req->payment_status),
        .fulfilment_status = s_name(bits, ORDERS_ADMIN_LIST_REQ_FULFILMENT_STATUS_BIT,
                                    "fulfilment_status", req->fulfilment_status),
        .email = s_text(bits, ORDERS_ADMIN_LIST_REQ_EMAIL_BIT, req->email),
        .subject = s_text(bits, ORDERS_ADMIN_LIST_REQ_SUBJECT_BIT, req->subject),
        .sku = s_text(bits, ORDERS_ADMIN_LIST_REQ_SKU_BIT, req->sku),
        .from_us = souk_bits_has(bits, ORDERS_ADMIN_LIST_REQ_FROM_BIT) ? req->from : ORDERS_NO_TIME,
        .to_us = souk_bits_has(bits, ORDERS_ADMIN_LIST_REQ_TO_BIT) ? req->to : ORDERS_NO_TIME,
        .limit = req->limit};
    if (query.email.data != NULL) {
        SOUK_TRY(souk_text_nfc(souk_ctx_arena(ctx), query.email, &query.email));
    }
    s_choose(&query);
    bool paged = souk_bits_has(bits, ORDERS_ADMIN_LIST_REQ_CURSOR_BIT);
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(s_run(ctx, &query, paged ? req->cursor : (souk_str_t){0}, &rows));
    size_t count = souk_pg_count(rows);
    count = count > (size_t)req->limit ? (size_t)req->limit : count;
    orders_order_summary_t *data =
        orders_admin_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    for (size_t i = 0; data != NULL && i < count; i++) {
        s_summary(rows, i, &data[i]);
    }
    s_page(ctx, rows, req->limit, &ret_rep->page);
    souk_bits_set(&ret_rep->bits, ORDERS_ADMIN_LIST_REP_PAGE_BIT);
    return SOUK_OK;
}
