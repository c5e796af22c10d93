/* The client against scripted brokers: plain libzmq ROUTERs that do what a test tells them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "souk/client.h"

#define WAIT_US ((int64_t)20 * 1000 * 1000)
#define TICK_US 300
#define REQS_MAX 4096

static souk_loop_t *s_loop;
static void *s_context;

/* ---- A scripted broker -------------------------------------------------------------------------
 */

typedef struct {
    souk_str_t corr; /* copied */
    uint32_t flags, timeout_ms;
    char method[33], key[65];
} seen_req_t;

typedef struct {
    void *socket;
    souk_timer_t *tick;
    char endpoint[64];
    uint8_t peer[8];
    size_t peer_bytes;
    /* the script */
    bool ignores_hello, ignores_ping, echoes;
    uint32_t heartbeat_ms, envelope_bytes_max;
    uint64_t epoch;
    /* what it has seen */
    size_t hellos, pings, pongs, cancels, frames, reqs_count;
    char last_cancel[SOUK_CORR_BYTES + 1];
    seen_req_t reqs[REQS_MAX];
    souk_buf_t out;
} broker_t;

static void s_flush(broker_t *self) {
    if (self->out.size > 0) {
        zmq_send(self->socket, self->peer, self->peer_bytes, ZMQ_SNDMORE);
        zmq_send(self->socket, self->out.data, self->out.size, 0);
        souk_buf_clear(&self->out);
    }
}

static void s_welcome(broker_t *self) {
    souk_welcome_t welcome = {.epoch = self->epoch,
                              .heartbeat_ms = self->heartbeat_ms,
                              .envelope_bytes_max = self->envelope_bytes_max,
                              .broker_name = SOUK_STR("scripted")};
    memcpy(welcome.session, &self->hellos, sizeof(self->hellos));
    souk_envelope_welcome(&self->out, &welcome);
}

static void s_on_req(broker_t *self, const souk_req_t *req) {
    cr_assert_lt(self->reqs_count, REQS_MAX);
    seen_req_t *seen = &self->reqs[self->reqs_count++];
    char *corr = malloc(req->corr.size);
    memcpy(corr, req->corr.data, req->corr.size);
    *seen = (seen_req_t){
        .corr = {corr, req->corr.size}, .flags = req->flags, .timeout_ms = req->timeout_ms};
    snprintf(seen->method, sizeof(seen->method), "%.*s", (int)req->method.size, req->method.data);
    snprintf(seen->key, sizeof(seen->key), "%.*s", (int)req->key.size,
             req->key.data != NULL ? req->key.data : "");
    if (self->echoes) {
        souk_envelope_rep(&self->out, req->corr, 0, -1, req->body);
    }
}

static void s_on_message(broker_t *self, const souk_envelope_t *e) {
    switch (e->type) {
    case SOUK_MSG_HELLO:
        self->hellos++;
        cr_assert_eq(e->as.hello.role, SOUK_ROLE_CLIENT);
        cr_assert(souk_str_equal(e->as.hello.name, SOUK_STR("tester")));
        if (!self->ignores_hello) {
            s_welcome(self);
        }
        break;
    case SOUK_MSG_PING:
        self->pings++;
        if (!self->ignores_ping) {
            souk_envelope_pong(&self->out, e->as.ping.token);
        }
        break;
    case SOUK_MSG_PONG:
        self->pongs++;
        break;
    case SOUK_MSG_CANCEL:
        self->cancels++;
        memcpy(self->last_cancel, e->as.cancel.corr.data, e->as.cancel.corr.size);
        break;
    case SOUK_MSG_REQ:
        s_on_req(self, &e->as.req);
        break;
    default:
        cr_assert_fail("a client does not send type %d", (int)e->type);
    }
}

static void s_read_all(broker_t *self) {
    static char frame[1 << 20];
    uint8_t peer[8];
    int size;
    while ((size = zmq_recv(self->socket, peer, sizeof(peer), ZMQ_DONTWAIT)) > 0) {
        self->peer_bytes = (size_t)size;
        memcpy(self->peer, peer, sizeof(peer));
        size = zmq_recv(self->socket, frame, sizeof(frame), 0);
        cr_assert_geq(size, 0);
        self->frames++;
        souk_mp_cursor_t cursor;
        souk_mp_cursor_init(&cursor, frame, (size_t)size);
        while (!souk_mp_at_end(&cursor)) {
            souk_envelope_t envelope;
            cr_assert_eq(souk_envelope_read(&cursor, &envelope), SOUK_OK);
            s_on_message(self, &envelope);
        }
        s_flush(self);
    }
}

static void s_on_tick(void *arg) {
    broker_t *self = arg;
    s_read_all(self);
    s_flush(self);
    souk_timer_set(self->tick, TICK_US);
}

/* Binds; for a restart to the same address, whose old socket may take a moment to go. */
static void s_broker_start(broker_t *self) {
    self->socket = zmq_socket(s_context, ZMQ_ROUTER);
    int linger = 0;
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof(linger));
    const char *endpoint = self->endpoint[0] != '\0' ? self->endpoint : "tcp://127.0.0.1:*";
    int rc = -1;
    for (long i = 0; i < 10000000 && rc != 0; i++) {
        rc = zmq_bind(self->socket, endpoint);
    }
    cr_assert_eq(rc, 0, "%s", zmq_strerror(errno));
    size_t size = sizeof(self->endpoint);
    zmq_getsockopt(self->socket, ZMQ_LAST_ENDPOINT, self->endpoint, &size);
    self->epoch++;
    souk_timer_set(self->tick, 0);
}

static broker_t *s_broker_new(void) {
    broker_t *self = calloc(1, sizeof(*self));
    self->heartbeat_ms = 1000;
    self->envelope_bytes_max = 1114112;
    souk_buf_init(&self->out, 1 << 22);
    self->tick = souk_timer_new(s_loop, s_on_tick, self);
    s_broker_start(self);
    return self;
}

static void s_broker_stop(broker_t *self) {
    zmq_close(self->socket);
    self->socket = NULL;
    souk_timer_clear(self->tick);
}

static void s_broker_forget_reqs(broker_t *self) {
    for (size_t i = 0; i < self->reqs_count; i++) {
        free((void *)(uintptr_t)self->reqs[i].corr.data);
    }
    self->reqs_count = 0;
}

static void s_broker_destroy(broker_t *self) {
    s_broker_forget_reqs(self);
    if (self->socket != NULL) {
        zmq_close(self->socket);
    }
    souk_timer_destroy(&self->tick);
    souk_buf_done(&self->out);
    free(self);
}

static void s_reply(broker_t *self, size_t req, souk_str_t body) {
    souk_envelope_rep(&self->out, self->reqs[req].corr, SOUK_REP_REPLAYED, 5, body);
}

static void s_goaway(broker_t *self, souk_goaway_t reason) {
    souk_envelope_goaway(&self->out, reason, SOUK_STR(""));
}

/* ---- The client's side -------------------------------------------------------------------------
 */

static souk_client_t *s_client;
static int s_ups, s_downs;

static void s_on_broker(void *arg, const char *endpoint, bool up) {
    (void)arg;
    cr_assert_eq(strncmp(endpoint, "tcp://", 6), 0);
    s_ups += up;
    s_downs += !up;
}

typedef struct {
    int calls;
    souk_err_t err, fault_err;
    uint32_t flags;
    char body[64];
    uint64_t handle;
} outcome_t;

static void s_on_outcome(void *arg, const souk_outcome_t *outcome) {
    outcome_t *got = arg;
    got->calls++;
    got->err = outcome->err;
    got->flags = outcome->flags;
    cr_assert_eq(outcome->err != SOUK_OK, outcome->fault != NULL);
    got->fault_err = outcome->fault != NULL ? outcome->fault->err : SOUK_OK;
    snprintf(got->body, sizeof(got->body), "%.*s", (int)outcome->body.size,
             outcome->body.size > 0 ? outcome->body.data : "");
}

static souk_req_t s_req(souk_class_t class) {
    return (souk_req_t){.timeout_ms = 10000,
                        .class_ = (uint8_t) class,
                        .priority = SOUK_PRIORITY_BROWSE,
                        .service = SOUK_STR("diag"),
                        .method = SOUK_STR("echo"),
                        .key = class == SOUK_CLASS_KEYED ? SOUK_STR("key-1") : (souk_str_t){0},
                        .body = SOUK_STR("body")};
}

static void s_call(souk_class_t class, outcome_t *outcome) {
    souk_req_t req = s_req(class);
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, outcome, &outcome->handle),
                 SOUK_OK);
    cr_assert_eq(outcome->calls, 0); /* never inside the call */
}

static souk_client_options_t s_options(const char *endpoints) {
    return (souk_client_options_t){.endpoints = endpoints,
                                   .name = "tester",
                                   .outstanding_max = 2000,
                                   .pending_bytes_max = 4 << 20,
                                   .on_broker = s_on_broker};
}

static void s_client_open(const souk_client_options_t *options) {
    cr_assert_eq(souk_client_new(s_loop, options, &s_client), SOUK_OK);
}

static void s_open_to(const broker_t *broker) {
    souk_client_options_t options = s_options(broker->endpoint);
    s_client_open(&options);
}

static souk_client_stats_t s_stats(void) {
    souk_client_stats_t stats;
    souk_client_stats(s_client, &stats);
    return stats;
}

/* Runs the loop until the condition holds, looked at in every turn. */
static bool (*s_condition)(const void *arg);
static const void *s_condition_arg;

static size_t s_look(void *arg, size_t burst) {
    (void)arg;
    (void)burst;
    if (s_condition(s_condition_arg)) {
        souk_loop_stop(s_loop);
    }
    return 0;
}

static size_t s_nothing(void *arg) {
    (void)arg;
    return 0;
}

static void s_on_late(void *arg) {
    (void)arg;
    cr_assert_fail("the awaited thing did not happen");
}

static void s_poll(void *arg) {
    souk_timer_t **timer = arg;
    souk_loop_mark_turn(s_loop, &s_condition);
    souk_timer_set(*timer, TICK_US);
}

static void s_run_until(bool (*condition)(const void *arg), const void *arg) {
    s_condition = condition;
    s_condition_arg = arg;
    souk_turn_t turn = {.fd = -1, .drain = s_look, .flush = s_nothing, .arg = &s_condition};
    cr_assert_eq(souk_loop_join(s_loop, &turn), SOUK_OK);
    souk_timer_t *late = souk_timer_new(s_loop, s_on_late, NULL), *poll = NULL;
    poll = souk_timer_new(s_loop, s_poll, &poll);
    souk_timer_set(late, WAIT_US);
    souk_timer_set(poll, 0);
    cr_assert_eq(souk_loop_run(s_loop), SOUK_OK);
    souk_timer_destroy(&late);
    souk_timer_destroy(&poll);
    souk_loop_leave(s_loop, &s_condition);
}

/* Waits for anything that can be written as an expression. */
#define RUN_UNTIL(name, type, expr)                                                                \
    static bool s_is_##name(const void *arg) {                                                     \
        const type *self = arg;                                                                    \
        (void)self;                                                                                \
        return expr;                                                                               \
    }

RUN_UNTIL(connected, void, souk_client_connected(s_client))
RUN_UNTIL(away, void, !souk_client_connected(s_client))
RUN_UNTIL(done, outcome_t, self->calls > 0)
RUN_UNTIL(asked, broker_t, self->reqs_count > 0)
RUN_UNTIL(asked_twice, broker_t, self->reqs_count > 1)
RUN_UNTIL(cancelled, broker_t, self->cancels > 0)
RUN_UNTIL(heart_beating, broker_t, self->pings > 2 && self->pongs > 0)
RUN_UNTIL(late_noted, void, s_stats().late > 0)
RUN_UNTIL(malformed_noted, void, s_stats().malformed > 0)
RUN_UNTIL(unused, broker_t, self->hellos > 1)

static void s_setup(void) {
    s_loop = souk_loop_new();
    s_context = zmq_ctx_new();
    zmq_ctx_set(s_context, ZMQ_BLOCKY, 0);
    s_ups = s_downs = 0;
}

static void s_teardown(void) {
    souk_client_destroy(&s_client);
    souk_loop_destroy(&s_loop);
    zmq_ctx_term(s_context);
}

static void s_finish(broker_t *broker) {
    souk_client_destroy(&s_client);
    s_broker_destroy(broker);
}

TestSuite(client, .init = s_setup, .fini = s_teardown);

/* ---- Calls -------------------------------------------------------------------------------------
 */

Test(client, a_call_gets_its_reply) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    cr_assert_eq(s_ups, 1);
    outcome_t outcome = {0};
    s_call(SOUK_CLASS_KEYED, &outcome);
    cr_assert_eq(souk_client_outstanding(s_client), 1);
    s_run_until(s_is_asked, broker);
    cr_assert_str_eq(broker->reqs[0].method, "echo");
    cr_assert_str_eq(broker->reqs[0].key, "key-1");
    cr_assert_eq(broker->reqs[0].flags, 0);
    cr_assert_eq(broker->reqs[0].timeout_ms, 10000);
    s_reply(broker, 0, SOUK_STR("answer"));
    s_run_until(s_is_done, &outcome);
    cr_assert_eq(outcome.err, SOUK_OK);
    cr_assert_str_eq(outcome.body, "answer");
    cr_assert_eq(outcome.flags, SOUK_REP_REPLAYED);
    cr_assert_eq(souk_client_outstanding(s_client), 0);
    s_finish(broker);
}

Test(client, an_err_gives_its_fault) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0};
    s_call(SOUK_CLASS_READ, &outcome);
    s_run_until(s_is_asked, broker);
    souk_buf_t body;
    souk_buf_init(&body, 1000);
    souk_fault_write(&body, &(souk_fault_t){.err = SOUK_ERR_NOT_FOUND});
    souk_envelope_err(&broker->out, broker->reqs[0].corr, 5, souk_buf_str(&body));
    s_run_until(s_is_done, &outcome);
    cr_assert_eq(outcome.err, SOUK_ERR_NOT_FOUND);
    cr_assert_eq(outcome.fault_err, SOUK_ERR_NOT_FOUND);
    souk_buf_done(&body);
    s_finish(broker);
}

Test(client, an_err_whose_body_cannot_be_read_is_a_bad_reply) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0};
    s_call(SOUK_CLASS_READ, &outcome);
    s_run_until(s_is_asked, broker);
    souk_envelope_err(&broker->out, broker->reqs[0].corr, 5, SOUK_STR("?"));
    s_run_until(s_is_done, &outcome);
    cr_assert_eq(outcome.err, SOUK_ERR_BAD_REPLY);
    s_finish(broker);
}

Test(client, a_malformed_reply_ends_nothing) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0};
    s_call(SOUK_CLASS_READ, &outcome);
    s_run_until(s_is_asked, broker);
    /* [1, 6, corr, 0, 7, ...]: meta is a number */
    souk_mp_write_array(&broker->out, 6);
    souk_mp_write_uint(&broker->out, 1);
    souk_mp_write_uint(&broker->out, SOUK_MSG_REP);
    souk_mp_write_bin(&broker->out, broker->reqs[0].corr);
    souk_mp_write_uint(&broker->out, 0);
    souk_mp_write_uint(&broker->out, 7);
    souk_mp_write_bin(&broker->out, SOUK_STR("bad"));
    s_run_until(s_is_malformed_noted, NULL);
    cr_assert_eq(outcome.calls, 0);
    s_reply(broker, 0, SOUK_STR("good"));
    s_run_until(s_is_done, &outcome);
    cr_assert_str_eq(outcome.body, "good");
    s_finish(broker);
}

Test(client, a_second_reply_and_a_strange_corr_are_dropped_and_counted) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0};
    s_call(SOUK_CLASS_READ, &outcome);
    s_run_until(s_is_asked, broker);
    souk_envelope_rep(&broker->out, SOUK_STR("stranger"), 0, -1, SOUK_STR("1"));
    souk_envelope_rep(&broker->out, SOUK_STR("sixteen letters!"), 0, -1, SOUK_STR("2"));
    s_reply(broker, 0, SOUK_STR("first"));
    s_reply(broker, 0, SOUK_STR("second"));
    s_run_until(s_is_done, &outcome);
    cr_assert_eq(outcome.calls, 1);
    cr_assert_str_eq(outcome.body, "first");
    s_run_until(s_is_late_noted, NULL);
    cr_assert_eq(s_stats().late, 3);
    cr_assert_eq(s_stats().replies, 1);
    s_finish(broker);
}

Test(client, without_an_answer_the_deadline_ends_a_call_and_a_late_reply_is_dropped) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0};
    souk_req_t req = s_req(SOUK_CLASS_READ);
    req.timeout_ms = 20;
    int64_t start_us = souk_loop_now_us(s_loop);
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, &outcome, &outcome.handle),
                 SOUK_OK);
    s_run_until(s_is_done, &outcome);
    cr_assert_geq(souk_loop_now_us(s_loop) - start_us, 20000);
    cr_assert_eq(outcome.err, SOUK_ERR_TIMEOUT);
    cr_assert_eq(s_stats().timeouts, 1);
    s_run_until(s_is_asked, broker);
    s_reply(broker, 0, SOUK_STR("late"));
    s_run_until(s_is_late_noted, NULL);
    cr_assert_eq(outcome.calls, 1);
    s_finish(broker);
}

Test(client, cancel_tells_the_broker_and_silences_the_call) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0};
    s_call(SOUK_CLASS_READ, &outcome);
    s_run_until(s_is_asked, broker);
    souk_client_cancel(s_client, outcome.handle);
    souk_client_cancel(s_client, outcome.handle); /* it has ended: nothing */
    cr_assert_eq(souk_client_outstanding(s_client), 0);
    s_run_until(s_is_cancelled, broker);
    cr_assert_eq(broker->cancels, 1);
    cr_assert_eq(memcmp(broker->last_cancel, broker->reqs[0].corr.data, SOUK_CORR_BYTES), 0);
    s_reply(broker, 0, SOUK_STR("late"));
    s_run_until(s_is_late_noted, NULL);
    cr_assert_eq(outcome.calls, 0);
    s_finish(broker);
}

Test(client, a_late_reply_does_not_end_the_next_call_of_its_slot) {
    broker_t *broker = s_broker_new();
    souk_client_options_t options = s_options(broker->endpoint);
    options.outstanding_max = 1;
    s_client_open(&options);
    s_run_until(s_is_connected, NULL);
    outcome_t first = {0}, second = {0};
    s_call(SOUK_CLASS_READ, &first);
    souk_client_cancel(s_client, first.handle);
    s_call(SOUK_CLASS_READ, &second);
    s_run_until(s_is_asked_twice, broker);
    s_reply(broker, 0, SOUK_STR("for the first"));
    s_run_until(s_is_late_noted, NULL);
    souk_client_cancel(s_client, first.handle); /* nor does a stale handle */
    s_reply(broker, 1, SOUK_STR("for the second"));
    s_run_until(s_is_done, &second);
    cr_assert_str_eq(second.body, "for the second");
    cr_assert_eq(first.calls, 0);
    s_finish(broker);
}

typedef struct {
    outcome_t outcome;
    int left;
} chain_t;

static void s_on_link(void *arg, const souk_outcome_t *outcome) {
    chain_t *chain = arg;
    cr_assert_eq(outcome->err, SOUK_OK);
    if (--chain->left == 0) {
        chain->outcome.calls++;
        return;
    }
    souk_req_t req = s_req(SOUK_CLASS_READ);
    cr_assert_eq(souk_client_call(s_client, &req, s_on_link, chain, &chain->outcome.handle),
                 SOUK_OK);
}

Test(client, a_callback_may_call_again) {
    broker_t *broker = s_broker_new();
    broker->echoes = true;
    souk_client_options_t options = s_options(broker->endpoint);
    options.outstanding_max = 1; /* the slot is free by then */
    s_client_open(&options);
    s_run_until(s_is_connected, NULL);
    chain_t chain = {.left = 50};
    souk_req_t req = s_req(SOUK_CLASS_READ);
    cr_assert_eq(souk_client_call(s_client, &req, s_on_link, &chain, &chain.outcome.handle),
                 SOUK_OK);
    s_run_until(s_is_done, &chain.outcome);
    cr_assert_eq(s_stats().calls, 50);
    s_finish(broker);
}

static outcome_t s_many[1500];
RUN_UNTIL(all_done, void, souk_client_outstanding(s_client) == 0)

Test(client, many_calls_of_a_turn_share_frames_and_each_gets_its_own_reply) {
    broker_t *broker = s_broker_new();
    broker->echoes = true;
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    size_t frames = broker->frames;
    char bodies[SOUK_COUNT_OF(s_many)][8];
    for (size_t i = 0; i < SOUK_COUNT_OF(s_many); i++) {
        souk_req_t req = s_req(SOUK_CLASS_READ);
        snprintf(bodies[i], sizeof(bodies[i]), "n%zu", i);
        req.body = souk_str_of(bodies[i]);
        cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, &s_many[i], &s_many[i].handle),
                     SOUK_OK);
    }
    s_run_until(s_is_all_done, NULL);
    for (size_t i = 0; i < SOUK_COUNT_OF(s_many); i++) {
        cr_assert_eq(s_many[i].calls, 1);
        cr_assert_str_eq(s_many[i].body, bodies[i]);
    }
    cr_assert_leq(broker->frames - frames, 4); /* 1500 requests of less than 100 bytes */
    s_finish(broker);
}

/* ---- Bounds ------------------------------------------------------------------------------------
 */

Test(client, calls_beyond_outstanding_max_are_refused_at_once) {
    broker_t *broker = s_broker_new();
    souk_client_options_t options = s_options(broker->endpoint);
    options.outstanding_max = 2;
    s_client_open(&options);
    s_run_until(s_is_connected, NULL);
    outcome_t a = {0}, b = {0}, c = {0};
    s_call(SOUK_CLASS_READ, &a);
    s_call(SOUK_CLASS_READ, &b);
    souk_req_t req = s_req(SOUK_CLASS_READ);
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, &c, &c.handle),
                 SOUK_ERR_OVERLOADED);
    s_run_until(s_is_asked, broker);
    s_reply(broker, 0, SOUK_STR("x"));
    s_run_until(s_is_done, &a);
    s_call(SOUK_CLASS_READ, &c);
    s_finish(broker);
    cr_assert_eq(b.err, SOUK_ERR_CANCELLED);
    cr_assert_eq(c.err, SOUK_ERR_CANCELLED);
}

Test(client, bytes_are_bounded_and_come_free_again) {
    broker_t *broker = s_broker_new();
    souk_client_options_t options = s_options(broker->endpoint);
    options.pending_bytes_max = 100000;
    s_client_open(&options);
    s_run_until(s_is_connected, NULL);
    static char big[30000];
    outcome_t outcomes[4] = {0};
    souk_req_t req = s_req(SOUK_CLASS_READ);
    req.body = (souk_str_t){big, sizeof(big)};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(
            souk_client_call(s_client, &req, s_on_outcome, &outcomes[i], &outcomes[i].handle),
            i < 3 ? SOUK_OK : SOUK_ERR_OVERLOADED);
    }
    souk_client_cancel(s_client, outcomes[0].handle);
    s_run_until(s_is_cancelled, broker); /* the socket has taken all */
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, &outcomes[3], &outcomes[3].handle),
                 SOUK_OK);
    s_finish(broker);
    cr_assert_eq(outcomes[0].calls, 0);
    cr_assert_eq(outcomes[3].calls, 1);
}

Test(client, what_the_broker_would_not_take_is_too_large) {
    broker_t *broker = s_broker_new();
    broker->envelope_bytes_max = 1000;
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    static char big[1000];
    outcome_t outcome = {0};
    souk_req_t req = s_req(SOUK_CLASS_READ);
    req.body = (souk_str_t){big, sizeof(big)};
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, &outcome, &outcome.handle),
                 SOUK_ERR_TOO_LARGE);
    cr_assert_eq(souk_client_outstanding(s_client), 0);
    s_finish(broker);
}

Test(client, before_welcome_there_is_no_broker) {
    broker_t *broker = s_broker_new();
    broker->ignores_hello = true;
    s_open_to(broker);
    outcome_t outcome = {0};
    souk_req_t req = s_req(SOUK_CLASS_READ);
    cr_assert(!souk_client_connected(s_client));
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, &outcome, &outcome.handle),
                 SOUK_ERR_NO_BROKER);
    s_finish(broker);
    cr_assert_eq(outcome.calls, 0);
}

Test(client, endpoints_must_name_a_broker) {
    souk_client_t *client = NULL;
    souk_client_options_t options = s_options(" ,");
    cr_assert_eq(souk_client_new(s_loop, &options, &client), SOUK_ERR_MALFORMED);
    options.endpoints = "nonsense";
    cr_assert_eq(souk_client_new(s_loop, &options, &client), SOUK_ERR_IO);
    cr_assert_null(client);
}

static void s_on_closing(void *arg, const souk_outcome_t *outcome) {
    s_on_outcome(arg, outcome);
    outcome_t *got = arg;
    souk_req_t req = s_req(SOUK_CLASS_READ);
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, got, &got->handle),
                 SOUK_ERR_CLOSED);
}

Test(client, destroy_ends_outstanding_calls_and_tells_the_broker) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0};
    souk_req_t req = s_req(SOUK_CLASS_READ);
    cr_assert_eq(souk_client_call(s_client, &req, s_on_closing, &outcome, &outcome.handle),
                 SOUK_OK);
    s_run_until(s_is_asked, broker);
    souk_client_t *client = s_client; /* the callback still needs it */
    souk_client_destroy(&client);
    s_client = NULL;
    cr_assert_eq(outcome.calls, 1);
    cr_assert_eq(outcome.err, SOUK_ERR_CANCELLED);
    s_run_until(s_is_cancelled, broker);
    s_broker_destroy(broker);
}

/* ---- Sessions ----------------------------------------------------------------------------------
 */

Test(client, hello_is_repeated_until_welcome_comes) {
    broker_t *broker = s_broker_new();
    broker->ignores_hello = true; /* as if WELCOME were lost */
    s_open_to(broker);
    s_run_until(s_is_unused, broker);
    cr_assert_eq(s_ups, 0);
    broker->ignores_hello = false;
    s_run_until(s_is_connected, NULL);
    cr_assert_geq(broker->hellos, 3);
    cr_assert_eq(s_ups, 1);
    s_finish(broker);
}

Test(client, heartbeats_go_both_ways) {
    broker_t *broker = s_broker_new();
    broker->heartbeat_ms = 20;
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    souk_envelope_ping(&broker->out, 7);
    s_run_until(s_is_heart_beating, broker);
    cr_assert_eq(s_downs, 0);
    s_finish(broker);
}

RUN_UNTIL(down_and_up, void, s_downs > 0 && souk_client_connected(s_client))

Test(client, three_silent_heartbeats_end_the_session_and_it_starts_again) {
    broker_t *broker = s_broker_new();
    broker->heartbeat_ms = 20;
    broker->ignores_ping = true;
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    s_run_until(s_is_down_and_up, NULL); /* the broker lives, it only did not answer */
    cr_assert_geq(broker->hellos, 2);
    cr_assert_geq(broker->pings, 2);
    s_finish(broker);
}

/* Three calls are outstanding when the broker is lost in the way that `lose` says. */
static void s_check_lost(broker_t *broker, void (*lose)(broker_t *broker)) {
    s_run_until(s_is_connected, NULL);
    outcome_t read = {0}, keyed = {0}, unkeyed = {0};
    s_call(SOUK_CLASS_READ, &read);
    s_call(SOUK_CLASS_KEYED, &keyed);
    s_call(SOUK_CLASS_UNKEYED, &unkeyed);
    s_run_until(s_is_asked_twice, broker);
    s_broker_forget_reqs(broker);
    lose(broker);
    s_run_until(s_is_done, &unkeyed);
    cr_assert_eq(unkeyed.err, SOUK_ERR_UNKNOWN_OUTCOME);
    cr_assert_eq(read.calls + keyed.calls, 0);
    s_run_until(s_is_asked_twice, broker);
    cr_assert_eq(broker->reqs_count, 2);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(broker->reqs[i].flags, SOUK_REQ_RESENT);
        cr_assert_leq(broker->reqs[i].timeout_ms, 10000);
        cr_assert_str_eq(broker->reqs[i].key, i == 1 ? "key-1" : "");
        s_reply(broker, i, SOUK_STR("at last"));
    }
    s_run_until(s_is_done, &read);
    s_run_until(s_is_done, &keyed);
    cr_assert_str_eq(read.body, "at last");
    cr_assert_eq(keyed.err, SOUK_OK);
    cr_assert_eq(s_stats().resent, 2);
    cr_assert_eq(unkeyed.calls, 1);
    cr_assert_eq(s_downs, 1);
    cr_assert_eq(s_ups, 2);
}

static void s_lose_by_goaway(broker_t *broker) {
    s_goaway(broker, SOUK_GOAWAY_UNKNOWN_SESSION);
}

Test(client, goaway_unknown_session_resends_what_may_be_repeated) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_check_lost(broker, s_lose_by_goaway);
    s_finish(broker);
}

static void s_lose_by_restart(broker_t *broker) {
    s_broker_stop(broker);
    s_broker_start(broker);
}

/* The new one knows nobody; here it is silent and the heartbeats tell. */
Test(client, a_broker_restart_resends_what_may_be_repeated) {
    broker_t *broker = s_broker_new();
    broker->heartbeat_ms = 20;
    s_open_to(broker);
    s_check_lost(broker, s_lose_by_restart);
    s_finish(broker);
}

static void s_lose_by_another_welcome(broker_t *broker) {
    broker->hellos++; /* another session id */
    s_welcome(broker);
}

Test(client, a_new_session_begun_by_the_broker_replaces_the_old_one) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_check_lost(broker, s_lose_by_another_welcome);
    s_finish(broker);
}

Test(client, a_lost_call_that_nobody_takes_ends_by_its_deadline) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0};
    souk_req_t req = s_req(SOUK_CLASS_READ);
    req.timeout_ms = 50;
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, &outcome, &outcome.handle),
                 SOUK_OK);
    s_run_until(s_is_asked, broker);
    broker->ignores_hello = true;
    s_goaway(broker, SOUK_GOAWAY_UNKNOWN_SESSION);
    s_run_until(s_is_done, &outcome);
    cr_assert_eq(outcome.err, SOUK_ERR_TIMEOUT);
    s_finish(broker);
}

Test(client, a_stopping_broker_gets_no_new_requests_but_may_still_answer) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    outcome_t outcome = {0}, refused = {0};
    s_call(SOUK_CLASS_UNKEYED, &outcome);
    s_run_until(s_is_asked, broker);
    s_goaway(broker, SOUK_GOAWAY_STOPPING);
    s_run_until(s_is_away, NULL);
    souk_req_t req = s_req(SOUK_CLASS_READ);
    cr_assert_eq(souk_client_call(s_client, &req, s_on_outcome, &refused, &refused.handle),
                 SOUK_ERR_NO_BROKER);
    s_reply(broker, 0, SOUK_STR("last words"));
    s_run_until(s_is_done, &outcome);
    cr_assert_str_eq(outcome.body, "last words");
    s_finish(broker);
}

RUN_UNTIL(down, void, s_downs > 0)

Test(client, a_rejected_client_does_not_hammer_the_broker) {
    broker_t *broker = s_broker_new();
    s_open_to(broker);
    s_run_until(s_is_connected, NULL);
    s_goaway(broker, SOUK_GOAWAY_TOO_MANY_PEERS);
    s_run_until(s_is_down, NULL);
    size_t hellos = broker->hellos;
    outcome_t never = {0};
    souk_timer_t *timer = souk_timer_new(s_loop, (void (*)(void *))souk_loop_stop, s_loop);
    souk_timer_set(timer, 1200000); /* longer than the usual second */
    cr_assert_eq(souk_loop_run(s_loop), SOUK_OK);
    cr_assert_eq(broker->hellos, hellos);
    cr_assert_eq(never.calls, 0);
    souk_timer_destroy(&timer);
    s_finish(broker);
}

/* ---- Several brokers ---------------------------------------------------------------------------
 */

RUN_UNTIL(two_up, void, s_ups == 2)

static void s_open_to_two(const broker_t *a, const broker_t *b) {
    char endpoints[160];
    snprintf(endpoints, sizeof(endpoints), "%s, %s", a->endpoint, b->endpoint);
    souk_client_options_t options = s_options(endpoints);
    s_client_open(&options);
    s_run_until(s_is_two_up, NULL);
}

typedef struct {
    const broker_t *a, *b;
    size_t count;
} both_t;

RUN_UNTIL(shared, both_t, self->a->reqs_count + self->b->reqs_count == self->count)

RUN_UNTIL(half_done, void, souk_client_outstanding(s_client) == 5)

Test(client, calls_go_where_fewest_are_outstanding) {
    broker_t *a = s_broker_new(), *b = s_broker_new();
    s_open_to_two(a, b);
    outcome_t outcomes[10] = {0};
    for (size_t i = 0; i < 10; i++) {
        s_call(SOUK_CLASS_READ, &outcomes[i]);
    }
    s_run_until(s_is_shared, &(both_t){a, b, 10});
    cr_assert_eq(a->reqs_count, 5);
    cr_assert_eq(b->reqs_count, 5);
    for (size_t i = 0; i < 5; i++) {
        s_reply(b, i, SOUK_STR("quick")); /* b answers, a does not */
    }
    s_run_until(s_is_half_done, NULL);
    outcome_t more[5] = {0};
    for (size_t i = 0; i < 5; i++) {
        s_call(SOUK_CLASS_READ, &more[i]);
    }
    s_run_until(s_is_shared, &(both_t){a, b, 15});
    cr_assert_eq(b->reqs_count, 10);
    s_finish(a);
    s_broker_destroy(b);
}

RUN_UNTIL(three_up, void, s_ups == 3)

Test(client, another_broker_takes_over_and_the_lost_one_has_no_say_any_more) {
    broker_t *a = s_broker_new(), *b = s_broker_new();
    s_open_to_two(a, b);
    outcome_t outcome = {0};
    s_call(SOUK_CLASS_READ, &outcome);
    s_run_until(s_is_shared, &(both_t){a, b, 1});
    broker_t *first = a->reqs_count == 1 ? a : b, *second = first == a ? b : a;
    first->ignores_hello = true;
    s_goaway(first, SOUK_GOAWAY_UNKNOWN_SESSION);
    s_run_until(s_is_asked, second);
    cr_assert_eq(second->reqs[0].flags, SOUK_REQ_RESENT);
    first->ignores_hello = false;
    s_run_until(s_is_three_up, NULL);
    s_reply(first, 0, SOUK_STR("stale"));
    s_run_until(s_is_late_noted, NULL);
    s_reply(second, 0, SOUK_STR("fresh"));
    s_run_until(s_is_done, &outcome);
    cr_assert_str_eq(outcome.body, "fresh");
    s_finish(a);
    s_broker_destroy(b);
}
