/* What becomes of orders when their user's account was erased: accounting keeps what it needs, the
 * rest goes (migration 20261126000201_erasures.sql says what, and when).
 *
 * Every worker asks users.erasures what is new and writes it down with a checkpoint; of workers
 * that bring the same page one is first. Each erases what is due, a subject in a transaction;
 * several may do so beside each other. */
#ifndef ORDERS_ERASE_H
#define ORDERS_ERASE_H

#include "gen/config.h"
#include "souk/base.h"
#include "souk/err.h"

typedef struct orders_erase orders_erase_t;

/* Starts the threads. config is borrowed for its life. SOUK_ERR_VALIDATION: a setting cannot be
 * used (logged). */
SOUK_MUST_CHECK souk_err_t orders_erase_new(const souk_worker_config_t *config,
                                            orders_erase_t **ret_self);
void orders_erase_destroy(orders_erase_t **self_p);

#endif
