/* The users service: accounts, sessions, API keys (PostgreSQL). */
#ifndef USERS_SERVICE_H
#define USERS_SERVICE_H

#include "runtime/service.h"

extern const souk_service_t users_service;

#endif
