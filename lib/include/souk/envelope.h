/* Envelopes: the messages of docs/protocol.md as bytes and back. Parsing borrows from the frame. */
#ifndef SOUK_ENVELOPE_H
#define SOUK_ENVELOPE_H

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"
#include "souk/mp.h"

#define SOUK_PROTOCOL_VERSION 1
#define SOUK_CORR_BYTES 16
#define SOUK_NAME_BYTES_MAX 32
#define SOUK_KEY_BYTES_MAX 255
#define SOUK_TIMEOUT_MS_MAX 600000
#define SOUK_FRAME_BYTES_MAX 65536

typedef enum {
    SOUK_MSG_HELLO = 1,
    SOUK_MSG_WELCOME,
    SOUK_MSG_READY,
    SOUK_MSG_CREDIT,
    SOUK_MSG_REQ,
    SOUK_MSG_REP,
    SOUK_MSG_ERR,
    SOUK_MSG_REFUSED,
    SOUK_MSG_CANCEL,
    SOUK_MSG_PING,
    SOUK_MSG_PONG,
    SOUK_MSG_DRAIN,
    SOUK_MSG_DRAINED,
    SOUK_MSG_GOAWAY,
} souk_msg_type_t;

typedef enum { SOUK_ROLE_CLIENT = 1, SOUK_ROLE_WORKER = 2 } souk_role_t;
typedef enum { SOUK_LANE_INLINE, SOUK_LANE_SLOT, SOUK_LANE_BATCH, SOUK_LANES_COUNT } souk_lane_t;
typedef enum {
    SOUK_CLASS_READ,
    SOUK_CLASS_KEYED,
    SOUK_CLASS_UNKEYED,
    SOUK_CLASS_EXTERNAL,
    SOUK_CLASSES_COUNT
} souk_class_t;
typedef enum {
    SOUK_PRIORITY_CHECKOUT,
    SOUK_PRIORITY_ACCOUNT,
    SOUK_PRIORITY_BROWSE,
    SOUK_PRIORITY_BATCH,
    SOUK_PRIORITIES_COUNT
} souk_priority_t;
enum { SOUK_REQ_RESENT = 1 << 0 };
enum { SOUK_REP_REPLAYED = 1 << 0 };
typedef enum {
    SOUK_REFUSED_NO_ROOM = 1,
    SOUK_REFUSED_DRAINING,
    SOUK_REFUSED_DEADLINE
} souk_refused_t;
typedef enum {
    SOUK_GOAWAY_UNKNOWN_SESSION = 1,
    SOUK_GOAWAY_STOPPING,
    SOUK_GOAWAY_PROTOCOL,
    SOUK_GOAWAY_VERSION,
    SOUK_GOAWAY_TOO_MANY_PEERS,
} souk_goaway_t;

typedef struct {
    souk_str_t corr;
    uint32_t timeout_ms;
    uint32_t attempt;
    uint32_t flags;
    uint8_t class_;
    uint8_t priority;
    souk_str_t service, method;
    souk_str_t key;         /* data NULL: nil */
    souk_str_t key_hash;    /* data NULL: nil */
    souk_str_t traceparent; /* data NULL: nil */
    souk_str_t principal;   /* data NULL: nil */
    souk_str_t body;
    souk_str_t request_id; /* data NULL: nil */
    souk_str_t address;    /* the client's IP address as text; data NULL: nil or not sent */
    /* The encoded bytes from position 6 to the end of the array, for the broker to copy. */
    souk_str_t tail;
    uint32_t count; /* elements in the array as received */
} souk_req_t;

typedef struct {
    souk_str_t corr;
    uint32_t flags;
    souk_str_t meta; /* encoded: one msgpack value (map or nil) */
    souk_str_t body;
    /* The encoded bytes from position 3 to the end of the array, for the broker to copy. */
    souk_str_t tail;
    uint32_t count;
} souk_rep_t; /* REP and ERR */

typedef struct {
    souk_msg_type_t type;
    souk_str_t bytes; /* the whole envelope */
    union {
        struct {
            uint32_t role, heartbeat_ms;
            souk_str_t name;
        } hello;
        struct {
            souk_str_t session, broker_name;
            uint64_t epoch;
            uint32_t heartbeat_ms, envelope_bytes_max;
        } welcome;
        souk_mp_cursor_t ready;  /* at the services array: read with souk_ready_next */
        souk_mp_cursor_t credit; /* at the windows array: read with souk_credit_next */
        souk_req_t req;
        souk_rep_t rep; /* REP, ERR */
        struct {
            souk_str_t corr;
            uint32_t reason;
        } refused;
        struct {
            souk_str_t corr;
        } cancel;
        struct {
            uint64_t token;
        } ping; /* PING, PONG */
        struct {
            uint32_t reason;
            souk_str_t text;
        } goaway;
    } as;
} souk_envelope_t;

/* Parses the next envelope of a frame and checks it against docs/protocol.md (lengths, ranges,
 * names), READY and CREDIT included. SOUK_ERR_MALFORMED: the rest of the frame is lost (the cursor
 * stands at its end, ret->type is 0). SOUK_ERR_UNSUPPORTED: well-formed, but of an unknown type or
 * version: skipped, the cursor stands behind it. For a REQ whose head (to corr) is sound but the
 * rest is not, ret->type is REQ and ret->as.req.corr is set even on SOUK_ERR_MALFORMED, so that it
 * can be answered. */
SOUK_MUST_CHECK souk_err_t souk_envelope_read(souk_mp_cursor_t *frame, souk_envelope_t *ret);

/* Iterators over READY and CREDIT, checked before: false at the end. READY gives one (service,
 * method, lane) a call. */
typedef struct {
    souk_mp_cursor_t at;
    uint32_t services_left, methods_left, row_more;
    souk_str_t service;
} souk_ready_iter_t;
void souk_ready_iter_init(souk_ready_iter_t *self, const souk_envelope_t *envelope);
bool souk_ready_next(souk_ready_iter_t *self, souk_str_t *ret_service, souk_str_t *ret_method,
                     souk_lane_t *ret_lane);
typedef struct {
    souk_mp_cursor_t at;
    uint32_t left;
} souk_credit_iter_t;
void souk_credit_iter_init(souk_credit_iter_t *self, const souk_envelope_t *envelope);
bool souk_credit_next(souk_credit_iter_t *self, souk_str_t *ret_service, souk_lane_t *ret_lane,
                      uint32_t *ret_window);

/* Writers append one whole envelope. */
void souk_envelope_hello(souk_buf_t *buf, souk_role_t role, souk_str_t name, uint32_t heartbeat_ms);
typedef struct {
    uint8_t session[16];
    uint64_t epoch;
    uint32_t heartbeat_ms, envelope_bytes_max;
    souk_str_t broker_name;
} souk_welcome_t;
void souk_envelope_welcome(souk_buf_t *buf, const souk_welcome_t *welcome);
typedef struct {
    souk_str_t service, method;
    souk_lane_t lane;
} souk_ready_row_t; /* rows of one service stand together */
void souk_envelope_ready(souk_buf_t *buf, const souk_ready_row_t *rows, size_t rows_count);
typedef struct {
    souk_str_t service;
    souk_lane_t lane;
    uint32_t window;
} souk_credit_row_t;
void souk_envelope_credit(souk_buf_t *buf, const souk_credit_row_t *rows, size_t rows_count);
void souk_envelope_req(souk_buf_t *buf, const souk_req_t *req); /* all fields but tail and count */
/* Its positions from 6 on alone: a tail for souk_envelope_req_forward, with count
 * SOUK_REQ_ELEMENTS. Senders of version 1.0 do without the last, the address. */
#define SOUK_REQ_ELEMENTS 17
#define SOUK_ADDRESS_BYTES_MAX 45 /* of IPv6, with an IPv4 part written with dots */
void souk_envelope_req_tail(souk_buf_t *buf, const souk_req_t *req);
/* The broker's copies: new head, the rest as it came. */
void souk_envelope_req_forward(souk_buf_t *buf, const souk_req_t *req,
                               const uint8_t corr[SOUK_CORR_BYTES], uint32_t timeout_ms,
                               uint32_t attempt);
void souk_envelope_rep_forward(souk_buf_t *buf, souk_msg_type_t type, const souk_rep_t *rep,
                               souk_str_t corr);
/* meta: exec_us when >= 0, else nil. */
void souk_envelope_rep(souk_buf_t *buf, souk_str_t corr, uint32_t flags, int64_t exec_us,
                       souk_str_t body);
void souk_envelope_err(souk_buf_t *buf, souk_str_t corr, int64_t exec_us, souk_str_t body);
void souk_envelope_refused(souk_buf_t *buf, souk_str_t corr, souk_refused_t reason);
void souk_envelope_cancel(souk_buf_t *buf, souk_str_t corr);
void souk_envelope_ping(souk_buf_t *buf, uint64_t token);
void souk_envelope_pong(souk_buf_t *buf, uint64_t token);
void souk_envelope_drain(souk_buf_t *buf);
void souk_envelope_drained(souk_buf_t *buf);
void souk_envelope_goaway(souk_buf_t *buf, souk_goaway_t reason, souk_str_t text);

/* The body of an ERR (docs/protocol.md, section 5). pointer, reason, in of items as text; at most
 * 16 items. */
typedef struct {
    souk_str_t pointer, reason, in;
} souk_fault_item_t;
typedef struct {
    souk_err_t err;    /* SOUK_ERR_INTERNAL for a code that this build does not know */
    souk_str_t detail; /* may be empty */
    uint32_t retry_after_ms;
    size_t items_count;
    souk_fault_item_t items[16];
} souk_fault_t;
void souk_fault_write(souk_buf_t *buf, const souk_fault_t *fault);
SOUK_MUST_CHECK souk_err_t souk_fault_read(souk_str_t body, souk_fault_t *ret);

#endif
