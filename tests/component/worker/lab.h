/* A service for tests only: it blocks, fails and stalls on demand. Its switches are files in the
 * folder that LAB_DIR names:
 *
 *   hold_NAME  may be answered when the file exists; the call writes hold_NAME.started first
 *   slot_down  slot_start fails while it exists
 *   not_ready  the service is not ready while it exists
 *   degraded   the service is degraded while it exists */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include "runtime/service.h"

extern const souk_service_t lab_service;

#endif
