#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "souk/clock.h"
#include "souk/loop.h"

static souk_loop_t *s_loop;

static void s_setup(void) {
    s_loop = souk_loop_new();
    cr_assert_not_null(s_loop);
}

static void s_teardown(void) {
    souk_loop_destroy(&s_loop);
}

TestSuite(loop, .init = s_setup, .fini = s_teardown);

static void s_stop(void *arg) {
    (void)arg;
    souk_loop_stop(s_loop);
}

/* ---- Timers ------------------------------------------------------------------------------------
 */

static char s_trace[64];

typedef struct {
    char letter;
    souk_timer_t *timer;
    int again;
    bool stops; /* the loop, when it is not set again */
} timed_t;

static void s_on_timed(void *arg) {
    timed_t *timed = arg;
    size_t size = strlen(s_trace);
    cr_assert_lt(size, sizeof(s_trace) - 1);
    s_trace[size] = timed->letter;
    if (timed->again-- > 0) {
        souk_timer_set(timed->timer, 0);
    } else if (timed->stops) {
        souk_loop_stop(s_loop);
    }
}

static timed_t s_timed_new(char letter) {
    return (timed_t){.letter = letter};
}

static void s_timed_start(timed_t *timed, int64_t delay_us) {
    timed->timer = souk_timer_new(s_loop, s_on_timed, timed);
    cr_assert_not_null(timed->timer);
    souk_timer_set(timed->timer, delay_us);
}

static void s_run_until_us(int64_t delay_us) {
    souk_timer_t *stop = souk_timer_new(s_loop, s_stop, NULL);
    souk_timer_set(stop, delay_us);
    cr_assert_eq(souk_loop_run(s_loop), SOUK_OK);
    souk_timer_destroy(&stop);
}

Test(loop, timers_fire_in_the_order_of_their_times_and_not_early) {
    timed_t timed[5];
    const char letters[] = "cabed";
    const int64_t delays[] = {3000, 1000, 2000, 5000, 4000};
    int64_t start_us = souk_clock_mono_us();
    for (size_t i = 0; i < 5; i++) {
        timed[i] = s_timed_new(letters[i]);
        s_timed_start(&timed[i], delays[i]);
    }
    s_run_until_us(6000);
    cr_assert_geq(souk_clock_mono_us() - start_us, 6000);
    cr_assert_str_eq(s_trace, "abcde");
    for (size_t i = 0; i < 5; i++) {
        souk_timer_destroy(&timed[i].timer);
    }
}

Test(loop, timers_of_one_time_fire_as_they_were_set) {
    timed_t timed[10];
    for (size_t i = 0; i < 10; i++) {
        timed[i] = s_timed_new((char)('0' + i));
        s_timed_start(&timed[i], 0);
    }
    s_run_until_us(1000);
    cr_assert_str_eq(s_trace, "0123456789");
    for (size_t i = 0; i < 10; i++) {
        souk_timer_destroy(&timed[i].timer);
    }
}

Test(loop, a_timer_may_be_set_again_from_its_function) {
    timed_t timed = s_timed_new('x');
    timed.again = 4;
    timed.stops = true;
    s_timed_start(&timed, 100);
    cr_assert_eq(souk_loop_run(s_loop), SOUK_OK);
    cr_assert_str_eq(s_trace, "xxxxx");
    souk_timer_destroy(&timed.timer);
}

static void s_destroy_itself(void *arg) {
    souk_timer_t **timer = arg;
    souk_timer_destroy(timer);
}

Test(loop, a_timer_may_be_destroyed_from_its_function) {
    souk_timer_t *timer = NULL;
    timer = souk_timer_new(s_loop, s_destroy_itself, &timer);
    souk_timer_set(timer, 10);
    s_run_until_us(1000);
    cr_assert_null(timer);
}

Test(loop, a_cleared_timer_does_not_fire_and_a_later_setting_replaces_the_earlier) {
    timed_t a = s_timed_new('a'), b = s_timed_new('b'), c = s_timed_new('c');
    s_timed_start(&a, 10);
    s_timed_start(&b, 10);
    s_timed_start(&c, 10);
    souk_timer_clear(a.timer);
    souk_timer_clear(a.timer);
    souk_timer_set(b.timer, 500);
    s_run_until_us(2000);
    cr_assert_str_eq(s_trace, "cb");
    souk_timer_destroy(&a.timer);
    souk_timer_destroy(&b.timer);
    souk_timer_destroy(&c.timer);
}

static int64_t s_last_us;
static size_t s_fired;

static void s_on_ascending(void *arg) {
    int64_t due_us = *(const int64_t *)arg;
    cr_assert_geq(due_us, s_last_us);
    s_last_us = due_us;
    s_fired++;
}

/* The heap against its own definition: random times, a third cleared, a third set anew. */
Test(loop, a_thousand_timers_keep_their_order) {
    enum { COUNT = 1000 };
    static souk_timer_t *timers[COUNT];
    static int64_t due_us[COUNT];
    uint32_t seed = 12345;
    size_t expected = 0;
    for (size_t i = 0; i < COUNT; i++) {
        timers[i] = souk_timer_new(s_loop, s_on_ascending, &due_us[i]);
    }
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            seed = seed * 1664525u + 1013904223u;
            if (round == 1 && i % 3 == 0) {
                souk_timer_clear(timers[i]);
            } else if (round == 0 || i % 3 == 1) {
                int64_t delay_us = (int64_t)(seed >> 18);
                due_us[i] = souk_loop_now_us(s_loop) + delay_us;
                souk_timer_set(timers[i], delay_us);
            }
            expected += round == 1 && i % 3 != 0;
        }
    }
    /* due_us was read a little before the clock that the timer used: allow for it */
    for (size_t i = 0; i < COUNT; i++) {
        due_us[i] -= due_us[i] % 1000;
    }
    s_run_until_us(30000);
    cr_assert_eq(s_fired, expected);
    for (size_t i = 0; i < COUNT; i++) {
        souk_timer_destroy(&timers[i]);
    }
}

Test(loop, the_clock_stands_still_within_a_turn_and_moves_outside_a_run) {
    int64_t a = souk_loop_now_us(s_loop);
    while (souk_clock_mono_us() == a) {
    }
    cr_assert_gt(souk_loop_now_us(s_loop), a);
}

/* ---- Turns -------------------------------------------------------------------------------------
 */

/* A participant with `backlog` messages to read and `pending` frames to send; its eventfd is read
 * by nobody but itself. */
typedef struct {
    int fd;
    size_t backlog, pending, drains, flushes, most;
    bool leave_in_drain;
    bool stops;           /* the loop, when there was nothing to read... */
    size_t drains_before; /* ...after at least as many drains */
} part_t;

static size_t s_drain(void *arg, size_t burst) {
    part_t *part = arg;
    part->drains++;
    uint64_t count;
    (void)!read(part->fd, &count, sizeof(count)); /* eats the edge, as a ZeroMQ socket does */
    size_t taken = part->backlog < burst ? part->backlog : burst;
    part->backlog -= taken;
    part->pending += taken;
    part->most = taken > part->most ? taken : part->most;
    if (part->leave_in_drain) {
        souk_loop_leave(s_loop, part);
    }
    if (taken == 0 && part->stops && part->drains >= part->drains_before) {
        souk_loop_stop(s_loop);
    }
    return taken;
}

static size_t s_flush(void *arg) {
    part_t *part = arg;
    part->flushes++;
    size_t sent = part->pending;
    part->pending = 0;
    return sent;
}

static void s_part_join(part_t *part) {
    part->fd = eventfd(0, EFD_NONBLOCK);
    cr_assert_geq(part->fd, 0);
    souk_turn_t turn = {.fd = part->fd, .drain = s_drain, .flush = s_flush, .arg = part};
    cr_assert_eq(souk_loop_join(s_loop, &turn), SOUK_OK);
}

/* Until the part that stops has nothing more to read; the test's time-out says when that never
 * comes. */
static void s_run(void) {
    cr_assert_eq(souk_loop_run(s_loop), SOUK_OK);
}

static void s_part_leave(part_t *part) {
    if (!part->leave_in_drain) {
        souk_loop_leave(s_loop, part);
    }
    close(part->fd);
}

Test(loop, a_backlog_is_read_in_bursts_until_its_end_without_an_event) {
    part_t part = {.backlog = 3000, .stops = true};
    s_part_join(&part);
    s_run();
    cr_assert_eq(part.backlog, 0);
    cr_assert_eq(part.most, 256);
    cr_assert_eq(part.pending, 0);
    s_part_leave(&part);
}

Test(loop, after_frames_left_the_participant_is_read_again) {
    part_t part = {.backlog = 1, .stops = true};
    s_part_join(&part);
    s_run();
    /* first pass: one message in, one frame out; second: neither */
    cr_assert_eq(part.drains, 2);
    cr_assert_eq(part.flushes, 2);
    s_part_leave(&part);
}

Test(loop, an_idle_participant_is_left_alone) {
    part_t busy = {.backlog = 5000, .stops = true}, idle = {0};
    s_part_join(&busy);
    s_part_join(&idle);
    s_run();
    cr_assert_gt(busy.drains, 10);
    cr_assert_eq(idle.drains, 1); /* the first pass after joining */
    s_part_leave(&busy);
    s_part_leave(&idle);
}

static void s_signal_fd(void *arg) {
    part_t *part = arg;
    uint64_t one = 1;
    part->backlog++;
    cr_assert_eq(write(part->fd, &one, sizeof(one)), (ssize_t)sizeof(one));
}

static void s_mark_only(void *arg) {
    part_t *part = arg;
    part->backlog++;
    souk_loop_mark_turn(s_loop, part);
}

Test(loop, an_event_and_a_mark_lead_to_a_pass) {
    part_t part = {.stops = true, .drains_before = 2};
    s_part_join(&part);
    souk_timer_t *event = souk_timer_new(s_loop, s_signal_fd, &part);
    souk_timer_t *mark = souk_timer_new(s_loop, s_mark_only, &part);
    souk_timer_set(event, 1000);
    s_run();
    cr_assert_eq(part.backlog, 0);
    cr_assert_eq(part.drains, 3); /* at the start; then read and look again */
    souk_timer_set(mark, 1000);
    s_run();
    cr_assert_eq(part.backlog, 0);
    cr_assert_eq(part.drains, 5);
    souk_timer_destroy(&event);
    souk_timer_destroy(&mark);
    s_part_leave(&part);
}

Test(loop, a_participant_may_leave_from_its_own_drain) {
    part_t part = {.backlog = 1000, .leave_in_drain = true}, other = {.backlog = 1, .stops = true};
    s_part_join(&part);
    s_part_join(&other);
    s_run();
    cr_assert_eq(part.drains, 1);
    cr_assert_eq(part.flushes, 0);
    cr_assert_eq(other.backlog, 0);
    s_part_leave(&part);
    s_part_leave(&other);
}

static size_t s_follower_calls;

static size_t s_follow(void *arg, size_t burst) {
    (void)arg;
    (void)burst;
    s_follower_calls++;
    return 0;
}

static size_t s_nothing(void *arg) {
    (void)arg;
    return 0;
}

Test(loop, a_participant_without_a_descriptor_is_in_every_pass) {
    part_t part = {.backlog = 1, .stops = true};
    s_part_join(&part);
    int name;
    souk_turn_t turn = {.fd = -1, .drain = s_follow, .flush = s_nothing, .arg = &name};
    cr_assert_eq(souk_loop_join(s_loop, &turn), SOUK_OK);
    s_run();
    cr_assert_eq(s_follower_calls, part.drains);
    souk_loop_leave(s_loop, &name);
    s_part_leave(&part);
}

/* A participant that is always busy must not keep timers and descriptors from their turn. */
static size_t s_endless(void *arg, size_t burst) {
    (void)arg;
    return burst;
}

Test(loop, a_busy_participant_does_not_starve_timers) {
    int name;
    souk_turn_t turn = {.fd = -1, .drain = s_endless, .flush = s_nothing, .arg = &name};
    cr_assert_eq(souk_loop_join(s_loop, &turn), SOUK_OK);
    s_run_until_us(5000);
    souk_loop_leave(s_loop, &name);
}

Test(loop, wakes_before_the_run_are_joined_into_one) {
    souk_loop_on_wake(s_loop, s_stop, NULL);
    souk_loop_wake(s_loop);
    souk_loop_wake(s_loop);
    cr_assert_eq(souk_loop_run(s_loop), SOUK_OK);
}

Test(loop, destroy_accepts_null_and_clears_the_pointer) {
    souk_loop_t *loop = souk_loop_new();
    souk_loop_destroy(&loop);
    cr_assert_null(loop);
    souk_loop_destroy(&loop);
}
