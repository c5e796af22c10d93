/* Availability from the service that keeps the stock: a thread asks orders.availability for what
 * has changed, the bus thread takes it in by slices and shows it in products. Without an answer for
 * two seconds nothing is shown: a catalogue that cannot know does not guess, and goes on without.
 */
#ifndef CATALOG_AVAILABILITY_H
#define CATALOG_AVAILABILITY_H

#include "souk/base.h"
#include "souk/err.h"
#include "souk/loop.h"

typedef struct catalog_availability catalog_availability_t;

typedef struct {
    const char *front, *name; /* as for souk_caller_new */
    uint32_t interval_ms;
} catalog_availability_options_t;

/* loop: the bus thread's. Errors of souk_caller_new. */
SOUK_MUST_CHECK souk_err_t catalog_availability_new(const catalog_availability_options_t *options,
                                                    souk_loop_t *loop,
                                                    catalog_availability_t **ret_self);
void catalog_availability_destroy(catalog_availability_t **self_p);

/* On the bus thread: takes in for at most a millisecond. True when more is waiting. */
bool catalog_availability_turn(catalog_availability_t *self);
/* On the bus thread: the product's document with what is known of its variants; the document itself
 * when nothing is. Borrowed until the next call. */
souk_str_t catalog_availability_show(catalog_availability_t *self, souk_str_t document);

#endif
