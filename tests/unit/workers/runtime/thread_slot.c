/* Slots under load: every job comes back once with its own answer, cancel flags cross threads,
 * failed starts and broken connections are tried again, and the end waits for what runs. Runs under
 * ThreadSanitizer. */
#include <czmq.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/diag.h"
#include "slot.h"
#include "souk/clock.h"
#include "souk/mp.h"

#define SLOTS 3
#define JOBS 3000
#define WAIT_MS 30000

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* ---- A service --------------------------------------------------------------------------------
 */

typedef struct {
    atomic_int starts, stops, failures_left;
    atomic_int changes;
    atomic_int broken_left; /* starts whose connection does not work */
    atomic_int breaks;      /* connections that are found broken */
} counts_t;

typedef struct {
    unsigned long calls; /* of one slot: needs no lock */
    bool broken;
} connection_t;

static souk_err_t s_double(souk_ctx_t *ctx, const void *request, void *reply) {
    const diag_echo_req_t *req = request;
    connection_t *connection = souk_ctx_slot(ctx);
    connection->calls++;
    if (connection->broken) {
        return SOUK_ERR_UNAVAILABLE;
    }
    diag_echo_rep_set_text(reply, req->text);
    diag_echo_rep_set_number(reply, 2 * req->number);
    return SOUK_OK;
}

static souk_err_t s_break(souk_ctx_t *ctx, const void *request, void *reply) {
    (void)request;
    (void)reply;
    connection_t *connection = souk_ctx_slot(ctx);
    connection->broken = true;
    return SOUK_ERR_UNAVAILABLE;
}

static souk_err_t s_until_cancelled(souk_ctx_t *ctx, const void *request, void *reply) {
    (void)request;
    (void)reply;
    while (!souk_ctx_cancelled(ctx)) {
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return SOUK_ERR_CANCELLED;
}

static void s_count_batch(souk_batch_t *batch, souk_call_t *calls, size_t calls_count) {
    connection_t *connection = batch->slot;
    connection->calls += calls_count;
    for (size_t i = 0; i < calls_count; i++) {
        diag_echo_rep_set_number(calls[i].reply, (int64_t)calls_count);
    }
}

enum { METHOD_DOUBLE, METHOD_UNTIL_CANCELLED, METHOD_BATCH, METHOD_BREAK, METHODS_COUNT };
static const souk_method_t s_methods[METHODS_COUNT] = {
    {.name = "double",
     .request = &diag_echo_req_type,
     .reply = &diag_echo_rep_type,
     .run = s_double,
     .lane = SOUK_LANE_SLOT,
     .memory_bytes_max = 4096,
     .reply_bytes_max = 4096},
    {.name = "until_cancelled",
     .request = &diag_echo_req_type,
     .reply = &diag_echo_rep_type,
     .run = s_until_cancelled,
     .lane = SOUK_LANE_SLOT,
     .memory_bytes_max = 4096,
     .reply_bytes_max = 4096},
    {.name = "batch",
     .request = &diag_echo_req_type,
     .reply = &diag_echo_rep_type,
     .run_batch = s_count_batch,
     .lane = SOUK_LANE_BATCH,
     .memory_bytes_max = 4096,
     .reply_bytes_max = 4096},
    {.name = "break",
     .request = &diag_echo_req_type,
     .reply = &diag_echo_rep_type,
     .run = s_break,
     .lane = SOUK_LANE_SLOT,
     .memory_bytes_max = 4096,
     .reply_bytes_max = 4096},
};

static souk_err_t s_slot_start(void *service, void **ret_slot) {
    counts_t *counts = service;
    if (atomic_fetch_sub(&counts->failures_left, 1) > 0) {
        return SOUK_ERR_UNAVAILABLE;
    }
    connection_t *connection = calloc(1, sizeof(*connection));
    CHECK(connection != NULL);
    connection->broken = atomic_fetch_sub(&counts->broken_left, 1) > 0;
    *ret_slot = connection;
    atomic_fetch_add(&counts->starts, 1);
    return SOUK_OK;
}

static void s_slot_stop(void *service, void *slot) {
    counts_t *counts = service;
    atomic_fetch_add(&counts->stops, 1);
    free(slot);
}

static bool s_slot_ok(void *service, void *slot) {
    counts_t *counts = service;
    connection_t *connection = slot;
    connection->broken = connection->broken || atomic_fetch_sub(&counts->breaks, 1) > 0;
    return !connection->broken;
}

static const souk_service_t s_service = {.name = "thread",
                                         .methods = s_methods,
                                         .methods_count = METHODS_COUNT,
                                         .slot_start = s_slot_start,
                                         .slot_stop = s_slot_stop,
                                         .slot_ok = s_slot_ok};

/* ---- The bus thread's part ---------------------------------------------------------------------
 */

static counts_t counts;
static souk_served_t served = {.service = &s_service, .state = &counts};
static souk_mailbox_t *done;
static souk_slot_t *slots[SLOTS];

static void s_on_change(void *arg) {
    counts_t *self = arg;
    atomic_fetch_add(&self->changes, 1);
}

static souk_ticket_t *s_ticket(size_t method, int64_t number) {
    souk_ticket_t *ticket = calloc(1, sizeof(*ticket));
    CHECK(ticket != NULL);
    ticket->method = method;
    ticket->ctx = souk_ctx_new(&s_methods[method]);
    souk_buf_t body, envelope;
    souk_buf_init(&body, 1024);
    souk_buf_init(&envelope, 4096);
    souk_mp_write_map(&body, 2);
    souk_mp_write_str(&body, SOUK_STR("text"));
    souk_mp_write_str(&body, SOUK_STR("t"));
    souk_mp_write_str(&body, SOUK_STR("number"));
    souk_mp_write_int(&body, number);
    souk_req_t req = {.corr = SOUK_STR("c"),
                      .timeout_ms = 1000,
                      .service = SOUK_STR("thread"),
                      .method = souk_str_of(s_methods[method].name),
                      .body = souk_buf_str(&body)};
    souk_envelope_req(&envelope, &req);
    souk_ctx_begin_copy(ticket->ctx, souk_buf_str(&envelope), souk_clock_mono_us() + 1000000);
    souk_buf_done(&body);
    souk_buf_done(&envelope);
    return ticket;
}

static int64_t s_number_of(souk_ticket_t *ticket) {
    souk_str_t body;
    CHECK(souk_ctx_outcome(ticket->ctx, &body) == SOUK_OK);
    diag_echo_rep_t reply = {0};
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, body.data, body.size);
    uint32_t fields;
    CHECK(souk_mp_read_map(&cursor, &fields) == SOUK_OK);
    for (uint32_t i = 0; i < fields; i++) {
        souk_str_t name;
        CHECK(souk_mp_read_str(&cursor, &name) == SOUK_OK);
        if (souk_str_equal(name, SOUK_STR("number"))) {
            CHECK(souk_mp_read_int(&cursor, &reply.number) == SOUK_OK);
        } else {
            CHECK(souk_mp_skip(&cursor) == SOUK_OK);
        }
    }
    return reply.number;
}

static void s_free(souk_ticket_t *ticket) {
    souk_ctx_end(ticket->ctx);
    souk_ctx_destroy(&ticket->ctx);
    free(ticket);
}

static souk_slot_t *s_wait_done(void) {
    souk_slot_t *slot = souk_mailbox_take(done, WAIT_MS);
    CHECK(slot != NULL);
    return slot;
}

static void s_wait_started(void) {
    int64_t until_us = souk_clock_mono_us() + (int64_t)WAIT_MS * 1000;
    for (size_t i = 0; i < SLOTS; i++) {
        while (souk_slot_started(slots[i]) != 1 || souk_slot_connecting(slots[i])) {
            CHECK(souk_clock_mono_us() < until_us);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
}

static void s_open(int failures) {
    memset(&counts, 0, sizeof(counts));
    atomic_store(&counts.failures_left, failures);
    done = souk_mailbox_new(SLOTS, NULL, NULL);
    for (uint32_t i = 0; i < SLOTS; i++) {
        souk_slot_options_t options = {.served = &served,
                                       .served_count = 1,
                                       .done = done,
                                       .on_change = s_on_change,
                                       .arg = &counts,
                                       .number = i};
        CHECK(souk_slot_new(&options, &slots[i]) == SOUK_OK);
    }
}

static void s_close_after(int starts) {
    for (size_t i = 0; i < SLOTS; i++) {
        souk_slot_destroy(&slots[i]);
        CHECK(slots[i] == NULL);
    }
    souk_mailbox_destroy(&done, NULL);
    CHECK(atomic_load(&counts.starts) == starts);
    CHECK(atomic_load(&counts.stops) == starts);
}

static void s_close(void) {
    s_close_after(SLOTS);
}

/* ---- Tests -------------------------------------------------------------------------------------
 */

static void s_run(souk_slot_t *slot, int64_t number) {
    souk_slot_job(slot)[0] = s_ticket(METHOD_DOUBLE, number);
    souk_slot_run(slot, 1);
}

static void s_test_every_job_comes_back_once(void) {
    s_open(0);
    s_wait_started();
    int64_t sent = 0, sum = 0;
    for (; sent < SLOTS; sent++) {
        s_run(slots[sent], sent);
    }
    for (int64_t received = 0; received < JOBS; received++) {
        souk_slot_t *slot = s_wait_done();
        size_t count;
        souk_ticket_t *ticket = souk_slot_tickets(slot, &count)[0];
        CHECK(count == 1);
        sum += s_number_of(ticket);
        s_free(ticket);
        souk_slot_clear(slot);
        if (sent < JOBS) {
            s_run(slot, sent++);
        }
    }
    CHECK(sum == (int64_t)JOBS * (JOBS - 1));
    s_close();
}

static void s_test_a_batch_is_one_job(void) {
    s_open(0);
    s_wait_started();
    souk_ticket_t **job = souk_slot_job(slots[0]);
    for (int i = 0; i < 10; i++) {
        job[i] = s_ticket(METHOD_BATCH, i);
    }
    souk_slot_run(slots[0], 10);
    CHECK(s_wait_done() == slots[0]);
    for (int i = 0; i < 10; i++) {
        CHECK(s_number_of(job[i]) == 10);
        s_free(job[i]);
    }
    souk_slot_clear(slots[0]);
    s_close();
}

static void s_test_cancel_reaches_a_running_call(void) {
    s_open(0);
    s_wait_started();
    souk_ticket_t *ticket = s_ticket(METHOD_UNTIL_CANCELLED, 0);
    souk_slot_job(slots[1])[0] = ticket;
    souk_slot_run(slots[1], 1);
    souk_ctx_cancel(ticket->ctx);
    CHECK(s_wait_done() == slots[1]);
    souk_str_t body;
    CHECK(souk_ctx_outcome(ticket->ctx, &body) == SOUK_ERR_CANCELLED);
    s_free(ticket);
    souk_slot_clear(slots[1]);
    s_close();
}

static void s_test_failed_starts_are_tried_again(void) {
    s_open(SLOTS + 1);
    s_wait_started();
    CHECK(atomic_load(&counts.changes) >= SLOTS + 1);
    s_run(slots[0], 21);
    CHECK(s_wait_done() == slots[0]);
    size_t count;
    souk_ticket_t *ticket = souk_slot_tickets(slots[0], &count)[0];
    CHECK(s_number_of(ticket) == 42);
    s_free(ticket);
    souk_slot_clear(slots[0]);
    s_close();
}

static void s_wait_starts(int starts) {
    int64_t until_us = souk_clock_mono_us() + (int64_t)WAIT_MS * 1000;
    while (atomic_load(&counts.starts) < starts) {
        CHECK(souk_clock_mono_us() < until_us);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void s_run_and_free(souk_slot_t *slot, size_t method, souk_err_t wanted) {
    souk_ticket_t *ticket = s_ticket(method, 1);
    souk_slot_job(slot)[0] = ticket;
    souk_slot_run(slot, 1);
    CHECK(s_wait_done() == slot);
    souk_str_t body;
    CHECK(souk_ctx_outcome(ticket->ctx, &body) == wanted);
    s_free(ticket);
    souk_slot_clear(slot);
}

static void s_test_a_broken_connection_is_made_anew_after_the_job(void) {
    s_open(0);
    s_wait_started();
    s_run_and_free(slots[0], METHOD_BREAK, SOUK_ERR_UNAVAILABLE);
    s_run_and_free(slots[0], METHOD_DOUBLE, SOUK_OK);
    s_wait_starts(SLOTS + 1);
    s_close_after(SLOTS + 1);
}

/* One that cannot work says so itself; the slot takes its calls and tries again meanwhile. */
static void s_test_a_start_without_a_connection_takes_calls(void) {
    s_open(0);
    s_wait_started();
    atomic_store(&counts.broken_left, 2);
    s_run_and_free(slots[2], METHOD_BREAK, SOUK_ERR_UNAVAILABLE);
    s_wait_starts(SLOTS + 1);
    CHECK(souk_slot_started(slots[2]) == 1);
    s_run_and_free(slots[2], METHOD_DOUBLE, SOUK_ERR_UNAVAILABLE);
    s_wait_starts(SLOTS + 3);
    s_run_and_free(slots[2], METHOD_DOUBLE, SOUK_OK);
    s_close_after(SLOTS + 3);
}

static void s_test_a_connection_that_breaks_while_idle_is_made_anew(void) {
    s_open(0);
    s_wait_started();
    atomic_store(&counts.breaks, 1);
    s_wait_starts(SLOTS + 1);
    s_close_after(SLOTS + 1);
}

int main(void) {
    zsys_handler_set(NULL);
    s_test_every_job_comes_back_once();
    s_test_a_batch_is_one_job();
    s_test_cancel_reaches_a_running_call();
    s_test_failed_starts_are_tried_again();
    s_test_a_broken_connection_is_made_anew_after_the_job();
    s_test_a_start_without_a_connection_takes_calls();
    s_test_a_connection_that_breaks_while_idle_is_made_anew();
    return 0;
}
