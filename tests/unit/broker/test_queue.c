#include "rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

static rig_t rig;

static void setup(void) {
    rig_init(&rig);
}

static void teardown(void) {
    rig_done(&rig);
}

TestSuite(queue, .init = setup, .fini = teardown);

static void start(void) {
    rig_start(&rig);
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
}

static void many(unsigned count, const char *prefix, rig_req_t req) {
    for (unsigned i = 0; i < count; i++) {
        char corr[16];
        snprintf(corr, sizeof(corr), "%s%u", prefix, i);
        req.corr = corr;
        rig_req(&rig, 1, req);
    }
}

Test(queue, a_full_queue_answers_overloaded_at_once) {
    start();
    rig_worker(&rig, 2, 0);
    many(100, "a", (rig_req_t){.timeout_ms = 5000});
    cr_assert(rig_answer(&rig, 1, "") == SOUK_ERR_RETRY);
    rig_req(&rig, 1, (rig_req_t){.corr = "x"});
    souk_envelope_t envelope;
    cr_assert(rig_take(&rig, SOUK_SIDE_FRONT, 1, &envelope));
    souk_fault_t fault;
    cr_assert(souk_fault_read(envelope.as.rep.body, &fault) == SOUK_OK);
    cr_assert(fault.err == SOUK_ERR_OVERLOADED);
    cr_assert_eq(fault.retry_after_ms, 1000);
    cr_assert_gt(fault.detail.size, 10);
    rig_req(&rig, 1, (rig_req_t){.corr = "y", .priority = SOUK_PRIORITY_BATCH});
    cr_assert(rig_answer(&rig, 1, "y") == SOUK_ERR_RETRY,
              "another priority has a queue of its own");
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_OVERLOADED), 1);
}

Test(queue, the_bound_is_across_lanes) {
    start();
    rig_worker(&rig, 2, 0);
    many(50, "a", (rig_req_t){.method = "get"});
    many(50, "b", (rig_req_t){.method = "peek"});
    rig_req(&rig, 1, (rig_req_t){.corr = "x", .method = "many"});
    cr_assert(rig_answer(&rig, 1, "x") == SOUK_ERR_OVERLOADED);
}

Test(queue, bytes_are_bounded_too) {
    start();
    rig_worker(&rig, 2, 0);
    many(10, "a", (rig_req_t){.body_bytes = 100000});
    rig_req(&rig, 1, (rig_req_t){.corr = "x", .body_bytes = 100000});
    cr_assert(rig_answer(&rig, 1, "x") == SOUK_ERR_OVERLOADED);
    rig_req(&rig, 1, (rig_req_t){.corr = "y", .body_bytes = 10});
    cr_assert(rig_answer(&rig, 1, "y") == SOUK_ERR_RETRY);
}

Test(queue, all_bytes_held_are_bounded) {
    rig.options.bytes_max = 150000;
    start();
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .body_bytes = 100000});
    rig_req(&rig, 1, (rig_req_t){.corr = "x", .body_bytes = 100000});
    cr_assert(rig_answer(&rig, 1, "x") == SOUK_ERR_OVERLOADED,
              "what is in a worker's hands counts");
}

Test(queue, a_request_that_would_not_fit_towards_the_worker_is_too_large) {
    rig.options.envelope_bytes_max = 1000;
    start();
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "x", .body_bytes = 930});
    cr_assert(rig_answer(&rig, 1, "x") == SOUK_ERR_TOO_LARGE);
    rig_req(&rig, 1, (rig_req_t){.corr = "y", .body_bytes = 900});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
}

Test(queue, flights_are_bounded) {
    rig.options.flights_max = 5;
    start();
    rig_worker(&rig, 2, 2);
    many(5, "a", (rig_req_t){0});
    rig_req(&rig, 1, (rig_req_t){.corr = "x"});
    cr_assert(rig_answer(&rig, 1, "x") == SOUK_ERR_OVERLOADED);
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_reply(&rig, 2, &work);
    cr_assert(rig_answer(&rig, 1, "a0") == SOUK_OK);
    rig_req(&rig, 1, (rig_req_t){.corr = "y"});
    cr_assert(rig_answer(&rig, 1, "y") == SOUK_ERR_RETRY);
}

Test(queue, expired_work_is_answered_at_its_deadline_and_never_run) {
    start();
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 50});
    rig_pass(&rig, 49000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    rig_pass(&rig, 2000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_DEADLINE_EXCEEDED);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 5);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), 0);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_EXPIRED), 1);
    cr_assert_eq(rig_view(&rig).flights, 0);
}

Test(queue, work_inside_the_reserve_is_not_dispatched) {
    start();
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 50});
    rig_req(&rig, 1, (rig_req_t){.corr = "b", .timeout_ms = 500});
    rig_tick(&rig, 48500);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 1);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_DEADLINE_EXCEEDED);
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    cr_assert_gt(work.timeout_ms, 400);
}

Test(queue, a_request_in_a_worker_times_out_with_a_cancel_and_keeps_its_credit) {
    start();
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 100});
    rig_req(&rig, 1, (rig_req_t){.corr = "b", .timeout_ms = 5000});
    rig_work_t work, next;
    cr_assert(rig_work(&rig, 2, &work));
    rig_pass(&rig, 101000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_TIMEOUT);
    souk_envelope_t envelope;
    cr_assert(rig_take(&rig, SOUK_SIDE_BACK, 2, &envelope));
    cr_assert_eq(envelope.type, SOUK_MSG_CANCEL);
    cr_assert_arr_eq(envelope.as.cancel.corr.data, work.corr, SOUK_CORR_BYTES);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), 0, "the worker is still busy");
    cr_assert_eq(rig_service(&rig, "shop").queues[0].inflight, 1);
    rig_reply(&rig, 2, &work);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY, "late answers are dropped");
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_ORPHANED), 1);
    cr_assert(rig_work(&rig, 2, &next));
}

Test(queue, a_request_for_nobody_waits_for_a_first_worker) {
    start();
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 5000});
    rig_pass(&rig, 200000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    cr_assert_eq(rig_service(&rig, "shop").queues[0].queued, 1, "the scaler must see it");
    rig_worker(&rig, 2, 1);
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    cr_assert_eq(work.timeout_ms, 4800);
}

Test(queue, no_worker_after_the_cold_start_allowance) {
    start();
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 5000});
    rig_pass(&rig, 100000);
    rig_req(&rig, 1, (rig_req_t){.corr = "b", .timeout_ms = 5000});
    rig_pass(&rig, 202000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_NO_WORKER);
    cr_assert(rig_answer(&rig, 1, "b") == SOUK_ERR_RETRY, "each has its own allowance");
    rig_pass(&rig, 100000);
    cr_assert(rig_answer(&rig, 1, "b") == SOUK_ERR_NO_WORKER);
    cr_assert_eq(rig_view(&rig).flights, 0);
}

Test(queue, the_allowance_starts_again_when_the_last_worker_leaves) {
    start();
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 5000});
    rig_pass(&rig, 1000000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    rig_pass(&rig, 250000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    rig_pass(&rig, 60000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_NO_WORKER);
}

Test(queue, a_method_that_no_worker_lists_is_unknown) {
    start();
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .method = "fly"});
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_UNKNOWN_METHOD);
}

Test(queue, a_waiting_request_for_an_unknown_method_is_answered_when_the_first_worker_comes) {
    start();
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .method = "fly", .timeout_ms = 5000});
    rig_worker(&rig, 2, 1);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_UNKNOWN_METHOD);
}

Test(queue, requests_alone_cannot_fill_the_table_of_services) {
    start();
    char name[32];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "ghost%d", i);
        rig_req(&rig, 1, (rig_req_t){.corr = name, .service = name, .timeout_ms = 5000});
    }
    cr_assert(rig_answer(&rig, 1, "ghost2") == SOUK_ERR_NO_WORKER);
    cr_assert_eq(rig_view(&rig).services, 2);
    rig_worker(&rig, 2, 1);
    rig_forget_inboxes(&rig);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), SOUK_MSG_REQ);
    rig_pass(&rig, 400000);
    rig_forget_inboxes(&rig);
    rig_req(&rig, 1, (rig_req_t){.corr = "b", .service = "another", .timeout_ms = 5000});
    cr_assert(rig_answer(&rig, 1, "b") == SOUK_ERR_RETRY, "the place of an idle ghost is taken");
}

Test(queue, ready_beyond_the_bounds_is_cut_and_said) {
    start();
    rig_hello(&rig, SOUK_SIDE_BACK, 2);
    static char names[200][12];
    souk_ready_row_t rows[200];
    for (int i = 0; i < 200; i++) {
        snprintf(names[i], sizeof(names[i]), "m%d", i);
        rows[i] = (souk_ready_row_t){{"shop", 4}, souk_str_of(names[i]), SOUK_LANE_SLOT};
    }
    souk_envelope_ready(rig_begin(&rig), rows, 200);
    rig_send(&rig, SOUK_SIDE_BACK, 2);
    cr_assert_eq(rig.notes[SOUK_NOTE_READY_LIMIT], 1);
    cr_assert_eq(rig.last_note.count, 200 - 128);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 200);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .method = "m127"});
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), SOUK_MSG_REQ);
}

Test(queue, names_of_methods_may_change_for_ever) {
    start();
    rig_hello(&rig, SOUK_SIDE_BACK, 2);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 1);
    for (int round = 0; round < 1000; round++) {
        char name[16], corr[16];
        snprintf(name, sizeof(name), "m%d", round);
        snprintf(corr, sizeof(corr), "c%d", round);
        souk_ready_row_t row = {{"shop", 4}, souk_str_of(name), SOUK_LANE_SLOT};
        souk_envelope_ready(rig_begin(&rig), &row, 1);
        rig_send(&rig, SOUK_SIDE_BACK, 2);
        rig_req(&rig, 1, (rig_req_t){.corr = corr, .method = name});
        rig_work_t work;
        cr_assert(rig_work(&rig, 2, &work), "round %d", round);
        rig_reply(&rig, 2, &work);
        cr_assert(rig_answer(&rig, 1, corr) == SOUK_OK);
    }
    souk_core_check(rig.core);
}

Test(queue, cancel_takes_a_queued_request_out) {
    start();
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_req(&rig, 1, (rig_req_t){.corr = "b"});
    rig_cancel(&rig, 1, "a");
    cr_assert_eq(rig_view(&rig).flights, 1);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 5);
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    cr_assert_not(rig_work(&rig, 2, &work));
    rig_reply(&rig, 2, &work);
    cr_assert(rig_answer(&rig, 1, "b") == SOUK_OK);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_CANCELLED), 1);
}

Test(queue, cancel_of_a_running_request_is_passed_on_and_not_answered) {
    start();
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 100});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_cancel(&rig, 1, "a");
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), SOUK_MSG_CANCEL);
    rig_pass(&rig, 200000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    rig_refuse(&rig, 2, &work, SOUK_REFUSED_NO_ROOM);
    cr_assert_eq(rig_view(&rig).flights, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "b"});
    cr_assert(rig_work(&rig, 2, &work), "a refused cancelled request says nothing about room");
}

Test(queue, cancel_only_reaches_the_clients_own_requests) {
    start();
    rig_hello(&rig, SOUK_SIDE_FRONT, 3);
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_cancel(&rig, 3, "a");
    rig_cancel(&rig, 1, "nothing");
    cr_assert_eq(rig_view(&rig).flights, 1);
}

Test(queue, two_clients_may_use_the_same_correlation_id) {
    start();
    rig_hello(&rig, SOUK_SIDE_FRONT, 3);
    rig_worker(&rig, 2, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_req(&rig, 3, (rig_req_t){.corr = "a"});
    rig_work_t first, second;
    cr_assert(rig_work(&rig, 2, &first) && rig_work(&rig, 2, &second));
    rig_reply(&rig, 2, &second);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    cr_assert(rig_answer(&rig, 3, "a") == SOUK_OK);
    rig_reply(&rig, 2, &first);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_OK);
}

Test(queue, a_correlation_id_in_use_is_malformed_and_free_again_afterwards) {
    start();
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_MALFORMED);
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_reply(&rig, 2, &work);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_OK);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    cr_assert(rig_work(&rig, 2, &work));
}

Test(queue, a_clock_that_goes_back_is_a_clock_that_stands) {
    start();
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 100});
    rig_tick(&rig, -500000);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 1);
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    cr_assert_leq(work.timeout_ms, 100);
}

/* The work for one request may not grow with what is queued: counted in instructions it cannot be
 * here, so in time, as a ratio with much room. */
static int64_t cpu_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t cost_of_2000_us(void) {
    int64_t before_us = cpu_us();
    for (int i = 0; i < 2000; i++) {
        rig_work_t work;
        rig_req(
            &rig, 1,
            (rig_req_t){.corr = "probe", .priority = SOUK_PRIORITY_CHECKOUT, .timeout_ms = 60000});
        cr_assert(rig_work(&rig, 2, &work));
        rig_reply(&rig, 2, &work);
        cr_assert(rig_answer(&rig, 1, "probe") == SOUK_OK);
    }
    return cpu_us() - before_us;
}

Test(queue, a_hundred_thousand_queued_requests_do_not_slow_down_the_next) {
    rig.options.flights_max = 110000;
    rig.options.queue_count_max = 105000;
    rig.options.queue_bytes_max = rig.options.bytes_max = 1 << 28;
    rig.options.floor = 1000000;
    start();
    rig_worker(&rig, 2, 1);
    int64_t empty_us = cost_of_2000_us();
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 0);
    many(100000, "q", (rig_req_t){.priority = SOUK_PRIORITY_BATCH, .timeout_ms = 600000});
    rig_work_t work;
    rig_req(&rig, 1, (rig_req_t){.corr = "first", .priority = SOUK_PRIORITY_CHECKOUT});
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 1);
    cr_assert(rig_work(&rig, 2, &work));
    for (int i = 0; i < 2000;
         i++) { /* one waits while one runs: each answer dispatches past 100,000 others */
        char corr[16];
        snprintf(corr, sizeof(corr), "w%d", i);
        rig_req(&rig, 1,
                (rig_req_t){.corr = corr, .priority = SOUK_PRIORITY_CHECKOUT, .timeout_ms = 60000});
    }
    int64_t before_us = cpu_us();
    for (int i = 0; i < 2000; i++) {
        rig_reply(&rig, 2, &work);
        cr_assert(rig_work(&rig, 2, &work));
        cr_assert_eq(rig_service(&rig, "shop").queues[3].queued, 100000);
    }
    int64_t full_us = cpu_us() - before_us;
    cr_assert_lt(full_us, 20 * empty_us + 20000, "%ld us against %ld us", (long)full_us,
                 (long)empty_us);
}
