/* How many requests a broker may have in flight here: the window of a (service, lane), from what
 * the worker can really run. */
#ifndef RUNTIME_CREDIT_H
#define RUNTIME_CREDIT_H

#include "souk/envelope.h"

#define SOUK_WINDOW_MAX 65535

typedef struct {
    bool open;              /* the service is ready and the worker is not leaving */
    uint32_t slots_working; /* slots whose slot_start of this service succeeded */
    uint32_t slots_stalled; /* of those, how many run a call that is long past its deadline */
    uint32_t inline_window; /* configured */
    uint32_t batch_max;     /* configured */
    uint32_t brokers;       /* the windows are split over this many, 1 or more */
} souk_credit_t;

uint32_t souk_credit_window(const souk_credit_t *self, souk_lane_t lane);

#endif
