/* The client: notes.
 *
 * A call lives in a slot of a fixed table. Its corr is 16 bytes: 8 random ones of this client, then
 * generation and slot. A reply is matched without a search, and one that comes after its call has
 * ended meets another generation and is dropped. corr is also what callers hold (without the random
 * part).
 *
 * A call is FREE, SENT (in the list of its broker) or WAITING (for any broker, after its own was
 * lost). A reply counts only from the broker that the call was last sent to: a broker that comes
 * back to life after we gave it up may still answer what has been given to another.
 *
 * What may be resent is kept encoded from position 6 on, so that sending again is the same step as
 * the first time: a new head and a copy. The slot keeps a small buffer for it, which most requests
 * fit.
 *
 * Each slot has a timer on the loop's heap: setting and clearing it are two heap moves, no system
 * call. It fires a little after the deadline: the broker answers for the worker at the deadline,
 * and its answer says whether the request was run. */
#include "souk/client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "souk/id.h"
#include "souk/session.h"

#define BROKERS_MAX 16
#define KEPT_BYTES_SLOT ((size_t)2048)
#define GRACE_US ((int64_t)100 * 1000)
#define RESEND_PAUSE_US ((int64_t)20 * 1000)
#define LINGER_MS 200
/* Heads of msgpack and integers, rounded up. */
#define REQ_OVERHEAD_BYTES ((size_t)128)

typedef enum { S_FREE, S_SENT, S_WAITING } s_call_state_t;

struct s_broker;

typedef struct s_call {
    struct souk_client *client;
    struct s_broker *broker; /* SENT: to whom */
    TAILQ_ENTRY(s_call) place;
    s_call_state_t state;
    uint32_t generation;
    uint32_t flags;
    uint8_t class_;
    int64_t deadline_us;
    souk_timer_t *timer; /* made with the slot's first call */
    souk_buf_t tail;
    souk_client_fn fn;
    void *arg;
} s_call_t;

TAILQ_HEAD(s_calls, s_call);

typedef struct s_broker {
    struct souk_client *client;
    souk_session_t *session;
    struct s_calls sent;
    uint32_t outstanding;
} s_broker_t;

struct souk_client {
    souk_loop_t *loop;
    souk_client_options_t options;
    uint8_t epoch[8];
    s_broker_t brokers[BROKERS_MAX];
    size_t brokers_count;
    size_t next_broker; /* where the search starts: equals take turns */
    s_call_t *calls;
    struct s_calls free, waiting;
    uint32_t outstanding;
    size_t kept_bytes;
    souk_timer_t *resend;
    bool closing;
    souk_client_stats_t stats;
};

/* ---- Slots -------------------------------------------------------------------------------------
 */

static uint32_t s_slot(const s_call_t *call) {
    return (uint32_t)(call - call->client->calls);
}

static uint64_t s_handle(const s_call_t *call) {
    return (uint64_t)call->generation << 32 | s_slot(call);
}

/* NULL: that call has ended, or never was. */
static s_call_t *s_find(const souk_client_t *self, uint64_t handle) {
    uint32_t slot = (uint32_t)handle;
    if (slot >= self->options.outstanding_max) {
        return NULL;
    }
    s_call_t *call = &self->calls[slot];
    return call->state != S_FREE && call->generation == handle >> 32 ? call : NULL;
}

static void s_write_corr(const s_call_t *call, uint8_t corr[SOUK_CORR_BYTES]) {
    uint64_t handle = s_handle(call);
    memcpy(corr, call->client->epoch, sizeof(call->client->epoch));
    memcpy(corr + sizeof(call->client->epoch), &handle, sizeof(handle));
}

static s_call_t *s_find_corr(const souk_client_t *self, souk_str_t corr) {
    uint64_t handle;
    if (corr.size != SOUK_CORR_BYTES || memcmp(corr.data, self->epoch, sizeof(self->epoch)) != 0) {
        return NULL;
    }
    memcpy(&handle, corr.data + sizeof(self->epoch), sizeof(handle));
    return s_find(self, handle);
}

/* Takes the call out of the list that its state stands for. */
static void s_detach(s_call_t *call) {
    if (call->state == S_SENT) {
        TAILQ_REMOVE(&call->broker->sent, call, place);
        call->broker->outstanding--;
        call->broker = NULL;
    } else if (call->state == S_WAITING) {
        TAILQ_REMOVE(&call->client->waiting, call, place);
    } else {
        TAILQ_REMOVE(&call->client->free, call, place);
    }
}

static void s_wait(s_call_t *call) {
    s_detach(call);
    call->state = S_WAITING;
    call->flags |= SOUK_REQ_RESENT;
    TAILQ_INSERT_TAIL(&call->client->waiting, call, place);
}

static void s_drop_tail(s_call_t *call) {
    call->client->kept_bytes -= call->tail.size;
    souk_buf_clear(&call->tail);
    souk_buf_shrink(&call->tail, KEPT_BYTES_SLOT);
}

static void s_release(s_call_t *call) {
    souk_client_t *self = call->client;
    s_detach(call);
    call->state = S_FREE;
    call->generation++;
    call->generation += call->generation == 0; /* a handle is never 0 */
    souk_timer_clear(call->timer);
    s_drop_tail(call);
    self->outstanding--;
    TAILQ_INSERT_HEAD(&self->free, call, place);
}

/* The slot is free before the callback runs, which may call and cancel as it likes. */
static void s_finish(s_call_t *call, const souk_outcome_t *outcome) {
    souk_client_fn fn = call->fn;
    void *arg = call->arg;
    s_release(call);
    fn(arg, outcome);
}

static void s_fail(s_call_t *call, souk_err_t err) {
    souk_fault_t fault = {.err = err};
    s_finish(call, &(souk_outcome_t){.err = err, .fault = &fault});
}

/* ---- Sending -----------------------------------------------------------------------------------
 */

static s_broker_t *s_pick(souk_client_t *self) {
    souk_assert(self->brokers_count > 0);
    s_broker_t *best = NULL;
    for (size_t i = 0; i < self->brokers_count; i++) {
        s_broker_t *broker = &self->brokers[(self->next_broker + i) % self->brokers_count];
        if (souk_session_takes_requests(broker->session) &&
            (best == NULL || broker->outstanding < best->outstanding)) {
            best = broker;
        }
    }
    self->next_broker = (self->next_broker + 1) % self->brokers_count;
    return best;
}

/* The call is in no broker's list; on success it is in this one's. */
static souk_err_t s_send(s_call_t *call, s_broker_t *broker) {
    uint8_t corr[SOUK_CORR_BYTES];
    s_write_corr(call, corr);
    int64_t left_ms = (call->deadline_us - souk_loop_now_us(call->client->loop) + 999) / 1000;
    souk_req_t req = {
        .flags = call->flags, .tail = souk_buf_str(&call->tail), .count = SOUK_REQ_ELEMENTS};
    souk_envelope_req_forward(souk_session_begin(broker->session), &req, corr,
                              left_ms > 0 ? (uint32_t)left_ms : 1, 0);
    SOUK_TRY(souk_session_commit(broker->session));
    s_detach(call);
    call->state = S_SENT;
    call->broker = broker;
    TAILQ_INSERT_TAIL(&broker->sent, call, place);
    broker->outstanding++;
    return SOUK_OK;
}

/* Gives the waiting calls to whom is there. Those that find no room try again soon; their deadlines
 * go on. */
static void s_resend(souk_client_t *self) {
    s_call_t *call;
    while ((call = TAILQ_FIRST(&self->waiting)) != NULL) {
        s_broker_t *broker = s_pick(self);
        if (broker == NULL) {
            return; /* the next session comes here again */
        }
        if (s_send(call, broker) != SOUK_OK) {
            souk_timer_set(self->resend, RESEND_PAUSE_US);
            return;
        }
        self->stats.resent++;
    }
}

static void s_on_resend(void *arg) {
    s_resend(arg);
}

static void s_on_deadline(void *arg) {
    s_call_t *call = arg;
    call->client->stats.timeouts++;
    s_fail(call, SOUK_ERR_TIMEOUT);
}

static size_t s_bytes_bound(const souk_req_t *req) {
    return REQ_OVERHEAD_BYTES + req->service.size + req->method.size + req->key.size +
           req->key_hash.size + req->traceparent.size + req->principal.size + req->body.size +
           req->request_id.size + req->address.size;
}

/* Whether the call can be taken, and by whom. */
static souk_err_t s_admit(souk_client_t *self, const souk_req_t *req, s_broker_t **ret_broker) {
    if (self->closing) {
        return SOUK_ERR_CLOSED;
    }
    s_broker_t *broker = s_pick(self);
    if (broker == NULL) {
        return SOUK_ERR_NO_BROKER;
    }
    size_t bytes = s_bytes_bound(req);
    if (bytes > souk_session_envelope_bytes_max(broker->session)) {
        return SOUK_ERR_TOO_LARGE;
    }
    if (TAILQ_EMPTY(&self->free) || bytes > self->options.pending_bytes_max - self->kept_bytes) {
        return SOUK_ERR_OVERLOADED;
    }
    *ret_broker = broker;
    return SOUK_OK;
}

/* Encodes the request into the slot, which stays free. */
static souk_err_t s_prepare(s_call_t *call, const souk_req_t *req) {
    souk_client_t *self = call->client;
    if (call->timer == NULL) {
        call->timer = souk_timer_new(self->loop, s_on_deadline, call);
        if (call->timer == NULL) {
            return SOUK_ERR_NO_MEMORY;
        }
    }
    call->class_ = req->class_;
    call->flags = req->flags;
    call->deadline_us = souk_loop_now_us(self->loop) + (int64_t)req->timeout_ms * 1000;
    souk_envelope_req_tail(&call->tail, req);
    if (call->tail.overflow) {
        souk_buf_clear(&call->tail);
        return SOUK_ERR_NO_MEMORY;
    }
    self->kept_bytes += call->tail.size;
    return SOUK_OK;
}

souk_err_t souk_client_call(souk_client_t *self, const souk_req_t *req, souk_client_fn fn,
                            void *arg, uint64_t *ret_call) {
    souk_assert(fn != NULL && req->timeout_ms > 0 && req->timeout_ms <= SOUK_TIMEOUT_MS_MAX);
    s_broker_t *broker;
    SOUK_TRY(s_admit(self, req, &broker));
    s_call_t *call = TAILQ_FIRST(&self->free);
    SOUK_TRY(s_prepare(call, req));
    souk_err_t err = s_send(call, broker);
    if (err != SOUK_OK || req->class_ == SOUK_CLASS_UNKEYED) {
        s_drop_tail(call); /* never sent a second time */
    }
    if (err != SOUK_OK) {
        return err;
    }
    call->fn = fn;
    call->arg = arg;
    souk_timer_set(call->timer, (int64_t)req->timeout_ms * 1000 + GRACE_US);
    self->outstanding++;
    self->stats.calls++;
    *ret_call = s_handle(call);
    return SOUK_OK;
}

/* A CANCEL that finds no room is not worth more: the deadline ends the request. */
static void s_send_cancel(s_call_t *call) {
    uint8_t corr[SOUK_CORR_BYTES];
    s_write_corr(call, corr);
    souk_envelope_cancel(souk_session_begin(call->broker->session),
                         (souk_str_t){.data = (const char *)corr, .size = sizeof(corr)});
    souk_err_t err = souk_session_commit(call->broker->session);
    (void)err;
}

void souk_client_cancel(souk_client_t *self, uint64_t handle) {
    s_call_t *call = s_find(self, handle);
    if (call == NULL) {
        return;
    }
    if (call->state == S_SENT) {
        s_send_cancel(call);
    }
    self->stats.cancelled++;
    s_release(call);
}

/* ---- Sessions ----------------------------------------------------------------------------------
 */

static void s_on_reply(s_broker_t *broker, souk_msg_type_t type, const souk_rep_t *rep) {
    souk_client_t *self = broker->client;
    s_call_t *call = s_find_corr(self, rep->corr);
    if (call == NULL || call->broker != broker) {
        self->stats.late++;
        return;
    }
    self->stats.replies++;
    if (type == SOUK_MSG_REP) {
        s_finish(call, &(souk_outcome_t){.flags = rep->flags, .body = rep->body});
        return;
    }
    souk_fault_t fault;
    if (souk_fault_read(rep->body, &fault) != SOUK_OK) {
        fault = (souk_fault_t){.err = SOUK_ERR_BAD_REPLY};
    }
    s_finish(call, &(souk_outcome_t){.err = fault.err, .flags = rep->flags, .fault = &fault});
}

static void s_on_envelope(void *arg, const souk_envelope_t *envelope, souk_err_t err) {
    s_broker_t *broker = arg;
    if (err == SOUK_OK && (envelope->type == SOUK_MSG_REP || envelope->type == SOUK_MSG_ERR)) {
        s_on_reply(broker, envelope->type, &envelope->as.rep);
    } else {
        broker->client->stats.malformed++;
    }
}

static void s_tell(const s_broker_t *broker, bool up) {
    const souk_client_options_t *options = &broker->client->options;
    if (options->on_broker != NULL) {
        options->on_broker(options->arg, souk_session_endpoint(broker->session), up);
    }
}

static void s_on_up(void *arg, const souk_envelope_t *welcome) {
    (void)welcome;
    s_broker_t *broker = arg;
    s_tell(broker, true);
    s_resend(broker->client);
}

static void s_on_down(void *arg, souk_session_end_t why, souk_str_t text) {
    (void)why;
    (void)text;
    s_broker_t *broker = arg;
    s_tell(broker, false);
    s_call_t *call;
    /* The session is down already: callbacks cannot put calls into this list. */
    while ((call = TAILQ_FIRST(&broker->sent)) != NULL) {
        if (call->class_ == SOUK_CLASS_UNKEYED) {
            s_fail(call, SOUK_ERR_UNKNOWN_OUTCOME);
        } else {
            s_wait(call);
        }
    }
    s_resend(broker->client);
}

/* ---- Life --------------------------------------------------------------------------------------
 */

static souk_err_t s_add_broker(souk_client_t *self, const char *endpoint) {
    if (self->brokers_count == BROKERS_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    s_broker_t *broker = &self->brokers[self->brokers_count];
    broker->client = self;
    TAILQ_INIT(&broker->sent);
    souk_session_options_t options = {
        .endpoint = endpoint,
        .role = SOUK_ROLE_CLIENT,
        .name = self->options.name,
        .heartbeat_ms = self->options.heartbeat_ms,
        .pending_bytes_max = self->options.pending_bytes_max,
        .linger_ms = LINGER_MS,
        .on_up = s_on_up,
        .on_down = s_on_down,
        .on_envelope = s_on_envelope,
        .arg = broker,
    };
    SOUK_TRY(souk_session_open(self->loop, &options, &broker->session));
    self->brokers_count++;
    return SOUK_OK;
}

static souk_err_t s_add_brokers(souk_client_t *self) {
    char *list = strdup(self->options.endpoints);
    if (list == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    souk_err_t err = SOUK_OK;
    char *rest = NULL;
    for (char *endpoint = strtok_r(list, ", ", &rest); endpoint != NULL && err == SOUK_OK;
         endpoint = strtok_r(NULL, ", ", &rest)) {
        err = s_add_broker(self, endpoint);
    }
    free(list);
    return err == SOUK_OK && self->brokers_count == 0 ? SOUK_ERR_MALFORMED : err;
}

static souk_err_t s_init(souk_client_t *self) {
    souk_random(self->epoch, sizeof(self->epoch));
    self->resend = souk_timer_new(self->loop, s_on_resend, self);
    self->calls = calloc(self->options.outstanding_max, sizeof(*self->calls));
    if (self->resend == NULL || self->calls == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < self->options.outstanding_max; i++) {
        s_call_t *call = &self->calls[i];
        call->client = self;
        call->generation = 1;
        souk_buf_init(&call->tail, self->options.pending_bytes_max);
        TAILQ_INSERT_TAIL(&self->free, call, place);
    }
    return s_add_brokers(self);
}

souk_err_t souk_client_new(souk_loop_t *loop, const souk_client_options_t *options,
                           souk_client_t **ret_self) {
    souk_assert(options->outstanding_max > 0 && options->pending_bytes_max > 0);
    souk_client_t *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    self->loop = loop;
    self->options = *options;
    TAILQ_INIT(&self->free);
    TAILQ_INIT(&self->waiting);
    souk_err_t err = s_init(self);
    self->options.endpoints = self->options.name = NULL; /* the caller's; sessions have copies */
    if (err != SOUK_OK) {
        int saved = errno;
        souk_client_destroy(&self);
        errno = saved;
        return err;
    }
    *ret_self = self;
    return SOUK_OK;
}

static void s_end_calls(souk_client_t *self) {
    for (uint32_t i = 0; self->calls != NULL && i < self->options.outstanding_max; i++) {
        s_call_t *call = &self->calls[i];
        if (call->state == S_SENT) {
            s_send_cancel(call);
        }
        if (call->state != S_FREE) {
            s_fail(call, SOUK_ERR_CANCELLED);
        }
        souk_timer_destroy(&call->timer);
        souk_buf_done(&call->tail);
    }
}

void souk_client_destroy(souk_client_t **self_p) {
    souk_client_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    self->closing = true;
    s_end_calls(self);
    for (size_t i = 0; i < self->brokers_count; i++) {
        souk_session_close(&self->brokers[i].session);
    }
    souk_timer_destroy(&self->resend);
    free(self->calls);
    free(self);
}

bool souk_client_connected(const souk_client_t *self) {
    for (size_t i = 0; i < self->brokers_count; i++) {
        if (souk_session_takes_requests(self->brokers[i].session)) {
            return true;
        }
    }
    return false;
}

uint32_t souk_client_outstanding(const souk_client_t *self) {
    return self->outstanding;
}

void souk_client_stats(const souk_client_t *self, souk_client_stats_t *ret) {
    *ret = self->stats;
    for (size_t i = 0; i < self->brokers_count; i++) {
        souk_session_stats_t session;
        souk_session_stats(self->brokers[i].session, &session);
        ret->malformed += session.malformed + session.unsupported;
    }
}
