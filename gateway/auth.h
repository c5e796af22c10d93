/* Who sends a request, and whether they may. Of one thread; shares the trust board with the others.
 *
 * The token's beginning tells its kind: souk_ an API key, eyJ an access token, gst. a guest. */
#ifndef SOUK_GATEWAY_AUTH_H
#define SOUK_GATEWAY_AUTH_H

#include "gateway/keys_file.h"
#include "gateway/trust.h"
#include "souk/guest.h"
#include "souk/route.h"

typedef struct souk_auth souk_auth_t;

typedef struct {
    const char *keys_file;
    const souk_guest_keys_t *guest_keys; /* borrowed, as is the board */
    souk_trust_board_t *board;
    bool has_source;    /* there is an auth_source: without its answer nobody can be told apart */
    int64_t skew_s;     /* of clocks */
    int64_t stale_us;   /* how long an answer of the source stands without a newer one */
    size_t cache_count; /* access tokens that are kept verified */
} souk_auth_options_t;

typedef enum {
    SOUK_WHO_NOBODY,
    SOUK_WHO_USER,
    SOUK_WHO_GUEST,
    SOUK_WHO_API_KEY,
    SOUK_WHO_UNKNOWN, /* what was sent is no token of ours */
    SOUK_WHOS_COUNT,
} souk_who_t;

typedef enum {
    SOUK_AUTH_GOOD,
    SOUK_AUTH_MISSING,
    SOUK_AUTH_INVALID,
    SOUK_AUTH_EXPIRED,
    SOUK_AUTH_FORBIDDEN,
    SOUK_AUTH_UNAVAILABLE, /* the keys are not known here at the moment */
    SOUK_AUTH_OUTCOMES_COUNT,
} souk_auth_outcome_t;

/* Borrowed until the next call with the same souk_auth_t. */
typedef struct {
    souk_who_t who;
    souk_str_t id;        /* for limits: the subject, or the API key's id */
    souk_str_t principal; /* encoded; data NULL: nobody */
    int64_t until_s;      /* unix: from then on it has to be asked again */
    uint32_t roles;       /* of a user */
    const souk_key_t *key;
} souk_identity_t;

souk_auth_t *souk_auth_new(const souk_auth_options_t *options);
void souk_auth_destroy(souk_auth_t **self_p);

/* Looks whether the last answer on the board still stands. Often, and cheap. */
void souk_auth_refresh(souk_auth_t *self, int64_t now_us);
/* Looks at the keys file, as souk_keys_file_refresh. */
souk_keys_change_t souk_auth_refresh_file(souk_auth_t *self, const char **ret_cause);
size_t souk_auth_file_keys_count(const souk_auth_t *self);
/* Whether the source has answered, and lately enough. True without a source. */
bool souk_auth_knows_keys(const souk_auth_t *self);
/* Changes whenever somebody who was let in before might not be any more. */
uint64_t souk_auth_generation(souk_auth_t *self);

/* authorization: the header's value, data NULL when absent. ret->who is set whatever the outcome
 * (GOOD, MISSING, INVALID, EXPIRED, UNAVAILABLE); now_s is unix time. */
souk_auth_outcome_t souk_auth_identify(souk_auth_t *self, souk_str_t authorization, int64_t now_s,
                                       souk_identity_t *ret);
/* Whether the route is for whom was identified with that outcome: what souk_auth_identify said,
 * GOOD where nobody is good enough, FORBIDDEN. */
souk_auth_outcome_t souk_auth_permit(const souk_route_t *route, const souk_identity_t *identity,
                                     souk_auth_outcome_t identified);

#endif
