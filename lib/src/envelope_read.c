/* Reading envelopes: every length, range and name of docs/protocol.md is checked here, so that
 * those who get an envelope need not. Nothing is copied: the result points into the frame. */
#include "souk/envelope.h"

#define PEER_NAME_BYTES_MAX 64
#define SESSION_BYTES 16
#define KEY_HASH_BYTES 32
#define TRACEPARENT_BYTES 55
#define REQUEST_ID_BYTES_MAX 64
#define WINDOW_MAX 65535

/* How many elements version 1.0 of each type has, the version and the type included. */
static const uint8_t s_elements[] = {
    [SOUK_MSG_HELLO] = 5,   [SOUK_MSG_WELCOME] = 7, [SOUK_MSG_READY] = 3, [SOUK_MSG_CREDIT] = 3,
    [SOUK_MSG_REQ] = 16,    [SOUK_MSG_REP] = 6,     [SOUK_MSG_ERR] = 6,   [SOUK_MSG_REFUSED] = 4,
    [SOUK_MSG_CANCEL] = 3,  [SOUK_MSG_PING] = 3,    [SOUK_MSG_PONG] = 3,  [SOUK_MSG_DRAIN] = 2,
    [SOUK_MSG_DRAINED] = 2, [SOUK_MSG_GOAWAY] = 3,
};

/* ---- Values ------------------------------------------------------------------------------------
 */

static souk_err_t s_u32(souk_mp_cursor_t *at, uint32_t max, uint32_t *ret_value) {
    uint64_t value;
    SOUK_TRY(souk_mp_read_uint(at, max, &value));
    *ret_value = (uint32_t)value;
    return SOUK_OK;
}

static souk_err_t s_u8(souk_mp_cursor_t *at, uint8_t max, uint8_t *ret_value) {
    uint64_t value;
    SOUK_TRY(souk_mp_read_uint(at, max, &value));
    *ret_value = (uint8_t)value;
    return SOUK_OK;
}

static souk_err_t s_bin(souk_mp_cursor_t *at, size_t bytes_min, size_t bytes_max,
                        souk_str_t *ret_bytes) {
    SOUK_TRY(souk_mp_read_bin(at, ret_bytes));
    bool fits = ret_bytes->size >= bytes_min && ret_bytes->size <= bytes_max;
    return fits ? SOUK_OK : SOUK_ERR_MALFORMED;
}

static souk_err_t s_text(souk_mp_cursor_t *at, size_t bytes_max, souk_str_t *ret_text) {
    SOUK_TRY(souk_mp_read_str(at, ret_text));
    return ret_text->size <= bytes_max ? SOUK_OK : SOUK_ERR_MALFORMED;
}

/* nil, or 1 to bytes_max visible ASCII characters. */
static souk_err_t s_visible_or_nil(souk_mp_cursor_t *at, size_t bytes_max, souk_str_t *ret_text) {
    SOUK_TRY(souk_mp_read_str_or_nil(at, ret_text));
    if (ret_text->data == NULL) {
        return SOUK_OK;
    }
    if (ret_text->size == 0 || ret_text->size > bytes_max) {
        return SOUK_ERR_MALFORMED;
    }
    for (size_t i = 0; i < ret_text->size; i++) {
        if (ret_text->data[i] < '!' || ret_text->data[i] > '~') {
            return SOUK_ERR_MALFORMED;
        }
    }
    return SOUK_OK;
}

/* [a-z][a-z0-9_]{0,31} */
static souk_err_t s_name(souk_mp_cursor_t *at, souk_str_t *ret_name) {
    SOUK_TRY(souk_mp_read_str(at, ret_name));
    if (ret_name->size == 0 || ret_name->size > SOUK_NAME_BYTES_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    for (size_t i = 0; i < ret_name->size; i++) {
        char c = ret_name->data[i];
        bool lower = c >= 'a' && c <= 'z';
        if (!lower && (i == 0 || !((c >= '0' && c <= '9') || c == '_'))) {
            return SOUK_ERR_MALFORMED;
        }
    }
    return SOUK_OK;
}

static souk_err_t s_lane(souk_mp_cursor_t *at, souk_lane_t *ret_lane) {
    uint8_t lane;
    SOUK_TRY(s_u8(at, SOUK_LANES_COUNT - 1, &lane));
    *ret_lane = (souk_lane_t)lane;
    return SOUK_OK;
}

static souk_err_t s_skip_values(souk_mp_cursor_t *at, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        SOUK_TRY(souk_mp_skip(at));
    }
    return SOUK_OK;
}

/* The head of an inner array with at least `known` elements; the caller skips *ret_more behind
 * those it knows. */
static souk_err_t s_row(souk_mp_cursor_t *at, uint32_t known, uint32_t *ret_more) {
    uint32_t count;
    SOUK_TRY(souk_mp_read_array(at, &count));
    if (count < known) {
        return SOUK_ERR_MALFORMED;
    }
    *ret_more = count - known;
    return SOUK_OK;
}

/* ---- READY and CREDIT --------------------------------------------------------------------------
 */

static souk_err_t s_ready_method(souk_mp_cursor_t *at, souk_str_t *ret_method,
                                 souk_lane_t *ret_lane) {
    uint32_t more;
    SOUK_TRY(s_row(at, 2, &more));
    SOUK_TRY(s_name(at, ret_method));
    SOUK_TRY(s_lane(at, ret_lane));
    return s_skip_values(at, more);
}

static souk_err_t s_credit_row(souk_mp_cursor_t *at, souk_credit_row_t *ret_row) {
    uint32_t more;
    SOUK_TRY(s_row(at, 3, &more));
    SOUK_TRY(s_name(at, &ret_row->service));
    SOUK_TRY(s_lane(at, &ret_row->lane));
    SOUK_TRY(s_u32(at, WINDOW_MAX, &ret_row->window));
    return s_skip_values(at, more);
}

static souk_err_t s_check_ready(souk_mp_cursor_t *at) {
    uint32_t services;
    SOUK_TRY(souk_mp_read_array(at, &services));
    for (uint32_t i = 0; i < services; i++) {
        uint32_t more, methods;
        souk_str_t name;
        souk_lane_t lane;
        SOUK_TRY(s_row(at, 2, &more));
        SOUK_TRY(s_name(at, &name));
        SOUK_TRY(souk_mp_read_array(at, &methods));
        for (uint32_t k = 0; k < methods; k++) {
            SOUK_TRY(s_ready_method(at, &name, &lane));
        }
        SOUK_TRY(s_skip_values(at, more));
    }
    return SOUK_OK;
}

static souk_err_t s_check_credit(souk_mp_cursor_t *at) {
    uint32_t windows;
    SOUK_TRY(souk_mp_read_array(at, &windows));
    for (uint32_t i = 0; i < windows; i++) {
        souk_credit_row_t row;
        SOUK_TRY(s_credit_row(at, &row));
    }
    return SOUK_OK;
}

/* The iterators walk what was checked before. */
static void s_checked(souk_err_t err) {
    souk_assert(err == SOUK_OK);
}

void souk_ready_iter_init(souk_ready_iter_t *self, const souk_envelope_t *envelope) {
    souk_assert(envelope->type == SOUK_MSG_READY);
    *self = (souk_ready_iter_t){.at = envelope->as.ready};
    s_checked(souk_mp_read_array(&self->at, &self->services_left));
}

bool souk_ready_next(souk_ready_iter_t *self, souk_str_t *ret_service, souk_str_t *ret_method,
                     souk_lane_t *ret_lane) {
    while (self->methods_left == 0) {
        s_checked(s_skip_values(&self->at, self->row_more));
        self->row_more = 0;
        if (self->services_left == 0) {
            return false;
        }
        self->services_left--;
        s_checked(s_row(&self->at, 2, &self->row_more));
        s_checked(s_name(&self->at, &self->service));
        s_checked(souk_mp_read_array(&self->at, &self->methods_left));
    }
    self->methods_left--;
    *ret_service = self->service;
    s_checked(s_ready_method(&self->at, ret_method, ret_lane));
    return true;
}

void souk_credit_iter_init(souk_credit_iter_t *self, const souk_envelope_t *envelope) {
    souk_assert(envelope->type == SOUK_MSG_CREDIT);
    *self = (souk_credit_iter_t){.at = envelope->as.credit};
    s_checked(souk_mp_read_array(&self->at, &self->left));
}

bool souk_credit_next(souk_credit_iter_t *self, souk_str_t *ret_service, souk_lane_t *ret_lane,
                      uint32_t *ret_window) {
    if (self->left == 0) {
        return false;
    }
    self->left--;
    souk_credit_row_t row;
    s_checked(s_credit_row(&self->at, &row));
    *ret_service = row.service;
    *ret_lane = row.lane;
    *ret_window = row.window;
    return true;
}

/* ---- Types -------------------------------------------------------------------------------------
 */

static souk_err_t s_read_hello(souk_mp_cursor_t *at, souk_envelope_t *ret) {
    SOUK_TRY(s_u32(at, SOUK_ROLE_WORKER, &ret->as.hello.role));
    if (ret->as.hello.role < SOUK_ROLE_CLIENT) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(s_text(at, PEER_NAME_BYTES_MAX, &ret->as.hello.name));
    return s_u32(at, UINT32_MAX, &ret->as.hello.heartbeat_ms);
}

static souk_err_t s_read_welcome(souk_mp_cursor_t *at, souk_envelope_t *ret) {
    SOUK_TRY(s_bin(at, SESSION_BYTES, SESSION_BYTES, &ret->as.welcome.session));
    SOUK_TRY(souk_mp_read_uint(at, UINT64_MAX, &ret->as.welcome.epoch));
    SOUK_TRY(s_u32(at, UINT32_MAX, &ret->as.welcome.heartbeat_ms));
    SOUK_TRY(s_u32(at, UINT32_MAX, &ret->as.welcome.envelope_bytes_max));
    return s_text(at, PEER_NAME_BYTES_MAX, &ret->as.welcome.broker_name);
}

static souk_err_t s_read_req_rest(souk_mp_cursor_t *at, souk_req_t *req) {
    SOUK_TRY(s_u32(at, SOUK_TIMEOUT_MS_MAX, &req->timeout_ms));
    if (req->timeout_ms == 0) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(s_u32(at, UINT32_MAX, &req->attempt));
    SOUK_TRY(s_u32(at, UINT32_MAX, &req->flags));
    req->tail.data = (const char *)at->at;
    SOUK_TRY(s_u8(at, SOUK_CLASSES_COUNT - 1, &req->class_));
    SOUK_TRY(s_u8(at, SOUK_PRIORITIES_COUNT - 1, &req->priority));
    SOUK_TRY(s_name(at, &req->service));
    SOUK_TRY(s_name(at, &req->method));
    SOUK_TRY(s_visible_or_nil(at, SOUK_KEY_BYTES_MAX, &req->key));
    if (req->key.data == NULL && req->class_ == SOUK_CLASS_KEYED) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(souk_mp_read_bin_or_nil(at, &req->key_hash));
    if (req->key_hash.data != NULL && req->key_hash.size != KEY_HASH_BYTES) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(s_visible_or_nil(at, TRACEPARENT_BYTES, &req->traceparent));
    if (req->traceparent.data != NULL && req->traceparent.size != TRACEPARENT_BYTES) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(souk_mp_read_bin_or_nil(at, &req->principal));
    SOUK_TRY(souk_mp_read_bin(at, &req->body));
    return s_visible_or_nil(at, REQUEST_ID_BYTES_MAX, &req->request_id);
}

static souk_err_t s_read_req(souk_mp_cursor_t *at, uint32_t count, uint32_t *ret_read,
                             souk_envelope_t *ret) {
    souk_req_t *req = &ret->as.req;
    souk_str_t corr;
    SOUK_TRY(s_bin(at, 1, SOUK_CORR_BYTES, &corr));
    *req = (souk_req_t){.corr = corr, .count = count};
    ret->type = SOUK_MSG_REQ; /* from here on it can be answered */
    if (count < s_elements[SOUK_MSG_REQ]) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(s_read_req_rest(at, req));
    if (count > s_elements[SOUK_MSG_REQ]) {
        SOUK_TRY(s_visible_or_nil(at, SOUK_ADDRESS_BYTES_MAX, &req->address));
        *ret_read = s_elements[SOUK_MSG_REQ] + 1;
    }
    return SOUK_OK;
}

static souk_err_t s_read_rep(souk_mp_cursor_t *at, uint32_t count, souk_rep_t *rep) {
    *rep = (souk_rep_t){.count = count};
    SOUK_TRY(s_bin(at, 1, SOUK_CORR_BYTES, &rep->corr));
    rep->tail.data = (const char *)at->at;
    SOUK_TRY(s_u32(at, UINT32_MAX, &rep->flags));
    rep->meta.data = (const char *)at->at;
    souk_mp_cursor_t meta = *at;
    souk_mp_token_t token;
    SOUK_TRY(souk_mp_read(&meta, &token));
    if (token.kind != SOUK_MP_MAP && token.kind != SOUK_MP_NIL) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(souk_mp_skip(at));
    rep->meta.size = (size_t)((const char *)at->at - rep->meta.data);
    return souk_mp_read_bin(at, &rep->body);
}

static souk_err_t s_read_goaway(souk_mp_cursor_t *at, uint32_t count, uint32_t *ret_read,
                                souk_envelope_t *ret) {
    ret->as.goaway.text = (souk_str_t){0};
    SOUK_TRY(s_u32(at, UINT32_MAX, &ret->as.goaway.reason));
    if (count > s_elements[SOUK_MSG_GOAWAY]) {
        SOUK_TRY(souk_mp_read_str_or_nil(at, &ret->as.goaway.text));
        *ret_read = s_elements[SOUK_MSG_GOAWAY] + 1;
    }
    return SOUK_OK;
}

/* Everything behind version and type that this build knows; *ret_read elements then have been read.
 */
static souk_err_t s_read_fields(souk_mp_cursor_t *at, souk_msg_type_t type, uint32_t count,
                                uint32_t *ret_read, souk_envelope_t *ret) {
    if (type == SOUK_MSG_REQ && count > 2) {
        return s_read_req(at, count, ret_read, ret);
    }
    if (count < s_elements[type]) {
        return SOUK_ERR_MALFORMED;
    }
    switch (type) {
    case SOUK_MSG_HELLO:
        return s_read_hello(at, ret);
    case SOUK_MSG_WELCOME:
        return s_read_welcome(at, ret);
    case SOUK_MSG_READY:
        ret->as.ready = *at;
        return s_check_ready(at);
    case SOUK_MSG_CREDIT:
        ret->as.credit = *at;
        return s_check_credit(at);
    case SOUK_MSG_REP:
    case SOUK_MSG_ERR:
        return s_read_rep(at, count, &ret->as.rep);
    case SOUK_MSG_REFUSED:
        SOUK_TRY(s_bin(at, 1, SOUK_CORR_BYTES, &ret->as.refused.corr));
        return s_u32(at, UINT32_MAX, &ret->as.refused.reason);
    case SOUK_MSG_CANCEL:
        return s_bin(at, 1, SOUK_CORR_BYTES, &ret->as.cancel.corr);
    case SOUK_MSG_PING:
    case SOUK_MSG_PONG:
        return souk_mp_read_uint(at, UINT64_MAX, &ret->as.ping.token);
    case SOUK_MSG_GOAWAY:
        return s_read_goaway(at, count, ret_read, ret);
    case SOUK_MSG_DRAIN:
    case SOUK_MSG_DRAINED:
    case SOUK_MSG_REQ: /* too short, refused above */
    default:
        return SOUK_OK;
    }
}

/* A type is known when it has an entry in the table. */
static bool s_known(uint64_t version, uint64_t type) {
    return version == SOUK_PROTOCOL_VERSION && type < SOUK_COUNT_OF(s_elements) &&
           s_elements[type] > 0;
}

static souk_err_t s_read(souk_mp_cursor_t *at, souk_envelope_t *ret) {
    souk_mp_cursor_t start = *at;
    uint32_t count;
    uint64_t version, type;
    SOUK_TRY(souk_mp_read_array(at, &count));
    if (count < 2) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(souk_mp_read_uint(at, UINT64_MAX, &version));
    SOUK_TRY(souk_mp_read_uint(at, UINT64_MAX, &type));
    if (!s_known(version, type)) {
        SOUK_TRY(s_skip_values(at, count - 2));
        return SOUK_ERR_UNSUPPORTED;
    }
    uint32_t read = s_elements[type];
    SOUK_TRY(s_read_fields(at, (souk_msg_type_t)type, count, &read, ret));
    SOUK_TRY(s_skip_values(at, count - read)); /* what a later 1.x appended */
    ret->type = (souk_msg_type_t)type;
    ret->bytes.data = (const char *)start.at;
    ret->bytes.size = (size_t)(at->at - start.at);
    const char *end = (const char *)at->at;
    if (type == SOUK_MSG_REQ) {
        ret->as.req.tail.size = (size_t)(end - ret->as.req.tail.data);
    } else if (type == SOUK_MSG_REP || type == SOUK_MSG_ERR) {
        ret->as.rep.tail.size = (size_t)(end - ret->as.rep.tail.data);
    }
    return SOUK_OK;
}

souk_err_t souk_envelope_read(souk_mp_cursor_t *frame, souk_envelope_t *ret) {
    ret->type = 0;
    ret->bytes = (souk_str_t){0};
    souk_err_t err = s_read(frame, ret);
    if (err == SOUK_ERR_MALFORMED) {
        frame->at = frame->end; /* where the next envelope would start is unknown */
    }
    return err;
}
