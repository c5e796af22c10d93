/* Calls from several threads over a scripted broker: each gets its own answer, silence ends at the
 * deadline, a broker that comes back is found again, and a close lets everybody go. Runs under
 * ThreadSanitizer. */
#include "runtime/caller.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "souk/clock.h"
#include "souk/envelope.h"
#include "stub_broker.h"

#define CALLERS 4
#define CALLS_EACH 300
#define LONG_MS 60000
#define SHORT_MS 50

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expr);             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static stub_broker_t *s_broker;
static atomic_int s_silent; /* calls of t.silent that have come in */

/* Echoes bodies of t.echo, refuses t.refuse, says nothing to t.silent. */
static void s_answer(void *arg, const souk_req_t *req, souk_buf_t *out) {
    (void)arg;
    if (souk_str_equal(req->method, SOUK_STR("echo"))) {
        souk_envelope_rep(out, req->corr, 0, -1, req->body);
    } else if (souk_str_equal(req->method, SOUK_STR("refuse"))) {
        souk_buf_t fault;
        souk_buf_init(&fault, 1024);
        souk_fault_write(&fault, &(souk_fault_t){.err = SOUK_ERR_NOT_FOUND});
        souk_envelope_err(out, req->corr, -1, souk_buf_str(&fault));
        souk_buf_done(&fault);
    } else {
        atomic_fetch_add(&s_silent, 1);
    }
}

/* ---- calls ---- */

static souk_caller_t *s_caller;

static souk_err_t s_call(const char *method, int64_t number, uint32_t timeout_ms,
                         souk_arena_t *arena, souk_str_t *ret_reply) {
    souk_buf_t body;
    souk_buf_init(&body, 1024);
    souk_mp_write_map(&body, 1);
    souk_mp_write_str(&body, SOUK_STR("number"));
    souk_mp_write_int(&body, number);
    const souk_callee_t callee = {.service = "t",
                                  .method = method,
                                  .class_ = SOUK_CLASS_READ,
                                  .priority = SOUK_PRIORITY_BATCH,
                                  .timeout_ms = timeout_ms};
    souk_err_t err = souk_caller_call(s_caller, &callee, souk_buf_str(&body), arena, ret_reply);
    souk_buf_done(&body);
    return err;
}

static int64_t s_number_of(souk_str_t reply) {
    souk_mp_cursor_t cursor;
    souk_str_t name;
    uint32_t pairs = 0;
    int64_t number = -1;
    souk_mp_cursor_init(&cursor, reply.data, reply.size);
    CHECK(souk_mp_read_map(&cursor, &pairs) == SOUK_OK && pairs == 1);
    CHECK(souk_mp_read_str(&cursor, &name) == SOUK_OK);
    CHECK(souk_mp_read_int(&cursor, &number) == SOUK_OK);
    return number;
}

/* Until the caller has a session with the broker. */
static void s_until_up(void) {
    souk_arena_t *arena = souk_arena_new(4096, 0);
    souk_str_t reply;
    int64_t until_us = souk_clock_mono_us() + (int64_t)LONG_MS * 1000;
    while (s_call("echo", 1, LONG_MS, arena, &reply) != SOUK_OK) {
        CHECK(souk_clock_mono_us() < until_us);
        sched_yield();
    }
    souk_arena_destroy(&arena);
}

static void *s_many(void *arg) {
    int64_t first = *(const int64_t *)arg;
    souk_arena_t *arena = souk_arena_new(4096, 4096);
    for (int64_t i = first; i < first + CALLS_EACH; i++) {
        souk_str_t reply;
        souk_arena_reset(arena);
        CHECK(s_call("echo", i, LONG_MS, arena, &reply) == SOUK_OK);
        CHECK(s_number_of(reply) == i);
    }
    souk_arena_destroy(&arena);
    return NULL;
}

static void s_each_gets_its_own_answer(void) {
    pthread_t threads[CALLERS];
    int64_t firsts[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        firsts[i] = (int64_t)i * CALLS_EACH;
        CHECK(pthread_create(&threads[i], NULL, s_many, &firsts[i]) == 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void s_errors_come_as_they_are(void) {
    souk_arena_t *arena = souk_arena_new(4096, 0), *small = souk_arena_new(4, 0);
    souk_str_t reply = SOUK_STR("untouched");
    CHECK(s_call("refuse", 1, LONG_MS, arena, &reply) == SOUK_ERR_NOT_FOUND);
    CHECK(s_call("silent", 1, SHORT_MS, arena, &reply) == SOUK_ERR_TIMEOUT);
    CHECK(s_call("silent", 1, 0, arena, &reply) == SOUK_ERR_TIMEOUT);
    CHECK(s_call("echo", 1, LONG_MS, small, &reply) == SOUK_ERR_NO_MEMORY);
    CHECK(souk_str_equal(reply, SOUK_STR("untouched")));
    souk_arena_destroy(&small);
    souk_arena_destroy(&arena);
}

static void s_a_broker_that_comes_back_is_found(void) {
    souk_arena_t *arena = souk_arena_new(4096, 0);
    souk_str_t reply;
    stub_broker_stop(s_broker);
    souk_err_t err = SOUK_OK;
    int64_t until_us = souk_clock_mono_us() + (int64_t)LONG_MS * 1000;
    while (err != SOUK_ERR_NO_BROKER) { /* at first the session's end is not known: a time-out */
        err = s_call("echo", 1, SHORT_MS, arena, &reply);
        CHECK(err != SOUK_OK && souk_clock_mono_us() < until_us);
    }
    stub_broker_start(s_broker);
    s_until_up();
    souk_arena_destroy(&arena);
}

static void *s_wait_for_ever(void *arg) {
    souk_arena_t *arena = souk_arena_new(4096, 0);
    souk_str_t reply;
    *(souk_err_t *)arg = s_call("silent", 1, LONG_MS, arena, &reply);
    souk_arena_destroy(&arena);
    return NULL;
}

static void s_close_lets_everybody_go(void) {
    pthread_t threads[CALLERS];
    souk_err_t errs[CALLERS];
    souk_str_t reply;
    atomic_store(&s_silent, 0);
    for (int i = 0; i < CALLERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, s_wait_for_ever, &errs[i]) == 0);
    }
    while (atomic_load(&s_silent) < CALLERS) {
        sched_yield();
    }
    souk_caller_close(s_caller);
    for (int i = 0; i < CALLERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(errs[i] == SOUK_ERR_CANCELLED);
    }
    souk_arena_t *arena = souk_arena_new(4096, 0);
    CHECK(s_call("echo", 1, LONG_MS, arena, &reply) == SOUK_ERR_CLOSED);
    souk_arena_destroy(&arena);
}

int main(void) {
    CHECK(souk_caller_new("", "t", &s_caller) == SOUK_ERR_MALFORMED);
    s_broker = stub_broker_new(s_answer, NULL);
    CHECK(souk_caller_new(stub_broker_endpoint(s_broker), "caller-test", &s_caller) == SOUK_OK);
    s_until_up();
    s_each_gets_its_own_answer();
    s_errors_come_as_they_are();
    s_a_broker_that_comes_back_is_found();
    s_close_lets_everybody_go();
    souk_caller_destroy(&s_caller);
    stub_broker_destroy(&s_broker);
    printf("caller: %d calls answered\n", CALLERS * CALLS_EACH);
    return 0;
}
