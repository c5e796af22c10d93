/* The orders service: what its parts share. A part of it (stock, carts, ...) that needs state of
 * its own adds a member, made in start and freed in stop (service.c). */
#ifndef ORDERS_SERVICE_H
#define ORDERS_SERVICE_H

#include "gen/config.h"
#include "orders/erase.h"
#include "orders/follow.h"
#include "orders/metrics.h"
#include "orders/reference.h"
#include "runtime/keeper.h"
#include "runtime/pg.h"
#include "runtime/service.h"
#include "souk/guest.h"
#include "souk/id.h"

/* How far the pass over unpaid orders has come (sweep.c); of the keeper's thread. Zero: its
 * beginning. */
typedef struct {
    int64_t expires_at_us;
    char id[SOUK_ID_BYTES_MAX];
} orders_sweep_at_t;

typedef struct {
    const souk_worker_config_t *config; /* borrowed from the runtime */
    souk_str_t currency;                /* the store's, of config */
    souk_pg_health_t health;            /* of the slots' connections */
    orders_reference_t *reference;      /* shipping methods and tax rates */
    souk_guest_keys_t guest_keys;
    souk_keeper_t *keeper, *books_keeper; /* tasks.h */
    orders_sweep_at_t sweep_at;
    orders_follow_t *follow; /* brings the catalogue into skus */
    orders_erase_t *erase;   /* takes erased users out of orders */
    orders_metrics_t metrics;
} orders_service_t;

extern const souk_service_t orders_service;

#endif
