#include "services.h"

#include "catalog/service.h"
#include "diag/diag.h"
#include "orders/service.h"
#include "users/service.h"

const souk_service_t *const souk_services[] = {
    &catalog_service, /* one line a service */
    &diag_service,    &orders_service, &users_service, NULL,
};
