/* A call lives on the stack of the thread that waits for it. It is lent to the loop's thread from
 * the mailbox until its `over`; souk_client promises one callback for each call that it took, also
 * at the deadline and at its end, so nobody waits for ever and nothing is left behind. */
#include "runtime/caller.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "souk/client.h"
#include "souk/clock.h"
#include "souk/log.h"
#include "souk/loop.h"
#include "souk/mailbox.h"
#include "souk/thread.h"

#define PENDING_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define REQUEST_BYTES_MAX 1024 /* of souk_caller_ask */
#define US_PER_MS 1000

struct souk_caller {
    souk_loop_t *loop;
    souk_client_t *client; /* the loop's thread alone, once it runs */
    souk_mailbox_t *calls;
    pthread_t thread;
    atomic_bool closing;
};

typedef struct {
    souk_req_t req;
    int64_t until_us;
    souk_arena_t *arena; /* the waiting thread's, which does not touch it meanwhile */
    souk_str_t reply;
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    bool over; /* under mutex; then err and reply are the waiting thread's again */
    souk_err_t err;
} call_t;

static void s_finish(call_t *call, souk_err_t err) {
    pthread_mutex_lock(&call->mutex);
    call->err = err;
    call->over = true;
    pthread_cond_signal(&call->answered); /* inside: the call is gone as soon as this is unlocked */
    pthread_mutex_unlock(&call->mutex);
}

/* ---- the loop's thread ---- */

static void s_on_outcome(void *arg, const souk_outcome_t *outcome) {
    call_t *call = arg;
    souk_err_t err = outcome->err;
    if (err == SOUK_OK) {
        call->reply = souk_arena_copy(call->arena, outcome->body);
        err = call->reply.data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
    }
    s_finish(call, err);
}

static void s_send(souk_caller_t *self, call_t *call) {
    int64_t left_ms = (call->until_us - souk_clock_mono_us()) / US_PER_MS;
    if (left_ms < 1) {
        s_finish(call, SOUK_ERR_TIMEOUT);
        return;
    }
    uint64_t number;
    call->req.timeout_ms = (uint32_t)left_ms;
    souk_err_t err = souk_client_call(self->client, &call->req, s_on_outcome, call, &number);
    if (err != SOUK_OK) {
        s_finish(call, err);
    }
}

static void s_on_wake(void *arg) {
    souk_caller_t *self = arg;
    bool closing = atomic_load(&self->closing);
    for (call_t *call = souk_mailbox_take(self->calls, 0); call != NULL;
         call = souk_mailbox_take(self->calls, 0)) {
        if (closing) {
            s_finish(call, SOUK_ERR_CANCELLED);
        } else {
            s_send(self, call);
        }
    }
    if (closing) {
        souk_loop_stop(self->loop);
    }
}

static void s_on_broker(void *arg, const char *endpoint, bool up) {
    (void)arg;
    souk_log(up ? SOUK_LOG_INFO : SOUK_LOG_WARN, up ? "WK-CALLER-UP" : "WK-CALLER-LOST",
             SOUK_F_TEXT("broker", endpoint));
}

static void *s_run(void *arg) {
    souk_caller_t *self = arg;
    souk_assert(souk_loop_run(self->loop) == SOUK_OK);
    souk_client_destroy(&self->client);
    return NULL;
}

/* ---- other threads ---- */

static void s_wake(void *arg) {
    souk_caller_t *self = arg;
    souk_loop_wake(self->loop);
}

souk_err_t souk_caller_new(const char *front, const char *name, souk_caller_t **ret_self) {
    souk_caller_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->loop = souk_loop_new();
    if (self->loop == NULL) {
        free(self);
        return SOUK_ERR_IO;
    }
    const souk_client_options_t options = {.endpoints = front,
                                           .name = name,
                                           .outstanding_max = SOUK_CALLER_CALLS_MAX,
                                           .pending_bytes_max = PENDING_BYTES_MAX,
                                           .on_broker = s_on_broker};
    souk_err_t err = souk_client_new(self->loop, &options, &self->client);
    if (err != SOUK_OK) {
        souk_loop_destroy(&self->loop);
        free(self);
        return err;
    }
    self->calls = souk_mailbox_new(SOUK_CALLER_CALLS_MAX, s_wake, self);
    souk_loop_on_wake(self->loop, s_on_wake, self);
    souk_assert(souk_thread_start(&self->thread, s_run, self));
    *ret_self = self;
    return SOUK_OK;
}

void souk_caller_close(souk_caller_t *self) {
    souk_mailbox_close(self->calls); /* first: whoever sees `closing` sees the last call */
    atomic_store(&self->closing, true);
    souk_loop_wake(self->loop);
}

void souk_caller_destroy(souk_caller_t **self_p) {
    souk_assert(self_p != NULL);
    souk_caller_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    souk_caller_close(self);
    souk_assert(pthread_join(self->thread, NULL) == 0);
    souk_mailbox_destroy(&self->calls, NULL);
    souk_loop_destroy(&self->loop);
    free(self);
    *self_p = NULL;
}

souk_err_t souk_caller_call(souk_caller_t *self, const souk_callee_t *callee, souk_str_t body,
                            souk_arena_t *arena, souk_str_t *ret_reply) {
    call_t call = {.req = {.service = souk_str_of(callee->service),
                           .method = souk_str_of(callee->method),
                           .class_ = callee->class_,
                           .priority = callee->priority,
                           .body = body},
                   .until_us = souk_clock_mono_us() + (int64_t)callee->timeout_ms * US_PER_MS,
                   .arena = arena};
    souk_assert(pthread_mutex_init(&call.mutex, NULL) == 0);
    souk_assert(pthread_cond_init(&call.answered, NULL) == 0);
    souk_err_t err = souk_mailbox_put(self->calls, &call);
    if (err == SOUK_OK) {
        pthread_mutex_lock(&call.mutex);
        while (!call.over) {
            pthread_cond_wait(&call.answered, &call.mutex);
        }
        pthread_mutex_unlock(&call.mutex);
        err = call.err;
    }
    pthread_cond_destroy(&call.answered);
    pthread_mutex_destroy(&call.mutex);
    if (err == SOUK_OK) {
        *ret_reply = call.reply;
    }
    return err;
}

souk_err_t souk_caller_ask(souk_caller_t *self, const souk_callee_t *callee, const void *req,
                           souk_arena_t *arena, void *ret_rep) {
    SOUK_CLEANUP(souk_buf_done) souk_buf_t body;
    souk_buf_init(&body, REQUEST_BYTES_MAX);
    souk_schema_to_mp(callee->req_type, req, &body);
    if (body.overflow) {
        return SOUK_ERR_TOO_LARGE;
    }
    souk_str_t reply;
    SOUK_TRY(souk_caller_call(self, callee, souk_buf_str(&body), arena, &reply));
    souk_issues_t issues;
    souk_issues_init(&issues);
    return souk_schema_from_mp(callee->rep_type, reply, arena, ret_rep, &issues);
}
