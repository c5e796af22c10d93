/* Postal addresses of an account: at most ADDRESSES_MAX, counted and changed under the lock of the
 * account's row, so that there is one default of each kind at the most. */
#include "gen/users_handlers.h"
#include "me.h"
#include "souk/id.h"
#include "souk/text.h"

#define ADDRESSES_MAX 50

#define ADDRESS_SQL                                                                                \
    "a.id, a.version, a.name, a.company, a.line1, a.line2, a.city, a.region, a.postal_code,"       \
    " a.country, a.phone, a.default_shipping, a.default_billing, a.created_at, a.updated_at"

const souk_pg_stmt_t users_addresses_of = {
    .name = "users_addresses_of",
    .sql = "SELECT " ADDRESS_SQL " FROM addresses a WHERE a.user_id = $1 ORDER BY a.id LIMIT 50"};
static const souk_pg_stmt_t s_get = {.name = "users_address_get",
                                     .sql = "SELECT " ADDRESS_SQL
                                            " FROM addresses a WHERE a.id = $1 AND a.user_id = $2"};
static const souk_pg_stmt_t s_count = {.name = "users_address_count",
                                       .sql = "SELECT count(*) FROM addresses WHERE user_id = $1"};
static const souk_pg_stmt_t s_no_default = {
    .name = "users_address_no_default",
    .sql = "UPDATE addresses SET default_shipping = default_shipping AND NOT $2,"
           " default_billing = default_billing AND NOT $3,"
           " version = version + 1, updated_at = now() WHERE user_id = $1 AND id <> $4"
           " AND (($2 AND default_shipping) OR ($3 AND default_billing))"};
static const souk_pg_stmt_t s_insert = {
    .name = "users_address_insert",
    .sql = "INSERT INTO addresses AS a (id, user_id, name, company, line1, line2, city, region,"
           " postal_code, country, phone, default_shipping, default_billing)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
           " RETURNING " ADDRESS_SQL};
static const souk_pg_stmt_t s_update = {
    .name = "users_address_update",
    .sql = "UPDATE addresses a SET name = $3, company = $4, line1 = $5, line2 = $6, city = $7,"
           " region = $8, postal_code = $9, country = $10, phone = $11, default_shipping = $12,"
           " default_billing = $13, version = version + 1, updated_at = now()"
           " WHERE a.id = $1 AND a.user_id = $2 RETURNING " ADDRESS_SQL};
static const souk_pg_stmt_t s_delete = {
    .name = "users_address_delete", .sql = "DELETE FROM addresses WHERE id = $1 AND user_id = $2"};

/* ---- texts ---- */

enum { NAME, COMPANY, LINE1, LINE2, CITY, REGION, POSTAL_CODE, COUNTRY, PHONE, TEXTS };

static const struct {
    const char *pointer;
    size_t points_max;
    unsigned bit; /* in a reply */
    bool is_required;
} s_texts[TEXTS] = {
    [NAME] = {"/name", 200, USERS_SAVED_ADDRESS_NAME_BIT, true},
    [COMPANY] = {"/company", 200, USERS_SAVED_ADDRESS_COMPANY_BIT, false},
    [LINE1] = {"/line1", 200, USERS_SAVED_ADDRESS_LINE1_BIT, true},
    [LINE2] = {"/line2", 200, USERS_SAVED_ADDRESS_LINE2_BIT, false},
    [CITY] = {"/city", 120, USERS_SAVED_ADDRESS_CITY_BIT, true},
    [REGION] = {"/region", 120, USERS_SAVED_ADDRESS_REGION_BIT, false},
    [POSTAL_CODE] = {"/postal_code", 20, USERS_SAVED_ADDRESS_POSTAL_CODE_BIT, false},
    [COUNTRY] = {"/country", 2, USERS_SAVED_ADDRESS_COUNTRY_BIT, true},
    [PHONE] = {"/phone", 40, USERS_SAVED_ADDRESS_PHONE_BIT, false},
};

typedef struct {
    souk_str_t id, user_id;
    souk_str_t texts[TEXTS]; /* data NULL: none */
    bool default_shipping, default_billing;
} address_t;

static souk_err_t s_forms(souk_ctx_t *ctx, address_t *self) {
    for (size_t i = 0; i < TEXTS; i++) {
        SOUK_TRY(users_line(ctx, s_texts[i].pointer, self->texts[i], s_texts[i].points_max,
                            &self->texts[i]));
    }
    if (!souk_country_valid(self->texts[COUNTRY])) {
        return souk_ctx_fail_field(ctx, "/country", "must be a country of ISO 3166-1 alpha-2");
    }
    if (self->texts[PHONE].data != NULL && !souk_phone_valid(self->texts[PHONE])) {
        return souk_ctx_fail_field(ctx, "/phone", "must be a phone number");
    }
    return SOUK_OK;
}

souk_err_t users_address_fill(const souk_pg_rows_t *rows, size_t row,
                              users_saved_address_t *ret_address) {
    static void (*const setters[TEXTS])(users_saved_address_t * self, souk_str_t value) = {
        [NAME] = users_saved_address_set_name,
        [COMPANY] = users_saved_address_set_company,
        [LINE1] = users_saved_address_set_line1,
        [LINE2] = users_saved_address_set_line2,
        [CITY] = users_saved_address_set_city,
        [REGION] = users_saved_address_set_region,
        [POSTAL_CODE] = users_saved_address_set_postal_code,
        [COUNTRY] = users_saved_address_set_country,
        [PHONE] = users_saved_address_set_phone,
    };
    users_saved_address_set_id(ret_address, souk_pg_get_str(rows, row, 0));
    users_saved_address_set_version(ret_address, souk_pg_get_int(rows, row, 1));
    for (size_t i = 0; i < TEXTS; i++) {
        souk_str_t text = souk_pg_get_str(rows, row, 2 + (int)i);
        if (text.data != NULL) {
            setters[i](ret_address, text);
        }
    }
    users_saved_address_set_default_shipping(ret_address, souk_pg_get_bool(rows, row, 2 + TEXTS));
    users_saved_address_set_default_billing(ret_address, souk_pg_get_bool(rows, row, 3 + TEXTS));
    users_saved_address_set_created_at(ret_address, souk_pg_get_time(rows, row, 4 + TEXTS));
    users_saved_address_set_updated_at(ret_address, souk_pg_get_time(rows, row, 5 + TEXTS));
    return SOUK_OK;
}

/* ---- reads ---- */

souk_err_t users_addresses_list(souk_ctx_t *ctx, const users_addresses_list_req_t *req,
                                users_addresses_list_rep_t *ret_rep) {
    (void)req;
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, false, &account));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account.id);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &users_addresses_of, &args, &rows));
    size_t count = souk_pg_count(rows);
    users_saved_address_t *items =
        users_addresses_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(users_address_fill(rows, i, &items[i]));
    }
    return SOUK_OK;
}

static souk_err_t s_read(souk_ctx_t *ctx, souk_str_t id, souk_str_t user_id,
                         const souk_pg_rows_t **ret_rows) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, id);
    souk_pg_str(&args, user_id);
    SOUK_TRY(souk_pg_run(ctx, &s_get, &args, ret_rows));
    return souk_pg_count(*ret_rows) == 1 ? SOUK_OK : SOUK_ERR_NOT_FOUND;
}

souk_err_t users_addresses_get(souk_ctx_t *ctx, const users_addresses_get_req_t *req,
                               users_addresses_get_rep_t *ret_rep) {
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, false, &account));
    const souk_pg_rows_t *rows;
    SOUK_TRY(s_read(ctx, req->id, account.id, &rows));
    return users_address_fill(rows, 0, ret_rep);
}

/* ---- writes ---- */

/* The address becomes the default of a kind: the former one stops being it first. */
static souk_err_t s_take_defaults(souk_ctx_t *ctx, const address_t *self) {
    if (!self->default_shipping && !self->default_billing) {
        return SOUK_OK;
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, self->user_id);
    souk_pg_bool(&args, self->default_shipping);
    souk_pg_bool(&args, self->default_billing);
    souk_pg_str(&args, self->id);
    return souk_pg_post(ctx, &s_no_default, &args);
}

static souk_err_t s_store(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, const address_t *self,
                          users_saved_address_t *ret_address) {
    SOUK_TRY(s_take_defaults(ctx, self));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, self->id);
    souk_pg_str(&args, self->user_id);
    for (size_t i = 0; i < TEXTS; i++) {
        souk_pg_str(&args, self->texts[i]);
    }
    souk_pg_bool(&args, self->default_shipping);
    souk_pg_bool(&args, self->default_billing);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, stmt, &args, &rows));
    return users_address_fill(rows, 0, ret_address);
}

static souk_err_t s_create(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_addresses_create_req_t *req = arg;
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, true, &account));
    address_t address = {
        .texts = {req->name, req->company, req->line1, req->line2, req->city, req->region,
                  req->postal_code, req->country, req->phone},
        .default_shipping = req->default_shipping,
        .default_billing = req->default_billing,
    };
    SOUK_TRY(s_forms(ctx, &address));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account.id);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_count, &args, &rows));
    if (souk_pg_get_int(rows, 0, 0) >= ADDRESSES_MAX) {
        return souk_ctx_fail(ctx, SOUK_ERR_LIMIT_MET, "an account has at most %d addresses",
                             ADDRESSES_MAX);
    }
    char id[SOUK_ID_BYTES_MAX];
    address.id = (souk_str_t){.data = id, .size = souk_id_new("adr_", id)};
    address.user_id = account.id;
    return s_store(ctx, &s_insert, &address, ret_rep);
}

souk_err_t users_addresses_create(souk_ctx_t *ctx, const users_addresses_create_req_t *req,
                                  users_addresses_create_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_create, req, ret_rep);
}

/* Absent fields are taken from the row, null clears. */
static void s_merge(const users_addresses_update_req_t *req, const souk_pg_rows_t *rows,
                    address_t *address) {
    static const unsigned bits[TEXTS] = {
        [NAME] = USERS_ADDRESSES_UPDATE_REQ_NAME_BIT,
        [COMPANY] = USERS_ADDRESSES_UPDATE_REQ_COMPANY_BIT,
        [LINE1] = USERS_ADDRESSES_UPDATE_REQ_LINE1_BIT,
        [LINE2] = USERS_ADDRESSES_UPDATE_REQ_LINE2_BIT,
        [CITY] = USERS_ADDRESSES_UPDATE_REQ_CITY_BIT,
        [REGION] = USERS_ADDRESSES_UPDATE_REQ_REGION_BIT,
        [POSTAL_CODE] = USERS_ADDRESSES_UPDATE_REQ_POSTAL_CODE_BIT,
        [COUNTRY] = USERS_ADDRESSES_UPDATE_REQ_COUNTRY_BIT,
        [PHONE] = USERS_ADDRESSES_UPDATE_REQ_PHONE_BIT,
    };
    const souk_str_t given[TEXTS] = {req->name,        req->company, req->line1,
                                     req->line2,       req->city,    req->region,
                                     req->postal_code, req->country, req->phone};
    for (size_t i = 0; i < TEXTS; i++) {
        bool is_given = souk_bits_has(&req->bits, bits[i]);
        bool is_null = is_given && souk_bits_nil(&req->bits, bits[i]);
        souk_str_t stored = souk_pg_get_str(rows, 0, 2 + (int)i);
        address->texts[i] = is_null ? (souk_str_t){0} : is_given ? given[i] : stored;
    }
    address->default_shipping =
        souk_bits_has(&req->bits, USERS_ADDRESSES_UPDATE_REQ_DEFAULT_SHIPPING_BIT)
            ? req->default_shipping
            : souk_pg_get_bool(rows, 0, 2 + TEXTS);
    address->default_billing =
        souk_bits_has(&req->bits, USERS_ADDRESSES_UPDATE_REQ_DEFAULT_BILLING_BIT)
            ? req->default_billing
            : souk_pg_get_bool(rows, 0, 3 + TEXTS);
}

static souk_err_t s_change(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_addresses_update_req_t *req = arg;
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, true, &account));
    const souk_pg_rows_t *rows;
    SOUK_TRY(s_read(ctx, req->id, account.id, &rows));
    SOUK_TRY(users_require_version(req->if_match, souk_pg_get_int(rows, 0, 1)));
    address_t address = {.id = req->id, .user_id = account.id};
    s_merge(req, rows, &address);
    SOUK_TRY(s_forms(ctx, &address));
    return s_store(ctx, &s_update, &address, ret_rep);
}

souk_err_t users_addresses_update(souk_ctx_t *ctx, const users_addresses_update_req_t *req,
                                  users_addresses_update_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_change, req, ret_rep);
}

static souk_err_t s_remove(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const users_addresses_delete_req_t *req = arg;
    return users_actor_delete(ctx, &s_delete, req->id);
}

souk_err_t users_addresses_delete(souk_ctx_t *ctx, const users_addresses_delete_req_t *req,
                                  users_addresses_delete_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_remove, req, ret_rep);
}
