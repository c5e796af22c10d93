/* One thread tells new keys, others verify tokens by them all the while: each finds either the old
 * set or the new one whole, and no set is freed under it. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "gateway/auth.h"
#include "signer.h"

#define NOW_S 1764028800
#define READERS 3
#define CHANGES 150

static souk_trust_board_t s_board;
static souk_guest_keys_t s_guest_keys;
static signer_t s_signer;
static char s_header[2][2048]; /* Authorization, signed as k0 and k1 */
static atomic_bool s_over;
static atomic_size_t s_good[2];

static void *s_read(void *arg) {
    (void)arg;
    souk_auth_t *auth = souk_auth_new(&(souk_auth_options_t){.keys_file = "/nonexistent",
                                                             .guest_keys = &s_guest_keys,
                                                             .board = &s_board,
                                                             .has_source = true,
                                                             .stale_us = INT64_MAX,
                                                             .cache_count = 8});
    souk_identity_t identity;
    while (!atomic_load(&s_over)) {
        for (size_t i = 0; i < 2; i++) {
            souk_auth_outcome_t outcome =
                souk_auth_identify(auth, souk_str_of(s_header[i]), NOW_S, &identity);
            souk_assert(outcome == SOUK_AUTH_GOOD || outcome == SOUK_AUTH_INVALID ||
                        outcome == SOUK_AUTH_UNAVAILABLE);
            if (outcome == SOUK_AUTH_GOOD) {
                souk_assert(souk_str_equal(identity.id, SOUK_STR(SIGNER_USER)));
                atomic_fetch_add(&s_good[i], 1);
            }
        }
        souk_auth_refresh(auth, 2);
    }
    souk_auth_destroy(&auth);
    return NULL;
}

static void s_tell(int number) {
    static souk_buf_t reply;
    souk_trust_t *trust = NULL;
    souk_buf_clear(&reply);
    reply.max = 4096;
    signer_write_reply(&s_signer, number % 2 == 0 ? "k0" : "k1", number, &reply);
    souk_err_t err = souk_trust_read(souk_buf_str(&reply), &trust);
    souk_assert(err == SOUK_OK);
    souk_trust_board_put(&s_board, &trust, 1);
    if (number == CHANGES) {
        souk_buf_done(&reply);
    }
}

int main(void) {
    static const char *const headers[] = {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k0\"}",
                                          "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}"};
    pthread_t threads[READERS];
    souk_trust_board_init(&s_board);
    signer_init(&s_signer);
    for (size_t i = 0; i < 2; i++) {
        const char *token =
            signer_sign(&s_signer, headers[i], signer_claims("\"staff\"", NOW_S, NOW_S + 600));
        size_t size = strlen(token);
        souk_assert(size + 8 < sizeof(s_header[i]));
        memcpy(s_header[i], "Bearer ", 7);
        memcpy(s_header[i] + 7, token, size + 1);
    }
    for (size_t i = 0; i < READERS; i++) {
        int rc = pthread_create(&threads[i], NULL, s_read, NULL);
        souk_assert(rc == 0);
    }
    for (int number = 1; number <= CHANGES; number++) {
        size_t before = atomic_load(&s_good[number % 2]);
        s_tell(number);
        while (atomic_load(&s_good[number % 2]) == before) { /* somebody has used it */
            sched_yield();
        }
    }
    atomic_store(&s_over, true);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    souk_trust_board_done(&s_board);
    signer_done(&s_signer);
    return 0;
}
