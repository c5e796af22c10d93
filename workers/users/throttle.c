#include "throttle.h"

#include "souk/address.h"

#define CONFIRM_GAP_MS 30000
#define CONFIRM_BURST 10

static const char *const s_labels[] = {
    [USERS_BUCKET_LOGIN_PAIR] = "login pair",
    [USERS_BUCKET_LOGIN_ACCOUNT] = "login account",
    [USERS_BUCKET_LOGIN_ADDRESS] = "login address",
    [USERS_BUCKET_REGISTER] = "register",
    [USERS_BUCKET_MAIL_ADDRESS] = "mail address",
    [USERS_BUCKET_MAIL_RESET] = "mail reset",
    [USERS_BUCKET_MAIL_ATTEMPT] = "mail attempt",
    [USERS_BUCKET_MAIL_VERIFY] = "mail verify",
    [USERS_BUCKET_CONFIRM] = "confirm",
    [USERS_BUCKET_TOKEN] = "token",
};

static void s_set_rate(const souk_worker_config_t *config, users_bucket_kind_t kind,
                       users_bucket_t *bucket) {
    switch (kind) {
    case USERS_BUCKET_LOGIN_PAIR:
        bucket->gap_ms = config->users_throttle_pair_s * 1000;
        bucket->burst = config->users_throttle_pair_burst;
        bucket->whole = true;
        break;
    case USERS_BUCKET_LOGIN_ACCOUNT:
        bucket->gap_ms = config->users_throttle_account_s * 1000;
        bucket->burst = config->users_throttle_account_burst;
        break;
    case USERS_BUCKET_LOGIN_ADDRESS:
    case USERS_BUCKET_REGISTER:
    case USERS_BUCKET_MAIL_ADDRESS:
    case USERS_BUCKET_TOKEN:
        bucket->gap_ms = config->users_throttle_address_s * 1000;
        bucket->burst = config->users_throttle_address_burst;
        break;
    case USERS_BUCKET_MAIL_RESET:
    case USERS_BUCKET_MAIL_ATTEMPT:
    case USERS_BUCKET_MAIL_VERIFY:
        bucket->gap_ms = config->users_throttle_mail_s * 1000;
        bucket->burst = config->users_throttle_mail_burst;
        break;
    case USERS_BUCKET_CONFIRM:
        bucket->gap_ms = CONFIRM_GAP_MS;
        bucket->burst = CONFIRM_BURST;
        bucket->whole = true;
        break;
    }
}

users_bucket_t users_bucket(const users_t *service, users_bucket_kind_t kind, souk_str_t who,
                            souk_str_t address) {
    users_bucket_t bucket = {0};
    /* Nested, so that no pair of texts can run together into another pair. */
    users_hash_t inner = users_secret_hash(&service->secret, SOUK_STR("throttle"), who);
    users_hash_t middle = users_secret_hash(&service->secret, users_hash_str(&inner), address);
    users_hash_t key =
        users_secret_hash(&service->secret, souk_str_of(s_labels[kind]), users_hash_str(&middle));
    memcpy(bucket.key, key.bytes, sizeof(bucket.key));
    s_set_rate(service->config, kind, &bucket);
    return bucket;
}

/* ---- the table ---- */

static const souk_pg_stmt_t s_take = {.name = "users_throttle_take",
                                      .sql = "SELECT throttle_take($1, $2, $3)"};
static const souk_pg_stmt_t s_give = {.name = "users_throttle_give",
                                      .sql = "SELECT 1 FROM throttle_give($1, $2, $3)"};

static void s_keys_and_gaps(souk_pg_args_t *args, const users_bucket_t *buckets, size_t count) {
    souk_assert(count > 0 && count <= USERS_BUCKETS_MAX);
    souk_str_t keys[USERS_BUCKETS_MAX];
    int64_t gaps[USERS_BUCKETS_MAX];
    for (size_t i = 0; i < count; i++) {
        keys[i] =
            (souk_str_t){.data = (const char *)buckets[i].key, .size = sizeof(buckets[i].key)};
        gaps[i] = buckets[i].gap_ms;
    }
    souk_pg_bytess(args, keys, count);
    souk_pg_ints(args, gaps, count);
}

static souk_err_t s_run_take(souk_ctx_t *ctx, const users_bucket_t *buckets, size_t count,
                             int64_t *ret_wait_ms) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    s_keys_and_gaps(&args, buckets, count);
    int64_t bursts[USERS_BUCKETS_MAX];
    for (size_t i = 0; i < count; i++) {
        bursts[i] = buckets[i].burst;
    }
    souk_pg_ints(&args, bursts, count);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_take, &args, &rows));
    *ret_wait_ms = souk_pg_get_int(rows, 0, 0);
    return SOUK_OK;
}

souk_err_t users_throttle_take(souk_ctx_t *ctx, const users_bucket_t *buckets, size_t count) {
    int64_t wait_ms = 0;
    SOUK_TRY(s_run_take(ctx, buckets, count, &wait_ms));
    if (wait_ms > 0) {
        souk_ctx_retry_after_ms(ctx, wait_ms < UINT32_MAX ? (uint32_t)wait_ms : UINT32_MAX);
        return SOUK_ERR_RATE_LIMITED;
    }
    return SOUK_OK;
}

souk_err_t users_throttle_try(souk_ctx_t *ctx, const users_bucket_t *bucket, bool *ret_taken) {
    int64_t wait_ms = 0;
    SOUK_TRY(s_run_take(ctx, bucket, 1, &wait_ms));
    *ret_taken = wait_ms == 0;
    return SOUK_OK;
}

souk_err_t users_throttle_give(souk_ctx_t *ctx, const users_bucket_t *buckets, size_t count,
                               bool succeeded) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    s_keys_and_gaps(&args, buckets, count);
    bool wholes[USERS_BUCKETS_MAX];
    for (size_t i = 0; i < count; i++) {
        wholes[i] = succeeded && buckets[i].whole;
    }
    souk_pg_bools(&args, wholes, count);
    return souk_pg_run(ctx, &s_give, &args, NULL);
}

souk_str_t users_client_address(souk_ctx_t *ctx) {
    char form[SOUK_ADDRESS_FORM_BYTES];
    souk_address_form(souk_ctx_address(ctx), form);
    souk_str_t copy = souk_arena_copy(souk_ctx_arena(ctx), souk_str_of(form));
    return copy.data != NULL ? copy : SOUK_STR("");
}
