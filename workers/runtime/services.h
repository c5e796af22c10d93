/* The services that this binary holds; ends with NULL. */
#ifndef RUNTIME_SERVICES_H
#define RUNTIME_SERVICES_H

#include "runtime/service.h"

extern const souk_service_t *const souk_services[];

#endif
