/* A schema of its own on the test server, a connection of the runtime's to it, and calls. */
#ifndef TESTS_INTEGRATION_RUNTIME_LAB_H
#define TESTS_INTEGRATION_RUNTIME_LAB_H

#include <libpq-fe.h>
#include <pthread.h>

#include "runtime/invoke.h"
#include "runtime/pg.h"

#define LAB_TIMEOUT_MS 20000

typedef struct {
    PGconn *admin; /* what the test itself does and sees */
    char schema[64];
    char url[1024];
    souk_pg_options_t options;
    souk_pg_t *pg;
    souk_arena_t *arena;
} lab_t;

extern lab_t lab;

/* For .init and .fini of a suite. */
void lab_init(void);
void lab_done(void);

/* By the admin's connection; they fail the test when the server refuses. */
void lab_do(const char *sql);
int64_t lab_int(const char *sql);

/* A call of diag.echo's types with handler as its body. key NULL: none; hash is as long as it says.
 * Each has its own context. */
typedef souk_err_t (*lab_handler_t)(souk_ctx_t *ctx, const void *req, void *ret_rep);
typedef struct {
    lab_handler_t handler;
    const char *key, *hash, *subject; /* subject NULL: usr_1 */
    uint32_t timeout_ms;              /* 0: LAB_TIMEOUT_MS */
    uint32_t reply_bytes_max;         /* 0: 64 KiB */
} lab_call_t;
/* Begun, for souk_ctx_run. */
souk_ctx_t *lab_begin(const lab_call_t *call);
/* Run. */
souk_ctx_t *lab_call(souk_pg_t *pg, const lab_call_t *call);
/* The same on a thread of its own, until lab_join, which returns the context. */
typedef struct {
    pthread_t thread;
    souk_ctx_t *ctx;
    souk_pg_t *pg;
} lab_thread_t;
void lab_spawn(lab_thread_t *ret_thread, souk_pg_t *pg, const lab_call_t *call);
souk_ctx_t *lab_join(lab_thread_t *thread);
/* What a call came to; the context is destroyed. */
souk_err_t lab_end(souk_ctx_t *ctx);

/* One more connection with the same options; the test closes it. */
souk_pg_t *lab_open(void);
/* Waits until that server process waits for a lock. */
void lab_until_blocked(int backend);

/* pid of the connection's server process. */
int lab_backend(souk_pg_t *pg);
/* Waits until sql is true (one boolean), or fails the test after some seconds. */
void lab_until(const char *sql);

#endif
