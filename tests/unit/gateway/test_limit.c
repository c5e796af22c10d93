#include <criterion/criterion.h>
#include <stdio.h>

#include "gateway/limit.h"

#define SECOND_US 1000000

static souk_limit_t *s_limit;

static void s_setup(void) {
    s_limit = souk_limit_new(65536);
}

static void s_teardown(void) {
    souk_limit_destroy(&s_limit);
}

TestSuite(limit, .init = s_setup, .fini = s_teardown);

static const souk_rate_t s_rate = {.rate = 10, .burst = 5};

static souk_limit_state_t s_take(const char *who, int64_t now_us) {
    return souk_limit_take(s_limit, 'a', souk_str_of(who), s_rate, now_us);
}

Test(limit, gives_a_burst_then_the_rate) {
    int64_t now_us = 1000 * SECOND_US;
    for (int i = 0; i < 5; i++) {
        souk_limit_state_t state = s_take("a", now_us);
        cr_assert(state.allowed);
        cr_assert_eq(state.limit, 5);
        cr_assert_eq(state.remaining, 4 - i);
        cr_assert_eq(state.reset_s, 1);
    }
    souk_limit_state_t state = s_take("a", now_us);
    cr_assert_not(state.allowed);
    cr_assert_eq(state.remaining, 0);
    cr_assert_eq(state.retry_after_s, 1);
    cr_assert_not(s_take("a", now_us + SECOND_US / 10 - 1).allowed);
    cr_assert(s_take("a", now_us + SECOND_US / 10).allowed);
    cr_assert_not(s_take("a", now_us + SECOND_US / 10).allowed);
    int allowed = 0;
    for (int64_t at_us = now_us + SECOND_US; at_us < now_us + 11 * SECOND_US; at_us += 1000) {
        allowed += s_take("a", at_us).allowed;
    }
    cr_assert(allowed >= 100 && allowed <= 105, "%d", allowed);
}

Test(limit, refused_requests_do_not_prolong_the_wait) {
    int64_t now_us = SECOND_US;
    for (int i = 0; i < 1000; i++) {
        (void)s_take("a", now_us);
    }
    cr_assert(s_take("a", now_us + SECOND_US / 10).allowed);
}

Test(limit, keeps_clients_and_kinds_apart) {
    int64_t now_us = SECOND_US;
    while (s_take("a", now_us).allowed) {
    }
    cr_assert(s_take("b", now_us).allowed);
    cr_assert(souk_limit_take(s_limit, 'k', SOUK_STR("a"), s_rate, now_us).allowed);
}

Test(limit, holds_back_few_strangers_when_many_are_busy) {
    int64_t now_us = SECOND_US;
    char name[16];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "busy%d", i);
        while (s_take(name, now_us).allowed) {
        }
    }
    int refused = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "new%d", i);
        refused += !s_take(name, now_us).allowed;
    }
    cr_assert(refused < 20, "%d of 1000", refused);
}

Test(limit, is_off_at_zero) {
    const souk_rate_t off = {.rate = 0, .burst = 0};
    for (int i = 0; i < 100; i++) {
        souk_limit_state_t state = souk_limit_take(s_limit, 'a', SOUK_STR("a"), off, 1);
        cr_assert(state.allowed && state.limit == 0);
    }
}

Test(limit, counts_connections) {
    cr_assert(souk_limit_connect(s_limit, SOUK_STR("a"), 2));
    cr_assert(souk_limit_connect(s_limit, SOUK_STR("a"), 2));
    cr_assert_not(souk_limit_connect(s_limit, SOUK_STR("a"), 2));
    cr_assert(souk_limit_connect(s_limit, SOUK_STR("b"), 2));
    souk_limit_disconnect(s_limit, SOUK_STR("a"));
    cr_assert(souk_limit_connect(s_limit, SOUK_STR("a"), 2));
    cr_assert(souk_limit_connect(s_limit, SOUK_STR("a"), 0));
}
