/* Windows from what a worker can run. */
#include <criterion/criterion.h>

#include "credit.h"

static souk_credit_t s_credit(void) {
    return (souk_credit_t){
        .open = true, .slots_working = 4, .inline_window = 256, .batch_max = 64, .brokers = 1};
}

Test(credit, each_lane_has_its_window) {
    souk_credit_t credit = s_credit();
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_INLINE), 256);
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_SLOT), 4);
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_BATCH), 256);
}

Test(credit, closed_service_gets_none) {
    souk_credit_t credit = s_credit();
    credit.open = false;
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        cr_assert_eq(souk_credit_window(&credit, (souk_lane_t)lane), 0);
    }
}

Test(credit, slots_without_connection_count_for_slot_lanes_only) {
    souk_credit_t credit = s_credit();
    credit.slots_working = 1;
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_SLOT), 1);
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_BATCH), 64);
    credit.slots_working = 0;
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_SLOT), 0);
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_BATCH), 0);
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_INLINE), 256);
}

Test(credit, window_closes_only_when_every_slot_is_stalled) {
    souk_credit_t credit = s_credit();
    credit.slots_stalled = 3;
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_SLOT), 4);
    credit.slots_stalled = 4;
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_SLOT), 0);
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_BATCH), 0);
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_INLINE), 256);
}

Test(credit, brokers_share_and_each_gets_at_least_one) {
    souk_credit_t credit = s_credit();
    credit.brokers = 3;
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_SLOT), 1);
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_INLINE), 85);
    credit.brokers = 8;
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_SLOT), 1);
}

Test(credit, window_fits_the_protocol) {
    souk_credit_t credit = s_credit();
    credit.slots_working = 64;
    credit.batch_max = 4096;
    cr_assert_eq(souk_credit_window(&credit, SOUK_LANE_BATCH), 65535);
}
