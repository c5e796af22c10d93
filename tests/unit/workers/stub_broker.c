#include "stub_broker.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#define POLL_MS 20
#define FRAME_BYTES_MAX (1 << 20)
#define HEARTBEAT_MS 200

struct stub_broker {
    stub_broker_fn answer;
    void *arg;
    void *context;
    pthread_t thread;
    char endpoint[64];
    uint64_t epoch;
    atomic_bool stop, bound;
    char frame[FRAME_BYTES_MAX];
};

static void s_on_envelope(stub_broker_t *self, const souk_envelope_t *envelope, souk_buf_t *out) {
    if (envelope->type == SOUK_MSG_HELLO) {
        const souk_welcome_t welcome = {.epoch = self->epoch,
                                        .heartbeat_ms = HEARTBEAT_MS,
                                        .envelope_bytes_max = FRAME_BYTES_MAX,
                                        .broker_name = SOUK_STR("stub")};
        souk_envelope_welcome(out, &welcome);
    } else if (envelope->type == SOUK_MSG_PING) {
        souk_envelope_pong(out, envelope->as.ping.token);
    } else if (envelope->type == SOUK_MSG_REQ) {
        self->answer(self->arg, &envelope->as.req, out);
    }
}

static void s_on_frame(stub_broker_t *self, size_t bytes, souk_buf_t *out) {
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, self->frame, bytes);
    while (!souk_mp_at_end(&cursor)) {
        souk_envelope_t envelope;
        souk_assert(souk_envelope_read(&cursor, &envelope) == SOUK_OK);
        s_on_envelope(self, &envelope, out);
    }
}

static void *s_bind(stub_broker_t *self) {
    int linger = 0, timeout_ms = POLL_MS;
    void *socket = zmq_socket(self->context, ZMQ_ROUTER);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    while (zmq_bind(socket, self->endpoint) != 0) { /* the former socket may take a moment to go */
        sched_yield();
    }
    size_t size = sizeof self->endpoint;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, self->endpoint, &size);
    return socket;
}

static void *s_run(void *arg) {
    stub_broker_t *self = arg;
    souk_buf_t out;
    souk_buf_init(&out, (size_t)4 * FRAME_BYTES_MAX);
    void *socket = s_bind(self);
    atomic_store(&self->bound, true);
    while (!atomic_load(&self->stop)) {
        uint8_t peer[8];
        int peer_bytes = zmq_recv(socket, peer, sizeof peer, 0);
        if (peer_bytes <= 0) {
            continue;
        }
        int bytes = zmq_recv(socket, self->frame, sizeof self->frame, 0);
        souk_assert(bytes >= 0 && bytes <= FRAME_BYTES_MAX);
        s_on_frame(self, (size_t)bytes, &out);
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

void stub_broker_start(stub_broker_t *self) {
    self->epoch++;
    atomic_store(&self->stop, false);
    atomic_store(&self->bound, false);
    souk_assert(pthread_create(&self->thread, NULL, s_run, self) == 0);
    while (!atomic_load(&self->bound)) {
        sched_yield();
    }
}

void stub_broker_stop(stub_broker_t *self) {
    if (!atomic_exchange(&self->stop, true)) {
        souk_assert(pthread_join(self->thread, NULL) == 0);
    }
}

stub_broker_t *stub_broker_new(stub_broker_fn answer, void *arg) {
    stub_broker_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->answer = answer;
    self->arg = arg;
    self->context = zmq_ctx_new();
    (void)snprintf(self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:*");
    stub_broker_start(self);
    return self;
}

void stub_broker_destroy(stub_broker_t **self_p) {
    stub_broker_stop(*self_p);
    zmq_ctx_term((*self_p)->context);
    free(*self_p);
    *self_p = NULL;
}

const char *stub_broker_endpoint(const stub_broker_t *self) {
    return self->endpoint;
}
