/* Follows the catalogue: prices, names and what is for sale come into the table skus.
 *
 * Every worker runs one of these; the one that holds the lease (table follower_lease) asks
 * catalog.changes for what is new and writes it, page by page, from a checkpoint in the same row.
 * The lease expires, so that a dead or frozen holder is replaced; each write names the holding that
 * it belongs to and is refused after another has begun. */
#ifndef ORDERS_FOLLOW_H
#define ORDERS_FOLLOW_H

#include "gen/config.h"
#include "souk/base.h"
#include "souk/err.h"

typedef struct orders_follow orders_follow_t;

/* Starts the follower's threads. config is borrowed for its life. SOUK_ERR_VALIDATION: a setting
 * cannot be used (logged). */
SOUK_MUST_CHECK souk_err_t orders_follow_new(const souk_worker_config_t *config,
                                             orders_follow_t **ret_self);
/* Gives the lease back, when PostgreSQL answers in time, and ends the threads. */
void orders_follow_destroy(orders_follow_t **self_p);

#endif
