/* An exchange: one request and its answer, from the request's head to the answer's last byte.
 * Exchanges of a connection stand in the order of their requests; answers leave in that order,
 * whenever they were made. An exchange copies what it still needs of its request, so the
 * connection's read buffer is free for the next one as soon as the request was handed over. */
#ifndef SOUK_GATEWAY_EXCHANGE_H
#define SOUK_GATEWAY_EXCHANGE_H

#include "gateway/address.h"
#include "gateway/http1.h"
#include "gateway/limit.h"
#include "gateway/router.h"
#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

#define SOUK_REQUEST_ID_BYTES_MAX 64
#define SOUK_TRACEPARENT_BYTES 55
#define SOUK_INSTANCE_BYTES_MAX 256
#define SOUK_IF_NONE_MATCH_BYTES_MAX 256

typedef struct souk_server souk_server_t;
typedef struct souk_conn souk_conn_t;
typedef struct souk_exchange souk_exchange_t;

struct souk_exchange {
    souk_exchange_t *next; /* in the connection's order, or in the pool */
    souk_server_t *server;
    souk_conn_t *conn;
    const souk_router_entry_t *entry; /* NULL: no route was found */
    souk_http_method_t method;
    uint8_t minor;      /* of the request's HTTP version */
    bool close;         /* the connection ends with this answer */
    bool answered;      /* head and body are whole */
    bool want_continue; /* 100 Continue is due when this is the oldest exchange */
    bool calling;       /* call names an outstanding call */
    bool head_only;     /* the answer's body is not sent (HEAD) */
    bool cross_origin;  /* allow_origin is set */
    uint16_t status;    /* of the answer */
    souk_err_t err;     /* what the answer says, SOUK_OK for success */
    uint64_t call;
    int64_t started_us;
    souk_limit_state_t limit;
    souk_str_t allow_origin;  /* borrowed from the configuration */
    uint64_t auth_generation; /* what principal was found by, and until when it holds (unix) */
    int64_t auth_until_s;
    bool forwarded; /* address is set; else the client has the connection's */
    uint16_t request_id_size, instance_size, if_none_match_size, query_size;
    char request_id[SOUK_REQUEST_ID_BYTES_MAX];
    char traceparent[SOUK_TRACEPARENT_BYTES];
    char instance[SOUK_INSTANCE_BYTES_MAX]; /* the path, for people: cut when it is longer */
    char if_none_match[SOUK_IF_NONE_MATCH_BYTES_MAX];
    souk_address_t address;
    souk_buf_t principal; /* of whoever sent credentials that the route asks for */
    souk_buf_t query;     /* of a request whose answer may link to the next page */
    souk_buf_t head;
    souk_buf_t own_body;
    souk_str_t body; /* what is sent: own_body's bytes, or static ones */
};

static inline souk_str_t souk_exchange_request_id(const souk_exchange_t *self) {
    return (souk_str_t){self->request_id, self->request_id_size};
}
static inline souk_str_t souk_exchange_traceparent(const souk_exchange_t *self) {
    return (souk_str_t){self->traceparent, SOUK_TRACEPARENT_BYTES};
}
static inline souk_str_t souk_exchange_instance(const souk_exchange_t *self) {
    return (souk_str_t){self->instance, self->instance_size};
}
/* The 32 hexadecimal digits in traceparent. */
static inline souk_str_t souk_exchange_trace_id(const souk_exchange_t *self) {
    return (souk_str_t){self->traceparent + 3, 32};
}

/* What an answer says beyond what every answer says. Texts are borrowed for the call, body until
 * the answer is sent (own_body or static). */
typedef struct {
    uint16_t status;
    const char *content_type; /* NULL: no body */
    souk_str_t body;
    souk_str_t etag, location, link, allow; /* data NULL: none */
    const char *cache_control;              /* NULL: no-store */
    const char *content_policy;             /* Content-Security-Policy; NULL: none */
    int64_t retry_after_s;                  /* 0: none */
    const char *challenge;                  /* WWW-Authenticate; NULL: none */
    bool replayed;                          /* the reply was stored under the same key */
    bool preflight;                         /* answer to a CORS preflight */
} souk_answer_t;

/* An empty exchange from the server's pool; given back when its answer was sent or is not wanted.
 */
souk_exchange_t *souk_exchange_take(souk_server_t *server, souk_conn_t *conn);
void souk_exchange_give(souk_exchange_t *self);
void souk_exchange_free_pool(souk_server_t *server);

/* Writes the answer's head, and tells the connection that it may be sent. Once for each exchange.
 */
void souk_exchange_answer(souk_exchange_t *self, const souk_answer_t *answer);

/* Takes over the request's id and trace context, or makes them: X-Request-Id of 1-64 visible
 * characters, traceparent as W3C Trace Context says (a new parent id each time, the trace id is
 * kept). */
void souk_exchange_identify(souk_exchange_t *self, souk_str_t request_id, souk_str_t traceparent);

#endif
