/* A server that can be cut off: passes bytes between connections of the runtime's and the real
 * PostgreSQL, on a thread of its own. */
#ifndef TESTS_INTEGRATION_RUNTIME_PROXY_H
#define TESTS_INTEGRATION_RUNTIME_PROXY_H

#include "souk/base.h"

typedef struct proxy proxy_t;

typedef enum {
    PROXY_PASS,
    PROXY_REFUSE,      /* new connections are closed at once, as by a server that starts */
    PROXY_CUT_REQUEST, /* at the marked statement: closes before it was passed on */
    PROXY_CUT_ANSWER,  /* closes when its answer has come, without passing that on */
    PROXY_SWALLOW,     /* what the client sends goes nowhere, and nothing comes back */
} proxy_mode_t;

/* url is the real server's; proxy_url the same by way of this proxy. */
proxy_t *proxy_new(const char *url);
void proxy_destroy(proxy_t **self_p);
const char *proxy_url(const proxy_t *self);
/* mark: what the client's bytes have to hold for the CUT modes. */
void proxy_set(proxy_t *self, proxy_mode_t mode, const char *mark);
/* Closes all connections that there are. */
void proxy_cut(proxy_t *self);

#endif
