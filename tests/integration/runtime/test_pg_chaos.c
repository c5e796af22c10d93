/* Many callers repeat the same keyed requests beside each other while connections are ended at
 * random: each request has one effect, and all its callers get one answer. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gen/diag.h"
#include "lab.h"

TestSuite(pg_chaos, .init = lab_init, .fini = lab_done);

#define CALLERS 6
#define KEYS 40
#define KEY_BYTES 16
#define REPLY_BYTES 64

typedef struct {
    pthread_t thread;
    unsigned seed;
    souk_pg_t *pg;
    char replies[KEYS][REPLY_BYTES];
    size_t sizes[KEYS];
    int tries;
    souk_err_t failure; /* one that may not be */
} caller_t;

static caller_t callers[CALLERS];
static atomic_int runs, left;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* the lab's arena */

static const souk_pg_stmt_t s_insert = {.name = "lab_insert",
                                        .sql = "INSERT INTO notes (id, text) VALUES ($1, $2)"};

static souk_err_t s_body(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    int run = atomic_fetch_add(&runs, 1) + 1;
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_int(&args, run);
    souk_pg_str(&args, souk_ctx_key(ctx));
    SOUK_TRY(souk_pg_run(ctx, &s_insert, &args, NULL));
    diag_echo_rep_set_number(ret_rep, run);
    return SOUK_OK;
}

static souk_err_t s_write(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    return souk_pg_write(ctx, s_body, req, ret_rep);
}

/* As the runtime does between calls. */
static void s_mend(caller_t *self) {
    while (!souk_pg_ok(self->pg)) {
        souk_pg_close(&self->pg);
        self->failure = souk_pg_open(&lab.options, &self->pg);
    }
}

static bool s_try(caller_t *self, int key) {
    char name[KEY_BYTES];
    (void)snprintf(name, sizeof(name), "key-%d", key);
    pthread_mutex_lock(&mutex);
    souk_ctx_t *ctx = lab_begin(&(lab_call_t){.handler = s_write, .key = name, .hash = "h"});
    pthread_mutex_unlock(&mutex);
    souk_ctx_run(ctx, NULL, self->pg);
    souk_str_t reply;
    souk_err_t err = souk_ctx_outcome(ctx, &reply);
    if (err == SOUK_OK) {
        self->sizes[key] = reply.size < REPLY_BYTES ? reply.size : REPLY_BYTES;
        memcpy(self->replies[key], reply.data, self->sizes[key]);
    } else if (err != SOUK_ERR_UNAVAILABLE) {
        self->failure = err;
    }
    souk_ctx_destroy(&ctx);
    self->tries++;
    s_mend(self);
    return err == SOUK_OK || self->failure != SOUK_OK;
}

static void *s_call_all(void *arg) {
    caller_t *self = arg;
    int first = rand_r(&self->seed) % KEYS;
    for (int i = 0; i < KEYS; i++) {
        while (!s_try(self, (first + i) % KEYS)) {
        }
    }
    atomic_fetch_sub(&left, 1);
    return NULL;
}

Test(pg_chaos, each_request_has_one_effect_and_one_answer, .timeout = 120) {
    souk_log_init("test", SOUK_LOG_ERROR, 2);
    lab_do("SET client_min_messages = error"); /* some end by themselves just then */
    atomic_store(&left, CALLERS);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i].seed = i + 1;
        callers[i].pg = lab_open();
        cr_assert_eq(pthread_create(&callers[i].thread, NULL, s_call_all, &callers[i]), 0);
    }
    while (atomic_load(&left) > 0) {
        lab_do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
               " 'souk-worker lab' AND datname = current_database() AND pid IN (SELECT pid FROM"
               " pg_locks WHERE relation IN ('notes'::regclass, 'idempotency'::regclass)) ORDER BY"
               " random() LIMIT 1");
    }
    int tries = 0;
    for (size_t i = 0; i < CALLERS; i++) {
        cr_assert_eq(pthread_join(callers[i].thread, NULL), 0);
        cr_assert_eq(callers[i].failure, SOUK_OK);
        tries += callers[i].tries;
        souk_pg_close(&callers[i].pg);
    }
    cr_assert(tries > CALLERS * KEYS, "nothing was ended in the middle");
    cr_assert_eq(lab_int("SELECT count(*) FROM notes"), KEYS);
    cr_assert_eq(lab_int("SELECT count(DISTINCT text) FROM notes"), KEYS);
    cr_assert_eq(lab_int("SELECT count(*) FROM idempotency WHERE reply IS NOT NULL"), KEYS);
    for (size_t i = 1; i < CALLERS; i++) {
        for (size_t key = 0; key < KEYS; key++) {
            cr_assert_eq(callers[i].sizes[key], callers[0].sizes[key]);
            cr_assert_arr_eq(callers[i].replies[key], callers[0].replies[key],
                             callers[0].sizes[key]);
        }
    }
}
