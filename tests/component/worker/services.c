#include "services.h"

#include "diag/diag.h"
#include "lab.h"

const souk_service_t *const souk_services[] = {&diag_service, &lab_service, NULL};
