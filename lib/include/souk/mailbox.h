/* A bounded queue of owned pointers between two threads: many senders, one receiver or several. The
 * receiver either blocks on it (slots) or is a loop that is woken through `notify` on the change
 * from empty to not empty (the bus actor). The sender never touches an item after it was taken in.
 */
#ifndef SOUK_MAILBOX_H
#define SOUK_MAILBOX_H

#include "souk/base.h"
#include "souk/err.h"

typedef struct souk_mailbox souk_mailbox_t;

/* notify may be NULL. It runs on the sender's thread, after the item is in, only on empty -> not
 * empty. */
souk_mailbox_t *souk_mailbox_new(size_t items_max, void (*notify)(void *arg), void *arg);
/* Items left are handed to free_item (may be NULL when none can be left). */
void souk_mailbox_destroy(souk_mailbox_t **self_p, void (*free_item)(void *item));

/* SOUK_ERR_OVERLOADED when full, SOUK_ERR_CLOSED after close: the caller keeps the item. */
SOUK_MUST_CHECK souk_err_t souk_mailbox_put(souk_mailbox_t *self, void *item);
/* Waits up to timeout_ms (-1: for ever). NULL: timed out, or closed and empty. */
void *souk_mailbox_take(souk_mailbox_t *self, int timeout_ms);
/* Takes up to items_max at once without waiting; returns how many. A receiver that is woken by
 * notify takes until it gets fewer than it asked for: what it leaves behind is not announced again.
 */
size_t souk_mailbox_take_all(souk_mailbox_t *self, void **ret_items, size_t items_max);
/* No more puts; takers get what is left, then NULL. */
void souk_mailbox_close(souk_mailbox_t *self);
size_t souk_mailbox_count(souk_mailbox_t *self);

#endif
