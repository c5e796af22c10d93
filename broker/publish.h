/* The core's numbers as metrics. */
#ifndef SOUK_BROKER_PUBLISH_H
#define SOUK_BROKER_PUBLISH_H

#include "core.h"

typedef struct souk_publish souk_publish_t;

souk_publish_t *souk_publish_new(size_t services_max);
void souk_publish_destroy(souk_publish_t **self_p);

/* A service got the place index (SOUK_NOTE_SERVICE_MADE): its series are another's now. */
void souk_publish_service(souk_publish_t *self, uint32_t index, souk_str_t name);
void souk_publish_waited(souk_publish_t *self, uint32_t index, uint8_t priority, int64_t us);
void souk_publish_views(souk_publish_t *self, const souk_service_view_t *views, size_t views_count);
void souk_publish_totals(const souk_core_view_t *view);
void souk_publish_transport(souk_side_t side, const souk_bus_stats_t *stats);

#endif
