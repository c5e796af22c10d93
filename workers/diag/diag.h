/* The diag service: answers without a database. */
#ifndef DIAG_DIAG_H
#define DIAG_DIAG_H

#include "runtime/service.h"

extern const souk_service_t diag_service;

#endif
