/* Calls from several threads over a scripted broker: each gets its own answer, silence ends at the
 * deadline, a broker that comes back is found again, and a close lets everybody go. Runs under
 * ThreadSanitizer. */
#include "runtime/caller.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "souk/clock.h"
#include "souk/envelope.h"

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

/* ---- a broker: echoes bodies of t.echo, refuses t.refuse, says nothing to t.silent ---- */

typedef struct {
    void *context;
    pthread_t thread;
    char endpoint[64];
    uint64_t epoch;
    atomic_bool stop;
    atomic_int bound, silent; /* t.silent calls that have come in */
} broker_t;

static void s_answer_req(broker_t *self, const souk_req_t *req, souk_buf_t *out) {
    if (souk_str_equal(req->method, SOUK_STR("echo"))) {
        souk_envelope_rep(out, req->corr, 0, -1, req->body);
    } else if (souk_str_equal(req->method, SOUK_STR("refuse"))) {
        souk_buf_t fault;
        souk_buf_init(&fault, 1024);
        souk_fault_write(&fault, &(souk_fault_t){.err = SOUK_ERR_NOT_FOUND});
        souk_envelope_err(out, req->corr, -1, souk_buf_str(&fault));
        souk_buf_done(&fault);
    } else {
        atomic_fetch_add(&self->silent, 1);
    }
}

static void s_on_frame(broker_t *self, souk_str_t frame, souk_buf_t *out) {
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, frame.data, frame.size);
    while (!souk_mp_at_end(&cursor)) {
        souk_envelope_t envelope;
        CHECK(souk_envelope_read(&cursor, &envelope) == SOUK_OK);
        if (envelope.type == SOUK_MSG_HELLO) {
            souk_welcome_t welcome = {.epoch = self->epoch,
                                      .heartbeat_ms = 200,
                                      .envelope_bytes_max = 1 << 20,
                                      .broker_name = SOUK_STR("scripted")};
            souk_envelope_welcome(out, &welcome);
        } else if (envelope.type == SOUK_MSG_PING) {
            souk_envelope_pong(out, envelope.as.ping.token);
        } else if (envelope.type == SOUK_MSG_REQ) {
            s_answer_req(self, &envelope.as.req, out);
        }
    }
}

static void *s_broker_run(void *arg) {
    static char frame[1 << 20];
    broker_t *self = arg;
    souk_buf_t out;
    souk_buf_init(&out, 1 << 22);
    void *socket = zmq_socket(self->context, ZMQ_ROUTER);
    int linger = 0, timeout_ms = 20;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    while (zmq_bind(socket, self->endpoint) != 0) { /* the former socket may take a moment to go */
        sched_yield();
    }
    size_t size = sizeof self->endpoint;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, self->endpoint, &size);
    atomic_store(&self->bound, 1);
    while (!atomic_load(&self->stop)) {
        uint8_t peer[8];
        int peer_bytes = zmq_recv(socket, peer, sizeof peer, 0);
        if (peer_bytes <= 0) {
            continue;
        }
        int bytes = zmq_recv(socket, frame, sizeof frame, 0);
        CHECK(bytes >= 0);
        s_on_frame(self, (souk_str_t){.data = frame, .size = (size_t)bytes}, &out);
        if (out.size > 0) {
            zmq_send(socket, peer, (size_t)peer_bytes, ZMQ_SNDMORE);
            zmq_send(socket, out.data, out.size, 0);
            souk_buf_clear(&out);
        }
    }
    zmq_close(socket);
    souk_buf_done(&out);
    return NULL;
}

static void s_broker_start(broker_t *self) {
    self->epoch++;
    atomic_store(&self->stop, false);
    atomic_store(&self->bound, 0);
    CHECK(pthread_create(&self->thread, NULL, s_broker_run, self) == 0);
    while (atomic_load(&self->bound) == 0) {
        sched_yield();
    }
}

static void s_broker_stop(broker_t *self) {
    atomic_store(&self->stop, true);
    CHECK(pthread_join(self->thread, NULL) == 0);
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

static void s_a_broker_that_comes_back_is_found(broker_t *broker) {
    souk_arena_t *arena = souk_arena_new(4096, 0);
    souk_str_t reply;
    s_broker_stop(broker);
    souk_err_t err = SOUK_OK;
    int64_t until_us = souk_clock_mono_us() + (int64_t)LONG_MS * 1000;
    while (err != SOUK_ERR_NO_BROKER) { /* at first the session's end is not known: a time-out */
        err = s_call("echo", 1, SHORT_MS, arena, &reply);
        CHECK(err != SOUK_OK && souk_clock_mono_us() < until_us);
    }
    s_broker_start(broker);
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

static void s_close_lets_everybody_go(broker_t *broker) {
    pthread_t threads[CALLERS];
    souk_err_t errs[CALLERS];
    souk_str_t reply;
    atomic_store(&broker->silent, 0);
    for (int i = 0; i < CALLERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, s_wait_for_ever, &errs[i]) == 0);
    }
    while (atomic_load(&broker->silent) < CALLERS) {
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
    broker_t broker = {.context = zmq_ctx_new(), .endpoint = "tcp://127.0.0.1:*"};
    CHECK(souk_caller_new("", "t", &s_caller) == SOUK_ERR_MALFORMED);
    s_broker_start(&broker);
    CHECK(souk_caller_new(broker.endpoint, "caller-test", &s_caller) == SOUK_OK);
    s_until_up();
    s_each_gets_its_own_answer();
    s_errors_come_as_they_are();
    s_a_broker_that_comes_back_is_found(&broker);
    s_close_lets_everybody_go(&broker);
    souk_caller_destroy(&s_caller);
    s_broker_stop(&broker);
    zmq_ctx_term(broker.context);
    printf("caller: %d calls answered\n", CALLERS * CALLS_EACH);
    return 0;
}
