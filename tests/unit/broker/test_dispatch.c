#include "rig.h"

#include <criterion/criterion.h>
#include <stdio.h>

static rig_t rig;

static void setup(void) {
    rig_init(&rig);
    rig_start(&rig);
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
}

static void teardown(void) {
    rig_done(&rig);
}

TestSuite(dispatch, .init = setup, .fini = teardown);

static unsigned pending(souk_peer_t worker) {
    rig_work_t work;
    unsigned count = 0;
    while (rig_work(&rig, worker, &work)) {
        count++;
    }
    return count;
}

static void many(unsigned count, rig_req_t req) {
    for (unsigned i = 0; i < count; i++) {
        char corr[16];
        snprintf(corr, sizeof(corr), "%s%u", req.corr, i);
        rig_req_t one = req;
        one.corr = corr;
        rig_req(&rig, 1, one);
    }
}

Test(dispatch, a_request_goes_to_the_worker_and_its_answer_back) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "abc", .body_bytes = 10, .timeout_ms = 1000});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    cr_assert_str_eq(work.method, "get");
    cr_assert_eq(work.body.size, 10);
    cr_assert_eq(work.attempt, 0);
    cr_assert_eq(work.timeout_ms, 1000);
    rig_reply(&rig, 2, &work);
    cr_assert(rig_answer(&rig, 1, "abc") == SOUK_OK);
    cr_assert(rig_answer(&rig, 1, "abc") == SOUK_ERR_RETRY);
    cr_assert_eq(rig_view(&rig).flights, 0);
    cr_assert_eq(rig_view(&rig).bytes, 0);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_REPLIED), 1);
}

Test(dispatch, an_err_of_the_worker_is_passed_on) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    souk_buf_t body;
    souk_buf_init(&body, 1000);
    souk_fault_write(&body, &(souk_fault_t){.err = SOUK_ERR_NOT_FOUND});
    souk_envelope_err(rig_begin(&rig), (souk_str_t){(char *)work.corr, 16}, -1,
                      souk_buf_str(&body));
    rig_send(&rig, SOUK_SIDE_BACK, 2);
    souk_buf_done(&body);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_NOT_FOUND);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_FAILED), 1);
}

Test(dispatch, the_time_in_the_queue_is_taken_off_the_timeout) {
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 1000});
    rig_tick(&rig, 300000);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 1);
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    cr_assert_eq(work.timeout_ms, 700);
    cr_assert_eq(rig.waited, 1);
    cr_assert_eq(rig.waited_us, 300000);
}

Test(dispatch, nothing_is_sent_without_credit) {
    rig_worker(&rig, 2, 0);
    many(3, (rig_req_t){.corr = "a"});
    cr_assert_eq(pending(2), 0);
    cr_assert_eq(rig_service(&rig, "shop").queues[0].queued, 3);
}

Test(dispatch, the_window_is_never_exceeded_and_is_absolute) {
    rig_worker(&rig, 2, 2);
    many(10, (rig_req_t){.corr = "a"});
    cr_assert_eq(pending(2), 2);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 2);
    cr_assert_eq(pending(2), 0);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 5);
    cr_assert_eq(pending(2), 3);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 1);
    cr_assert_eq(pending(2), 0);
}

Test(dispatch, windows_are_per_lane) {
    rig_worker(&rig, 2, 0);
    rig_credit(&rig, 2, SOUK_LANE_INLINE, 1);
    many(2, (rig_req_t){.corr = "g", .method = "get"});
    many(2, (rig_req_t){.corr = "m", .method = "many"});
    many(2, (rig_req_t){.corr = "p", .method = "peek"});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    cr_assert_str_eq(work.method, "peek", "a lane without credit must not block the others");
    cr_assert_eq(pending(2), 0);
    rig_credit(&rig, 2, SOUK_LANE_BATCH, 8);
    cr_assert_eq(pending(2), 2);
}

Test(dispatch, a_method_that_few_workers_know_does_not_block_the_others) {
    static const souk_ready_row_t only_put[] = {{{"shop", 4}, {"put", 3}, SOUK_LANE_SLOT}};
    rig_worker(&rig, 2, 0);
    rig_hello(&rig, SOUK_SIDE_BACK, 3);
    souk_envelope_ready(rig_begin(&rig), only_put, 1);
    rig_send(&rig, SOUK_SIDE_BACK, 3);
    many(3, (rig_req_t){.corr = "g", .method = "get"});
    many(1, (rig_req_t){.corr = "p", .method = "put"});
    rig_credit(&rig, 3, SOUK_LANE_SLOT, 4);
    rig_work_t work;
    cr_assert(rig_work(&rig, 3, &work));
    cr_assert_str_eq(work.method, "put");
    cr_assert_eq(pending(3), 0);
}

Test(dispatch, requests_of_one_priority_go_oldest_first_across_methods) {
    rig_worker(&rig, 2, 0);
    const char *methods[] = {"get", "put", "get", "get", "put"};
    for (int i = 0; i < 5; i++) {
        char corr[2] = {(char)('a' + i), 0};
        rig_req(&rig, 1, (rig_req_t){.corr = corr, .method = methods[i]});
        rig_tick(&rig, 1000);
    }
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 5);
    rig_work_t work;
    for (int i = 0; i < 5; i++) {
        cr_assert(rig_work(&rig, 2, &work));
        cr_assert_str_eq(work.method, methods[i]);
    }
}

Test(dispatch, the_worker_with_the_larger_free_share_gets_it) {
    rig_worker(&rig, 2, 8);
    rig_worker(&rig, 3, 2);
    many(5, (rig_req_t){.corr = "a"});
    cr_assert_eq(pending(2), 4);
    cr_assert_eq(pending(3), 1);
}

Test(dispatch, equal_workers_take_turns) {
    rig_worker(&rig, 2, 4);
    rig_worker(&rig, 3, 4);
    rig_worker(&rig, 4, 4);
    many(6, (rig_req_t){.corr = "a"});
    cr_assert_eq(pending(2), 2);
    cr_assert_eq(pending(3), 2);
    cr_assert_eq(pending(4), 2);
}

Test(dispatch, higher_priorities_go_first) {
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "d", .priority = SOUK_PRIORITY_BATCH, .timeout_ms = 4000});
    rig_req(&rig, 1,
            (rig_req_t){.corr = "c", .priority = SOUK_PRIORITY_BROWSE, .timeout_ms = 3000});
    rig_req(&rig, 1,
            (rig_req_t){.corr = "b", .priority = SOUK_PRIORITY_ACCOUNT, .timeout_ms = 2000});
    rig_req(&rig, 1,
            (rig_req_t){.corr = "a", .priority = SOUK_PRIORITY_CHECKOUT, .timeout_ms = 1000});
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 4);
    rig_work_t work;
    for (uint32_t i = 1; i <= 4; i++) {
        cr_assert(rig_work(&rig, 2, &work));
        cr_assert_eq(work.timeout_ms, i * 1000);
    }
}

Test(dispatch, the_lowest_priority_has_a_floor) {
    rig_worker(&rig, 2, 0);
    many(80, (rig_req_t){.corr = "a", .priority = SOUK_PRIORITY_CHECKOUT, .timeout_ms = 1000});
    many(10, (rig_req_t){.corr = "z", .priority = SOUK_PRIORITY_BATCH, .timeout_ms = 9000});
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 68);
    unsigned low = 0, at = 0, last = 0;
    rig_work_t work;
    while (rig_work(&rig, 2, &work)) {
        at++;
        if (work.timeout_ms == 9000) {
            low++;
            cr_assert_leq(at - last, 17, "passed over more than 16 times");
            last = at;
        }
    }
    cr_assert_eq(at, 68);
    cr_assert_eq(low, 4);
}

Test(dispatch, no_priority_starves_behind_two_others) {
    rig_worker(&rig, 2, 0);
    many(90, (rig_req_t){.corr = "a", .priority = SOUK_PRIORITY_CHECKOUT, .timeout_ms = 1000});
    many(20, (rig_req_t){.corr = "b", .priority = SOUK_PRIORITY_ACCOUNT, .timeout_ms = 2000});
    many(20, (rig_req_t){.corr = "c", .priority = SOUK_PRIORITY_BROWSE, .timeout_ms = 3000});
    many(20, (rig_req_t){.corr = "d", .priority = SOUK_PRIORITY_BATCH, .timeout_ms = 4000});
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 100);
    unsigned seen[5] = {0};
    rig_work_t work;
    while (rig_work(&rig, 2, &work)) {
        seen[work.timeout_ms / 1000]++;
    }
    cr_assert(seen[2] >= 4 && seen[3] >= 4 && seen[4] >= 4, "%u %u %u %u", seen[1], seen[2],
              seen[3], seen[4]);
    cr_assert_gt(seen[1], 75);
}

Test(dispatch, refused_goes_to_another_worker_without_an_attempt) {
    rig_worker(&rig, 2, 1);
    rig_worker(&rig, 3, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .class_ = SOUK_CLASS_UNKEYED});
    rig_work_t work;
    souk_peer_t first = rig_work(&rig, 2, &work) ? 2 : 3;
    if (first == 3) {
        cr_assert(rig_work(&rig, 3, &work));
    }
    rig_refuse(&rig, first, &work, SOUK_REFUSED_NO_ROOM);
    cr_assert(rig_work(&rig, 5 - first, &work), "whatever its class");
    cr_assert_eq(work.attempt, 0);
    rig_reply(&rig, 5 - first, &work);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_OK);
}

Test(dispatch, a_refusing_worker_gets_nothing_until_it_sends_credit) {
    rig_worker(&rig, 2, 4);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_refuse(&rig, 2, &work, SOUK_REFUSED_NO_ROOM);
    many(3, (rig_req_t){.corr = "b"});
    cr_assert_eq(pending(2), 0);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 4);
    cr_assert_eq(pending(2), 4);
}

Test(dispatch, a_refusing_worker_gets_work_again_when_it_answers) {
    rig_worker(&rig, 2, 2);
    many(2, (rig_req_t){.corr = "a"});
    rig_work_t first, second;
    cr_assert(rig_work(&rig, 2, &first));
    cr_assert(rig_work(&rig, 2, &second));
    rig_refuse(&rig, 2, &second, SOUK_REFUSED_NO_ROOM);
    cr_assert_eq(pending(2), 0);
    rig_reply(&rig, 2, &first);
    cr_assert(rig_work(&rig, 2, &second));
}

Test(dispatch, a_refusing_worker_with_empty_hands_is_tried_again_after_a_heartbeat) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 5000});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_refuse(&rig, 2, &work, SOUK_REFUSED_NO_ROOM);
    cr_assert_eq(pending(2), 0);
    rig_pass(&rig, 600000);
    cr_assert(rig_work(&rig, 2, &work));
}

Test(dispatch, too_many_refusals_are_overload) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_work_t work;
    for (int i = 0; i < 4; i++) {
        cr_assert(rig_work(&rig, 2, &work), "refusal %d", i);
        rig_refuse(&rig, 2, &work, SOUK_REFUSED_NO_ROOM);
        rig_credit(&rig, 2, SOUK_LANE_SLOT, 1);
    }
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_OVERLOADED);
    cr_assert_eq(pending(2), 0);
    cr_assert_eq(rig_view(&rig).flights, 0);
}

Test(dispatch, refused_for_its_deadline_is_answered_at_once) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_refuse(&rig, 2, &work, SOUK_REFUSED_DEADLINE);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_DEADLINE_EXCEEDED);
    rig_req(&rig, 1, (rig_req_t){.corr = "b"});
    cr_assert_eq(pending(2), 1, "the worker has room");
}

Test(dispatch, a_refused_request_that_expires_in_the_queue_was_not_run) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 100});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_refuse(&rig, 2, &work, SOUK_REFUSED_NO_ROOM);
    rig_pass(&rig, 101000);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_DEADLINE_EXCEEDED);
}

Test(dispatch, a_second_answer_is_dropped_and_counted) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_work_t work, next;
    cr_assert(rig_work(&rig, 2, &work));
    rig_reply(&rig, 2, &work);
    rig_reply(&rig, 2, &work);
    cr_assert_eq(rig_view(&rig).late, 1);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_OK);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    rig_req(&rig, 1, (rig_req_t){.corr = "b"});
    cr_assert(rig_work(&rig, 2, &next));
    rig_reply(&rig, 2, &work);
    cr_assert(rig_answer(&rig, 1, "b") == SOUK_ERR_RETRY,
              "an old answer must not fit a new request");
}

Test(dispatch, only_the_holder_may_answer) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_worker(&rig, 3, 1);
    rig_reply(&rig, 3, &work);
    rig_refuse(&rig, 3, &work, SOUK_REFUSED_NO_ROOM);
    cr_assert_eq(rig_view(&rig).forged, 2);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    rig_work_t wild = work;
    wild.corr[15] ^= 1;
    rig_reply(&rig, 2, &wild);
    wild = work;
    wild.corr[11] = 0x7f;
    rig_reply(&rig, 2, &wild);
    wild = work;
    wild.corr[0] ^= 1;
    rig_reply(&rig, 2, &wild);
    cr_assert_eq(rig_view(&rig).forged + rig_view(&rig).late, 5);
    rig_reply(&rig, 2, &work);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_OK);
}

Test(dispatch, drain_finishes_what_is_in_hand_and_gets_no_more) {
    rig_worker(&rig, 2, 1);
    many(2, (rig_req_t){.corr = "a"});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    rig_drain(&rig, 2);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), 0);
    rig_reply(&rig, 2, &work);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), SOUK_MSG_DRAINED);
    cr_assert(rig_answer(&rig, 1, "a0") == SOUK_OK);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 4);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), 0, "a drained worker gets nothing");
    cr_assert_eq(rig_service(&rig, "shop").workers, 0);
    rig_worker(&rig, 3, 1);
    cr_assert(rig_work(&rig, 3, &work));
}

Test(dispatch, an_idle_worker_is_drained_at_once_and_ready_ends_a_drain) {
    static const souk_ready_row_t row[] = {{{"shop", 4}, {"get", 3}, SOUK_LANE_SLOT}};
    rig_worker(&rig, 2, 1);
    rig_drain(&rig, 2);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), SOUK_MSG_DRAINED);
    souk_envelope_ready(rig_begin(&rig), row, 1);
    rig_send(&rig, SOUK_SIDE_BACK, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    cr_assert_eq(pending(2), 1);
}

Test(dispatch, ready_replaces_what_a_worker_serves) {
    static const souk_ready_row_t row[] = {{{"shop", 4}, {"put", 3}, SOUK_LANE_BATCH}};
    rig_worker(&rig, 2, 4);
    souk_envelope_ready(rig_begin(&rig), row, 1);
    rig_send(&rig, SOUK_SIDE_BACK, 2);
    many(1, (rig_req_t){.corr = "g", .method = "get"});
    many(1, (rig_req_t){.corr = "p", .method = "put"});
    rig_work_t work;
    cr_assert(rig_work(&rig, 2, &work));
    cr_assert_str_eq(work.method, "put");
    cr_assert_eq(pending(2), 0);
    rig_credit(&rig, 2, SOUK_LANE_SLOT, 50);
    cr_assert_eq(pending(2), 0);
}

Test(dispatch, a_worker_that_takes_no_frames_is_passed_by) {
    rig_worker(&rig, 2, 4);
    rig_worker(&rig, 3, 4);
    rig.clogged[SOUK_SIDE_BACK][2] = true;
    many(4, (rig_req_t){.corr = "a"});
    cr_assert_eq(pending(3), 4);
    cr_assert_eq(pending(2), 0);
}

Test(dispatch, status_counts_workers_slots_and_age) {
    rig_worker(&rig, 2, 2);
    rig_worker(&rig, 3, 1);
    many(12, (rig_req_t){.corr = "a"});
    rig_tick(&rig, 250000);
    souk_service_view_t view = rig_service(&rig, "shop");
    cr_assert_eq(view.workers, 2);
    cr_assert_eq(view.slots, 9);
    cr_assert_eq(view.slots_free, 6);
    cr_assert_eq(view.queues[0].queued, 9);
    cr_assert_eq(view.queues[0].inflight, 3);
    cr_assert_eq(view.queues[0].oldest_us, 250000);
    cr_assert(rig_view(&rig).served);
}
