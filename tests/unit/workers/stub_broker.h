/* A broker for tests of those who call: a thread with a plain ROUTER that welcomes whoever says
 * HELLO, answers pings, and has the test answer requests. */
#ifndef TESTS_STUB_BROKER_H
#define TESTS_STUB_BROKER_H

#include "souk/buf.h"
#include "souk/envelope.h"

typedef struct stub_broker stub_broker_t;

/* On the broker's thread: appends the answer to out, or nothing. */
typedef void (*stub_broker_fn)(void *arg, const souk_req_t *req, souk_buf_t *out);

/* Runs at once, on a free port of this machine. */
stub_broker_t *stub_broker_new(stub_broker_fn answer, void *arg);
void stub_broker_destroy(stub_broker_t **self_p);
const char *stub_broker_endpoint(const stub_broker_t *self);

/* Goes, with all its sessions, and comes back under the same endpoint as another one. */
void stub_broker_stop(stub_broker_t *self);
void stub_broker_start(stub_broker_t *self);

#endif
