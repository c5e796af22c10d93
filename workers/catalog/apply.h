/* The mailbox of changes and the bus thread's side of it: takes what the follower and the writers
 * offer and applies it in slices. */
#ifndef CATALOG_APPLY_H
#define CATALOG_APPLY_H

#include "gate.h"
#include "index.h"
#include "souk/base.h"
#include "souk/err.h"
#include "souk/loop.h"
#include "souk/mailbox.h"

typedef struct catalog_apply catalog_apply_t;

/* loop: the bus thread's, woken when something is offered. */
catalog_apply_t *catalog_apply_new(souk_loop_t *loop);
/* On the bus thread, when no other thread uses it any more. */
void catalog_apply_destroy(catalog_apply_t **self_p);

/* On the bus thread: applies for at most a millisecond. True when more is waiting. */
bool catalog_apply_turn(catalog_apply_t *self);

/* On the bus thread, which takes no turn any more: waiters return false, offers SOUK_ERR_CLOSED. */
void catalog_apply_close(catalog_apply_t *self);

catalog_gate_t *catalog_apply_gate(catalog_apply_t *self);
const catalog_index_t *catalog_apply_index(const catalog_apply_t *self);
/* May fall: a new index can hold less than the old one. */
int64_t catalog_apply_revision(const catalog_apply_t *self);
SOUK_MUST_CHECK souk_err_t catalog_apply_offer_index(catalog_apply_t *self,
                                                     catalog_index_t **index_p);
SOUK_MUST_CHECK souk_err_t catalog_apply_offer_changes(catalog_apply_t *self,
                                                       const catalog_change_t *changes,
                                                       size_t count);
bool catalog_apply_wait(catalog_apply_t *self, int64_t revision, uint32_t timeout_ms);

/* How many whole indexes have been taken over; and waits until it is more than seen. */
uint64_t catalog_apply_indexes(const catalog_apply_t *self);
bool catalog_apply_wait_index(catalog_apply_t *self, uint64_t seen, uint32_t timeout_ms);

#endif
