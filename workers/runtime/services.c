#include "services.h"

#include "diag/diag.h"

const souk_service_t *const souk_services[] = {
    &diag_service, /* one line a service */
    NULL,
};
