#include "rig.h"

#include <criterion/criterion.h>

static rig_t rig;

static void setup(void) {
    rig_init(&rig);
    rig_start(&rig);
}

static void teardown(void) {
    rig_done(&rig);
}

TestSuite(session, .init = setup, .fini = teardown);

static souk_envelope_t take(souk_side_t side, souk_peer_t peer, souk_msg_type_t type) {
    souk_envelope_t envelope;
    cr_assert(rig_take(&rig, side, peer, &envelope), "nothing came");
    cr_assert_eq(envelope.type, type, "got %d", envelope.type);
    return envelope;
}

static void hello(souk_side_t side, souk_peer_t peer, uint32_t heartbeat_ms) {
    souk_envelope_hello(rig_begin(&rig),
                        side == SOUK_SIDE_FRONT ? SOUK_ROLE_CLIENT : SOUK_ROLE_WORKER,
                        SOUK_STR("x"), heartbeat_ms);
    rig_send(&rig, side, peer);
}

Test(session, welcome_names_epoch_and_clamps_the_heartbeat) {
    hello(SOUK_SIDE_FRONT, 1, 0);
    souk_envelope_t welcome = take(SOUK_SIDE_FRONT, 1, SOUK_MSG_WELCOME);
    cr_assert_eq(welcome.as.welcome.epoch, RIG_EPOCH);
    cr_assert_eq(welcome.as.welcome.heartbeat_ms, 500);
    cr_assert_eq(welcome.as.welcome.envelope_bytes_max, 1 << 20);
    hello(SOUK_SIDE_FRONT, 2, 1);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 2, SOUK_MSG_WELCOME).as.welcome.heartbeat_ms, 100);
    hello(SOUK_SIDE_FRONT, 3, 100000);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 3, SOUK_MSG_WELCOME).as.welcome.heartbeat_ms, 5000);
    hello(SOUK_SIDE_FRONT, 4, 777);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 4, SOUK_MSG_WELCOME).as.welcome.heartbeat_ms, 777);
}

Test(session, a_repeated_hello_gets_the_same_session) {
    uint8_t first[16];
    hello(SOUK_SIDE_BACK, 1, 0);
    memcpy(first, take(SOUK_SIDE_BACK, 1, SOUK_MSG_WELCOME).as.welcome.session.data, 16);
    hello(SOUK_SIDE_BACK, 1, 0);
    cr_assert_arr_eq(first, take(SOUK_SIDE_BACK, 1, SOUK_MSG_WELCOME).as.welcome.session.data, 16);
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_BACK], 1);
}

Test(session, hello_after_other_messages_is_a_new_session) {
    uint8_t first[16];
    hello(SOUK_SIDE_BACK, 1, 0);
    memcpy(first, take(SOUK_SIDE_BACK, 1, SOUK_MSG_WELCOME).as.welcome.session.data, 16);
    rig_credit(&rig, 1, SOUK_LANE_SLOT, 1);
    hello(SOUK_SIDE_BACK, 1, 0);
    cr_assert_arr_neq(first, take(SOUK_SIDE_BACK, 1, SOUK_MSG_WELCOME).as.welcome.session.data, 16);
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_BACK], 1);
    cr_assert_eq(rig_view(&rig).lost[SOUK_SIDE_BACK], 1);
}

Test(session, messages_without_a_session_are_answered_by_goaway) {
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    cr_assert_eq(take(SOUK_SIDE_FRONT, 1, SOUK_MSG_GOAWAY).as.goaway.reason,
                 SOUK_GOAWAY_UNKNOWN_SESSION);
    souk_envelope_ping(rig_begin(&rig), 1);
    rig_send(&rig, SOUK_SIDE_BACK, 1);
    cr_assert_eq(take(SOUK_SIDE_BACK, 1, SOUK_MSG_GOAWAY).as.goaway.reason,
                 SOUK_GOAWAY_UNKNOWN_SESSION);
    cr_assert_eq(rig_view(&rig).flights, 0);
}

Test(session, a_stranger_is_forgotten_after_three_heartbeats) {
    souk_envelope_ping(rig_begin(&rig), 1);
    rig_send(&rig, SOUK_SIDE_FRONT, 5);
    rig_pass(&rig, 1400000);
    cr_assert_eq(rig.forgotten[SOUK_SIDE_FRONT][5], 0);
    rig_pass(&rig, 200000);
    cr_assert_eq(rig.forgotten[SOUK_SIDE_FRONT][5], 1);
}

Test(session, the_wrong_role_is_a_protocol_error) {
    souk_envelope_hello(rig_begin(&rig), SOUK_ROLE_WORKER, SOUK_STR("x"), 0);
    rig_send(&rig, SOUK_SIDE_FRONT, 1);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 1, SOUK_MSG_GOAWAY).as.goaway.reason, SOUK_GOAWAY_PROTOCOL);
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_FRONT], 0);
}

Test(session, another_version_is_told_so) {
    souk_buf_append(rig_begin(&rig), "\x95\x02\x01\x01\xa1x\x00", 7);
    rig_send(&rig, SOUK_SIDE_FRONT, 1);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 1, SOUK_MSG_GOAWAY).as.goaway.reason, SOUK_GOAWAY_VERSION);
}

Test(session, sessions_are_bounded) {
    for (souk_peer_t peer = 0; peer < 16; peer++) {
        rig_hello(&rig, SOUK_SIDE_FRONT, peer);
    }
    hello(SOUK_SIDE_FRONT, 16, 0);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 16, SOUK_MSG_GOAWAY).as.goaway.reason,
                 SOUK_GOAWAY_TOO_MANY_PEERS);
    rig_gone(&rig, SOUK_SIDE_FRONT, 3);
    hello(SOUK_SIDE_FRONT, 16, 0);
    take(SOUK_SIDE_FRONT, 16, SOUK_MSG_WELCOME);
}

Test(session, pings_are_answered_with_their_token) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    souk_envelope_ping(rig_begin(&rig), 18446744073709551615ULL);
    rig_send(&rig, SOUK_SIDE_FRONT, 1);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 1, SOUK_MSG_PONG).as.ping.token, 18446744073709551615ULL);
}

Test(session, the_broker_pings_after_a_heartbeat_of_its_own_silence) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    size_t before = rig.inbox[SOUK_SIDE_FRONT][1].size;
    rig_tick(&rig, 499000);
    cr_assert_eq(rig.inbox[SOUK_SIDE_FRONT][1].size, before);
    rig_tick(&rig, 2000);
    cr_assert_gt(rig.inbox[SOUK_SIDE_FRONT][1].size, before);
}

Test(session, three_silent_heartbeats_are_death) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    for (int i = 0; i < 14; i++) {
        rig_tick(&rig, 100000);
    }
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_FRONT], 1);
    rig_tick(&rig, 110000);
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_FRONT], 0);
    cr_assert_eq(rig.forgotten[SOUK_SIDE_FRONT][1], 1);
    souk_envelope_t envelope;
    while (rig_take(&rig, SOUK_SIDE_FRONT, 1, &envelope)) {
    }
    rig_req(&rig, 1, (rig_req_t){.corr = "late"});
    while (rig_take(&rig, SOUK_SIDE_FRONT, 1, &envelope) && envelope.type != SOUK_MSG_GOAWAY) {
    }
    cr_assert_eq(envelope.as.goaway.reason, SOUK_GOAWAY_UNKNOWN_SESSION);
}

Test(session, any_message_is_a_sign_of_life) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    for (int i = 0; i < 50; i++) {
        rig_tick(&rig, 400000);
        rig_cancel(&rig, 1, "nothing");
    }
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_FRONT], 1);
}

Test(session, pongs_keep_an_idle_session_alive) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    rig_pass(&rig, 60000000);
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_FRONT], 1);
}

Test(session, garbage_is_counted_and_envelopes_before_it_stand) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    souk_buf_t *frame = rig_begin(&rig);
    souk_envelope_ping(frame, 1);
    souk_buf_append(frame, "\xc1garbage", 8);
    souk_envelope_ping(frame, 2);
    rig_send(&rig, SOUK_SIDE_FRONT, 1);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 1, SOUK_MSG_PONG).as.ping.token, 1);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_FRONT, 1), 0);
    cr_assert_eq(rig_view(&rig).malformed, 1);
    cr_assert_eq(rig.notes[SOUK_NOTE_PEER_MALFORMED], 1);
}

Test(session, an_unknown_type_is_skipped) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    souk_buf_t *frame = rig_begin(&rig);
    souk_buf_append(frame, "\x93\x01\x63\xc0", 4);
    souk_envelope_ping(frame, 9);
    rig_send(&rig, SOUK_SIDE_FRONT, 1);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 1, SOUK_MSG_PONG).as.ping.token, 9);
    cr_assert_eq(rig_view(&rig).unexpected, 1);
}

Test(session, messages_of_the_other_role_are_ignored) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    souk_envelope_drain(rig_begin(&rig));
    rig_send(&rig, SOUK_SIDE_FRONT, 1);
    rig_worker(&rig, 1, 1);
    souk_envelope_cancel(rig_begin(&rig), SOUK_STR("a"));
    rig_send(&rig, SOUK_SIDE_BACK, 1);
    cr_assert_eq(rig_view(&rig).unexpected, 2);
    cr_assert_eq(rig_next(&rig, SOUK_SIDE_FRONT, 1), 0);
}

Test(session, a_malformed_request_with_a_sound_head_is_answered) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    souk_buf_append(rig_begin(&rig), "\x94\x01\x05\xc4\x01z\x00",
                    7); /* timeout 0, and far too short */
    rig_send(&rig, SOUK_SIDE_FRONT, 1);
    cr_assert(rig_answer(&rig, 1, "z") == SOUK_ERR_MALFORMED);
    rig_req(&rig, 1, (rig_req_t){.corr = "k", .class_ = SOUK_CLASS_READ, .method = "BAD"});
    cr_assert(rig_answer(&rig, 1, "k") == SOUK_ERR_MALFORMED);
}

Test(session, an_empty_frame_is_malformed) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    rig_begin(&rig);
    rig_send(&rig, SOUK_SIDE_FRONT, 1);
    cr_assert_eq(rig_view(&rig).malformed, 1);
}

Test(session, a_client_that_reads_nothing_is_dropped) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    rig_worker(&rig, 1, 4);
    rig_req(&rig, 1, (rig_req_t){.corr = "a"});
    rig_req(&rig, 1, (rig_req_t){.corr = "b"});
    rig.clogged[SOUK_SIDE_FRONT][1] = true;
    rig_work_t work;
    cr_assert(rig_work(&rig, 1, &work));
    rig_reply(&rig, 1, &work);
    cr_assert_eq(rig_view(&rig).peers[SOUK_SIDE_FRONT], 0);
    cr_assert_eq(rig.forgotten[SOUK_SIDE_FRONT][1], 1);
    cr_assert_eq(rig_count(&rig, 0, SOUK_COUNT_ABANDONED), 1);
    cr_assert_eq(rig_view(&rig).flights, 1); /* the worker still has b */
}

Test(session, stop_says_goaway_and_finishes_what_it_holds) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    rig_worker(&rig, 1, 1);
    rig_req(&rig, 1, (rig_req_t){.corr = "a", .timeout_ms = 60000});
    rig_req(&rig, 1, (rig_req_t){.corr = "b", .timeout_ms = 60000});
    rig_work_t work;
    cr_assert(rig_work(&rig, 1, &work));
    souk_event_t stop = {.kind = SOUK_EVENT_STOP};
    souk_core_step(rig.core, &stop, rig.now_us, &rig.out);
    cr_assert_eq(take(SOUK_SIDE_FRONT, 1, SOUK_MSG_GOAWAY).as.goaway.reason, SOUK_GOAWAY_STOPPING);
    cr_assert_eq(take(SOUK_SIDE_BACK, 1, SOUK_MSG_GOAWAY).as.goaway.reason, SOUK_GOAWAY_STOPPING);
    rig_req(&rig, 1, (rig_req_t){.corr = "c"});
    cr_assert(rig_answer(&rig, 1, "c") == SOUK_ERR_DRAINING);
    hello(SOUK_SIDE_BACK, 2, 0);
    cr_assert_eq(take(SOUK_SIDE_BACK, 2, SOUK_MSG_GOAWAY).as.goaway.reason, SOUK_GOAWAY_STOPPING);
    rig_reply(&rig, 1, &work);
    cr_assert(rig_answer(&rig, 1, "a") == SOUK_OK);
    cr_assert_not(souk_core_finished(rig.core));
    cr_assert(rig_work(&rig, 1, &work)); /* what was queued still runs */
    rig_reply(&rig, 1, &work);
    cr_assert(rig_answer(&rig, 1, "b") == SOUK_OK);
    cr_assert(souk_core_finished(rig.core));
}

Test(session, stop_answers_everybody_when_its_patience_ends) {
    rig_hello(&rig, SOUK_SIDE_FRONT, 1);
    rig_worker(&rig, 1, 2);
    rig_req(&rig, 1, (rig_req_t){.corr = "read", .timeout_ms = 60000});
    rig_req(&rig, 1,
            (rig_req_t){.corr = "write", .timeout_ms = 60000, .class_ = SOUK_CLASS_UNKEYED});
    rig_req(&rig, 1, (rig_req_t){.corr = "wait", .timeout_ms = 60000});
    souk_event_t stop = {.kind = SOUK_EVENT_STOP};
    souk_core_step(rig.core, &stop, rig.now_us, &rig.out);
    rig_forget_inboxes(&rig);
    rig_pass(&rig, 2100000);
    cr_assert(souk_core_finished(rig.core));
    cr_assert(rig_answer(&rig, 1, "read") == SOUK_ERR_TIMEOUT);
    cr_assert(rig_answer(&rig, 1, "write") == SOUK_ERR_UNKNOWN_OUTCOME);
    cr_assert(rig_answer(&rig, 1, "wait") == SOUK_ERR_DRAINING);
}
