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

TestSuite(death, .init = setup, .fini = teardown);

static rig_work_t work_of(souk_peer_t worker) {
    rig_work_t work;
    cr_assert(rig_work(&rig, worker, &work), "worker %u got nothing", worker);
    return work;
}

static void nothing_for(souk_peer_t worker) {
    rig_work_t work;
    cr_assert_not(rig_work(&rig, worker, &work), "worker %u got %s", worker, work.method);
}

Test(death, a_read_goes_to_another_worker_with_the_rest_of_its_time) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 1000});
    work_of(2);
    rig_tick(&rig, 200000);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
    rig_worker(&rig, 3, 1);
    rig_work_t again = work_of(3);
    cr_assert_eq(again.attempt, 1);
    cr_assert_eq(again.timeout_ms, 800);
    rig_reply(&rig, 3, &again);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_OK);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_REDELIVERED), 1);
    cr_assert_eq(rig.notes[SOUK_NOTE_WORKER_DIED], 1);
}

Test(death, keyed_and_external_are_redelivered_and_unkeyed_is_not) {
    rig_worker(&rig, 2, 3);
    rig_req(&rig, 1, (rig_req_t){.corr = "k", .class_ = SOUK_CLASS_KEYED});
    rig_req(&rig, 1, (rig_req_t){.corr = "u", .class_ = SOUK_CLASS_UNKEYED});
    rig_req(&rig, 1, (rig_req_t){.corr = "e", .class_ = SOUK_CLASS_EXTERNAL});
    for (int i = 0; i < 3; i++) {
        work_of(2);
    }
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    cr_assert(rig_answer(&rig, 1, "u") == SOUK_ERR_UNKNOWN_OUTCOME);
    rig_worker(&rig, 3, 3);
    rig_work_t first = work_of(3);
    nothing_for(3); /* suspects come one at a time */
    rig_reply(&rig, 3, &first);
    cr_assert(rig_answer(&rig, 1, "k") == SOUK_OK);
    rig_work_t second = work_of(3);
    rig_reply(&rig, 3, &second);
    cr_assert(rig_answer(&rig, 1, "e") == SOUK_OK);
    nothing_for(3);
}

Test(death, an_unkeyed_request_that_was_only_queued_is_not_lost) {
    rig_worker(&rig, 2, 0);
    rig_req(&rig, 1, (rig_req_t){.corr = "u", .class_ = SOUK_CLASS_UNKEYED});
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    rig_worker(&rig, 3, 1);
    cr_assert_eq(work_of(3).attempt, 0);
}

Test(death, silence_kills_a_worker_that_hoards_work) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 10000});
    work_of(2);
    rig_worker(&rig, 3, 1);
    rig_work_t work;
    bool moved = false;
    for (int i = 0; i < 20 && !moved; i++) { /* 2 says nothing; 3 and the client answer pings */
        rig_tick(&rig, 100000);
        cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
        moved = rig_work(&rig, 3, &work);
    }
    cr_assert(moved);
    cr_assert_eq(work.attempt, 1);
    cr_assert_eq(rig.forgotten[SOUK_SIDE_BACK][2], 1);
}

Test(death, hello_again_is_the_death_of_the_former_session) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_work_t old = work_of(2);
    rig_worker(&rig, 2, 1);
    rig_work_t again = work_of(2);
    cr_assert_eq(again.attempt, 1);
    rig_reply(&rig, 2, &old);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY,
              "the old session's answer is not the new one's");
    rig_reply(&rig, 2, &again);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_OK);
}

Test(death, a_request_that_kills_alone_is_given_up_and_logged) {
    rig_worker(&rig, 2, 4);
    rig_req(&rig, 1, (rig_req_t){.corr = "p", .request_id = "req-9", .timeout_ms = 10000});
    work_of(2);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    rig_worker(&rig, 3, 4);
    cr_assert_eq(work_of(3).attempt, 1);
    rig_gone(&rig, SOUK_SIDE_BACK, 3);
    cr_assert(rig_answer(&rig, 1, "p") == SOUK_ERR_WORKER_LOST);
    cr_assert_eq(rig.notes[SOUK_NOTE_POISON], 1);
    rig_worker(&rig, 4, 4);
    nothing_for(4);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_WORKER_LOST), 1);
    cr_assert_eq(rig_view(&rig).flights, 0);
}

/* One poisonous request among eight: it alone is given up, and the innocent are all answered. */
Test(death, only_a_death_alone_counts) {
    souk_peer_t worker = 2;
    rig_worker(&rig, worker, 8);
    for (int i = 0; i < 8; i++) {
        char corr[2] = {(char)('a' + i), 0};
        rig_req(&rig, 1,
                (rig_req_t){.corr = corr, .timeout_ms = 10000, .body_bytes = i == 3 ? 66 : 1});
    }
    for (int i = 0; i < 8; i++) {
        work_of(worker);
    }
    rig_gone(&rig, SOUK_SIDE_BACK, worker);
    unsigned killed = 1, answered = 0;
    rig_worker(&rig, ++worker, 8);
    rig_work_t work;
    while (rig_work(&rig, worker, &work)) {
        if (work.body.size == 66) {
            rig_gone(&rig, SOUK_SIDE_BACK, worker);
            killed++;
            rig_worker(&rig, ++worker, 8);
        } else {
            rig_reply(&rig, worker, &work);
            answered++;
        }
    }
    cr_assert_eq(answered, 7);
    cr_assert_eq(killed, 3);
    souk_envelope_t envelope;
    unsigned lost = 0, replies = 0;
    while (rig_take(&rig, SOUK_SIDE_FRONT, 1, &envelope)) {
        lost += envelope.type == SOUK_MSG_ERR ? 1 : 0;
        replies += envelope.type == SOUK_MSG_REP ? 1 : 0;
    }
    cr_assert_eq(lost, 1);
    cr_assert_eq(replies, 7);
}

Test(death, a_suspect_waits_for_empty_hands_and_keeps_others_out) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "s", .timeout_ms = 10000});
    work_of(2);
    rig_worker(&rig, 3, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "x", .timeout_ms = 10000});
    rig_work_t busy = work_of(3);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    nothing_for(3); /* set aside, but not empty */
    rig_req(&rig, 1, (rig_req_t){.corr = "y", .timeout_ms = 10000});
    nothing_for(3);
    rig_reply(&rig, 3, &busy);
    cr_assert(rig_answer(&rig, 1, "x") == SOUK_OK);
    rig_work_t suspect = work_of(3);
    cr_assert_eq(suspect.attempt, 1);
    nothing_for(3); /* alone */
    rig_reply(&rig, 3, &suspect);
    cr_assert(rig_answer(&rig, 1, "s") == SOUK_OK);
    cr_assert_eq(work_of(3).attempt, 0);
}

Test(death, half_of_the_workers_go_on_while_suspects_are_tried) {
    for (souk_peer_t worker = 2; worker < 7; worker++) {
        rig_worker(&rig, worker, worker == 2 ? 8 : 0);
    }
    for (int i = 0; i < 8; i++) {
        char corr[2] = {(char)('a' + i), 0};
        rig_req(&rig, 1, (rig_req_t){.corr = corr, .timeout_ms = 10000});
    }
    for (souk_peer_t worker = 3; worker < 7; worker++) {
        rig_credit(&rig, worker, SOUK_LANE_SLOT, 4);
    }
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    unsigned tried = 0;
    for (souk_peer_t worker = 3; worker < 7; worker++) {
        rig_work_t work;
        while (rig_work(&rig, worker, &work)) {
            tried++;
        }
    }
    cr_assert_eq(tried, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "new", .timeout_ms = 10000});
    unsigned fresh = 0;
    for (souk_peer_t worker = 3; worker < 7; worker++) {
        rig_work_t work;
        fresh += rig_work(&rig, worker, &work) ? 1 : 0;
    }
    cr_assert_eq(fresh, 1);
}

Test(death, a_suspect_that_expires_releases_its_worker) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "s", .timeout_ms = 300});
    work_of(2);
    rig_worker(&rig, 3, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "x", .timeout_ms = 10000});
    work_of(3);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "y", .timeout_ms = 10000});
    nothing_for(3);
    rig_pass(&rig, 301000);
    cr_assert(rig_answer(&rig, 1, "s") == SOUK_ERR_TIMEOUT, "it may have run");
    work_of(3);
}

Test(death, a_suspect_that_is_cancelled_releases_its_worker) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "s", .timeout_ms = 3000});
    work_of(2);
    rig_worker(&rig, 3, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "x", .timeout_ms = 10000});
    work_of(3);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "y", .timeout_ms = 10000});
    nothing_for(3);
    rig_cancel(&rig, 1, "s");
    work_of(3);
}

Test(death, a_refused_suspect_goes_to_another_worker_alone) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "s", .timeout_ms = 3000});
    work_of(2);
    rig_worker(&rig, 3, 1);
    rig_worker(&rig, 4, 1);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    rig_work_t work;
    souk_peer_t first = rig_work(&rig, 3, &work) ? 3 : 4;
    if (first == 4) {
        work = work_of(4);
    }
    rig_refuse(&rig, first, &work, SOUK_REFUSED_NO_ROOM);
    cr_assert_eq(work_of(7 - first).attempt, 1);
}

Test(death, a_draining_worker_that_dies_is_no_different) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    work_of(2);
    rig_drain(&rig, 2);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    rig_worker(&rig, 3, 1);
    cr_assert_eq(work_of(3).attempt, 1);
}

Test(death, a_dead_clients_queue_is_dropped_and_its_running_work_cancelled) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_req(&rig, 1, (rig_req_t){.corr = "b"});
    rig_work_t work = work_of(2);
    rig_gone(&rig, SOUK_SIDE_FRONT, 1);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_BACK, 2), SOUK_MSG_CANCEL);
    cr_assert_eq(rig_view(&rig).flights, 1);
    rig_reply(&rig, 2, &work);
    cr_assert_eq(rig_view(&rig).flights, 0);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_ORPHANED), 1);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_ABANDONED), 2);
    nothing_for(2);
}

Test(death, an_abandoned_request_is_not_redelivered) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    work_of(2);
    rig_gone(&rig, SOUK_SIDE_FRONT, 1);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    rig_worker(&rig, 3, 1);
    nothing_for(3);
    cr_assert_eq(rig_view(&rig).flights, 0);
}

Test(death, a_client_that_says_hello_again_gets_none_of_its_old_answers) {
    rig_worker(&rig, 2, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_work_t work = work_of(2);
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    rig_reply(&rig, 2, &work);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_ERR_RETRY);
}

Test(death, a_worker_that_left_after_drained_is_no_loss) {
    rig_worker(&rig, 2, 1);
    rig_drain(&rig, 2);
    rig_gone(&rig, SOUK_SIDE_BACK, 2);
    cr_assert_eq(rig_view(&rig).lost[SOUK_SIDE_BACK], 0);
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_BACK], 0);
}
