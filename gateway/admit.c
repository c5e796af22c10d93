#include "gateway/admit.h"

#include "gateway/gateway.h"
#include "gateway/problem.h"
#include "souk/clock.h"

const souk_address_t *souk_admit_address(const souk_exchange_t *exchange) {
    return exchange->forwarded ? &exchange->address : &exchange->conn->address;
}

/* ---- rates ---- */

static char s_limit_kind(souk_who_t who) {
    static const char kinds[SOUK_WHOS_COUNT] = {[SOUK_WHO_NOBODY] = 'a',
                                                [SOUK_WHO_USER] = 'u',
                                                [SOUK_WHO_GUEST] = 'g',
                                                [SOUK_WHO_API_KEY] = 'k',
                                                [SOUK_WHO_UNKNOWN] = 'a'};
    return kinds[who];
}

/* Takes one request of id; answers 429 when there was none left. What is nearer to its limit is
 * told in the answer's head. who NOBODY: an address. */
static bool s_take_rate(souk_exchange_t *exchange, souk_who_t who, souk_str_t id,
                        souk_rate_t rate) {
    const souk_gateway_t *gateway = exchange->server->gateway;
    souk_limit_state_t state = souk_limit_take(gateway->limit, s_limit_kind(who), id, rate,
                                               souk_loop_now_us(exchange->server->loop));
    if (state.limit == 0) {
        return true;
    }
    if (exchange->limit.limit == 0 || !state.allowed ||
        state.remaining < exchange->limit.remaining) {
        exchange->limit = state;
    }
    if (!state.allowed) {
        souk_metric_add(gateway->stats.rate_limited[who], 1);
        souk_problem_answer(exchange, &(souk_problem_t){.err = SOUK_ERR_RATE_LIMITED});
    }
    return state.allowed;
}

bool souk_admit_client(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in) {
    const souk_gateway_t *gateway = exchange->server->gateway;
    int64_t hops = gateway->config->forwarded_hops;
    exchange->forwarded = hops > 0 && souk_address_forwarded(http1, in, hops, &exchange->address);
    return s_take_rate(exchange, SOUK_WHO_NOBODY,
                       souk_address_network(souk_admit_address(exchange)), gateway->rate_address);
}

/* ---- credentials ---- */

typedef struct {
    souk_err_t err;
    const char *challenge, *detail;
} refusal_t;

/* RFC 6750, section 3: no error where no token was sent. */
static const refusal_t s_refusals[SOUK_AUTH_OUTCOMES_COUNT] = {
    [SOUK_AUTH_MISSING] = {SOUK_ERR_UNAUTHENTICATED, "Bearer realm=\"souk\"",
                           "Send Authorization: Bearer with an access token, a guest token or an "
                           "API key, as the resource asks for."},
    [SOUK_AUTH_INVALID] = {SOUK_ERR_UNAUTHENTICATED,
                           "Bearer realm=\"souk\", error=\"invalid_token\"",
                           "The token in Authorization is not good."},
    [SOUK_AUTH_EXPIRED] = {SOUK_ERR_UNAUTHENTICATED,
                           "Bearer realm=\"souk\", error=\"invalid_token\", "
                           "error_description=\"expired\"",
                           "The access token has expired."},
    [SOUK_AUTH_FORBIDDEN] = {SOUK_ERR_FORBIDDEN, NULL, NULL},
    [SOUK_AUTH_UNAVAILABLE] = {SOUK_ERR_KEYS_UNAVAILABLE, NULL, NULL},
};

static bool s_refuse(souk_exchange_t *exchange, souk_auth_outcome_t outcome) {
    refusal_t refusal = s_refusals[outcome];
    if (outcome == SOUK_AUTH_FORBIDDEN && exchange->entry->route->auth == SOUK_AUTH_SCOPE) {
        refusal.challenge = "Bearer realm=\"souk\", error=\"insufficient_scope\"";
    }
    souk_problem_answer(exchange, &(souk_problem_t){.err = refusal.err,
                                                    .detail = refusal.detail,
                                                    .challenge = refusal.challenge});
    return false;
}

/* Identifies and notes the principal. */
static souk_auth_outcome_t s_look(souk_exchange_t *exchange, const souk_http1_t *http1,
                                  const souk_buf_t *in, souk_identity_t *ret) {
    souk_auth_t *auth = exchange->server->auth;
    souk_str_t header = souk_http1_known(http1, in, SOUK_HTTP1_AUTHORIZATION);
    souk_auth_outcome_t outcome =
        souk_auth_identify(auth, header, souk_clock_unix_us() / 1000000, ret);
    outcome = souk_auth_permit(exchange->entry->route, ret, outcome);
    souk_buf_clear(&exchange->principal);
    souk_buf_append_str(&exchange->principal, ret->principal);
    souk_assert(!exchange->principal.overflow); /* keys are bounded, users' scopes are ours */
    exchange->auth_generation = souk_auth_generation(auth);
    exchange->auth_until_s = ret->until_s;
    return outcome;
}

bool souk_admit_begin(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in) {
    const souk_gateway_t *gateway = exchange->server->gateway;
    if (exchange->entry->route->auth == SOUK_AUTH_NONE) {
        return true;
    }
    souk_identity_t identity;
    souk_auth_outcome_t outcome = s_look(exchange, http1, in, &identity);
    souk_metric_add(gateway->stats.auth[identity.who][outcome], 1);
    if (identity.id.size > 0 &&
        !s_take_rate(exchange, identity.who, identity.id, gateway->rate_key)) {
        return false;
    }
    return outcome == SOUK_AUTH_GOOD || s_refuse(exchange, outcome);
}

bool souk_admit_call(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in) {
    if (exchange->entry->route->auth == SOUK_AUTH_NONE) {
        return true;
    }
    if (exchange->auth_generation == souk_auth_generation(exchange->server->auth) &&
        (exchange->auth_until_s == INT64_MAX ||
         souk_clock_unix_us() / 1000000 < exchange->auth_until_s)) {
        return true;
    }
    souk_identity_t identity;
    souk_auth_outcome_t outcome = s_look(exchange, http1, in, &identity);
    return outcome == SOUK_AUTH_GOOD || s_refuse(exchange, outcome);
}
