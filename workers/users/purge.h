/* The keeper's tasks of the users service. */
#ifndef USERS_PURGE_H
#define USERS_PURGE_H

#include "runtime/keeper.h"
#include "users.h"

#define USERS_TASKS 4

void users_tasks(users_t *service, souk_keeper_task_t ret_tasks[USERS_TASKS]);

#endif
