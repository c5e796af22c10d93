/* Guesses and mails, bounded by account and by client address (docs/security.md has the policy).
 * Buckets are rows of the table throttle, so that they hold over all workers; their keys are keyed
 * hashes, so that the table names nobody. */
#ifndef USERS_THROTTLE_H
#define USERS_THROTTLE_H

#include "users.h"

typedef enum {
    USERS_BUCKET_LOGIN_PAIR,    /* account and address */
    USERS_BUCKET_LOGIN_ACCOUNT, /* account, from addresses that it does not know */
    USERS_BUCKET_LOGIN_ADDRESS, /* address, to accounts that do not know it */
    USERS_BUCKET_REGISTER,      /* address */
    USERS_BUCKET_MAIL_ADDRESS,  /* address */
    USERS_BUCKET_MAIL_RESET,    /* account */
    USERS_BUCKET_MAIL_ATTEMPT,  /* account */
    USERS_BUCKET_MAIL_VERIFY,   /* account */
    USERS_BUCKET_CONFIRM,       /* session: the present password, codes */
    USERS_BUCKET_TOKEN,         /* address: tokens of mails */
} users_bucket_kind_t;

typedef struct {
    uint8_t key[16];
    int64_t gap_ms, burst;
    bool whole; /* success empties it, instead of giving one place back */
} users_bucket_t;

#define USERS_BUCKETS_MAX 4

/* who and address: "" when the kind has none. */
users_bucket_t users_bucket(const users_t *service, users_bucket_kind_t kind, souk_str_t who,
                            souk_str_t address);

/* A place in each, or in none and SOUK_ERR_RATE_LIMITED with Retry-After. */
SOUK_MUST_CHECK souk_err_t users_throttle_take(souk_ctx_t *ctx, const users_bucket_t *buckets,
                                               size_t count);
/* As above, but tells instead of failing: inside a write that goes on either way. */
SOUK_MUST_CHECK souk_err_t users_throttle_try(souk_ctx_t *ctx, const users_bucket_t *bucket,
                                              bool *ret_taken);
/* What was taken was no guess, and comes back. succeeded: it was right, so former ones are forgiven
 * in the buckets that say so (whole); never for less, or wrong guesses could be bought off by calls
 * that try nothing. */
SOUK_MUST_CHECK souk_err_t users_throttle_give(souk_ctx_t *ctx, const users_bucket_t *buckets,
                                               size_t count, bool succeeded);

/* The client's address as it is throttled and remembered (address.h). In the call's arena; "" when
 * unknown. */
souk_str_t users_client_address(souk_ctx_t *ctx);

#endif
