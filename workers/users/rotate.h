/* The life of signing keys in the database: next -> active -> retired -> gone. */
#ifndef USERS_ROTATE_H
#define USERS_ROTATE_H

#include "users.h"

/* Locks the row that changes with every key: one change at a time. */
extern const souk_pg_stmt_t users_auth_revision_lock;

/* In an open transaction: makes the first keys when there is none that signs. Then, when the active
 * key is older than key_days (force: however old), the next one takes its place and another next
 * one is made; withdraw: the former is not published any more. SOUK_ERR_KEY_TOO_YOUNG: not yet,
 * *ret_wait_ms says how long (only when forced). */
typedef struct {
    bool force, withdraw;
    int64_t wait_ms; /* out */
    bool changed;    /* out */
} users_rotation_t;
SOUK_MUST_CHECK souk_err_t users_rotate(const users_t *service, souk_pg_t *pg, souk_arena_t *arena,
                                        users_rotation_t *rotation);

#endif
