/* GET /v1/queues and /v1/queues/<service>: what operators and autoscalers read. The reactor puts
 * snapshots in; the admin thread takes them out. */
#ifndef SOUK_BROKER_STATUS_H
#define SOUK_BROKER_STATUS_H

#include "core.h"

typedef struct souk_status souk_status_t;

souk_status_t *souk_status_new(size_t services_max);
void souk_status_destroy(souk_status_t **self_p);

/* settled: the numbers mean something (a worker has come, or the broker waited long enough for
 * one). Until then requests are answered 503, so that no autoscaler takes a broker that has just
 * started for an idle one. */
void souk_status_put(souk_status_t *self, const souk_service_view_t *views, size_t views_count,
                     bool settled);

/* A souk_admin_fn; arg is the souk_status_t. */
int souk_status_answer(void *arg, souk_str_t path_rest, souk_buf_t *ret_body);

#endif
