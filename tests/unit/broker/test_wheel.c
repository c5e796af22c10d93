#include "wheel.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static souk_wheel_t wheel;

static void setup(void) {
    souk_wheel_init(&wheel, 12345678);
}

TestSuite(wheel, .init = setup);

Test(wheel, an_empty_wheel_never_wakes) {
    cr_assert_eq(souk_wheel_next_us(&wheel), INT64_MAX);
    cr_assert_null(souk_wheel_pop(&wheel, 99999999999));
}

Test(wheel, a_timer_fires_at_its_time_and_not_before) {
    souk_wheel_timer_t timer;
    souk_wheel_timer_init(&timer, 1);
    souk_wheel_set(&wheel, &timer, 20000500);
    cr_assert_null(souk_wheel_pop(&wheel, 20000499));
    cr_assert_leq(souk_wheel_next_us(&wheel), 20001000);
    cr_assert_eq(souk_wheel_pop(&wheel, 20001000), &timer);
    cr_assert_not(timer.set);
    cr_assert_null(souk_wheel_pop(&wheel, 30000000));
}

Test(wheel, a_time_in_the_past_fires_at_once) {
    souk_wheel_timer_t timer;
    souk_wheel_timer_init(&timer, 1);
    souk_wheel_set(&wheel, &timer, 5);
    cr_assert_leq(souk_wheel_next_us(&wheel), 12345678);
    cr_assert_eq(souk_wheel_pop(&wheel, 12345678), &timer);
}

Test(wheel, clearing_and_setting_again_moves_a_timer) {
    souk_wheel_timer_t timer;
    souk_wheel_timer_init(&timer, 1);
    souk_wheel_set(&wheel, &timer, 13000000);
    souk_wheel_set(&wheel, &timer, 14000000);
    cr_assert_null(souk_wheel_pop(&wheel, 13500000));
    souk_wheel_clear(&wheel, &timer);
    souk_wheel_clear(&wheel, &timer);
    cr_assert_null(souk_wheel_pop(&wheel, 15000000));
    cr_assert_eq(wheel.count, 0);
}

/* Against the obvious: a table of times. */
Test(wheel, random_timers_fire_in_time_and_wakes_are_never_late) {
    enum { TIMERS = 500 };
    static souk_wheel_timer_t timers[TIMERS];
    static int64_t due_us[TIMERS];
    int64_t now_us = 12345678;
    unsigned fired = 0;
    srand(7);
    for (int i = 0; i < TIMERS; i++) {
        souk_wheel_timer_init(&timers[i], 0);
    }
    for (int step = 0; step < 30000; step++) {
        int i = rand() % TIMERS;
        int64_t ranges[] = {100, 70000, 5000000, 600000000, 90000000000};
        if (rand() % 8 == 0) {
            souk_wheel_clear(&wheel, &timers[i]);
        } else {
            due_us[i] = now_us + (int64_t)(((uint64_t)rand() << 20 ^ (uint64_t)rand()) %
                                           (uint64_t)ranges[rand() % 5]);
            souk_wheel_set(&wheel, &timers[i], due_us[i]);
        }
        int64_t next_us = souk_wheel_next_us(&wheel);
        for (int k = 0; k < TIMERS; k++) {
            cr_assert(!timers[k].set || next_us <= due_us[k] + SOUK_WHEEL_TICK_US, "late wake");
        }
        int64_t passes[] = {0, 900, 20000, 3000000, 100000000};
        now_us += passes[rand() % 5];
        for (souk_wheel_timer_t *timer; (timer = souk_wheel_pop(&wheel, now_us)) != NULL;) {
            cr_assert_leq(due_us[timer - timers], now_us, "early");
            fired++;
        }
        for (int k = 0; k < TIMERS; k++) {
            cr_assert(!timers[k].set || due_us[k] > now_us - SOUK_WHEEL_TICK_US, "missed");
        }
    }
    cr_assert_gt(fired, 5000);
}
