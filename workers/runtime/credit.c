/* A stalled slot does not shrink the window: its call still counts as in flight at the broker, so
 * it takes one place by itself. Only when all slots are stalled does the window close: what came in
 * would wait behind them for nothing. */
#include "credit.h"

uint32_t souk_credit_window(const souk_credit_t *self, souk_lane_t lane) {
    souk_assert(self->brokers > 0);
    if (!self->open) {
        return 0;
    }
    uint64_t window = self->inline_window;
    if (lane != SOUK_LANE_INLINE) {
        bool stuck = self->slots_stalled >= self->slots_working;
        window = stuck ? 0 : self->slots_working;
        if (lane == SOUK_LANE_BATCH) {
            window *= self->batch_max;
        }
    }
    if (window == 0) {
        return 0;
    }
    /* Every broker gets at least one, or requests that only it holds would never run. */
    window = window > self->brokers ? window / self->brokers : 1;
    return window < SOUK_WINDOW_MAX ? (uint32_t)window : SOUK_WINDOW_MAX;
}
