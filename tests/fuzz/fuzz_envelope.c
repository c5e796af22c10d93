/* Envelopes: whatever the bytes, reading a frame ends, borrows only from it, and what the broker
 * forwards of a sound request or reply is sound again and says the same. */
#include <stdlib.h>

#include "souk/envelope.h"

static const uint8_t s_corr[SOUK_CORR_BYTES] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                9, 10, 11, 12, 13, 14, 15, 16};

static void s_check_within(souk_str_t part, souk_str_t whole) {
    souk_assert(part.data == NULL || part.size == 0 ||
                (part.data >= whole.data && part.data + part.size <= whole.data + whole.size));
}

static void s_read_one(const souk_buf_t *buf, souk_envelope_t *ret) {
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, buf->data, buf->size);
    souk_assert(souk_envelope_read(&cursor, ret) == SOUK_OK);
    souk_assert(souk_mp_at_end(&cursor));
}

static void s_forward_req(const souk_envelope_t *envelope, souk_buf_t *buf) {
    const souk_req_t *req = &envelope->as.req;
    const souk_str_t parts[] = {req->corr,       req->service,     req->method,    req->key,
                                req->key_hash,   req->traceparent, req->principal, req->body,
                                req->request_id, req->address,     req->tail};
    for (size_t i = 0; i < SOUK_COUNT_OF(parts); i++) {
        s_check_within(parts[i], envelope->bytes);
    }
    souk_buf_clear(buf);
    souk_envelope_req_forward(buf, req, s_corr, req->timeout_ms, req->attempt);
    souk_envelope_t again;
    s_read_one(buf, &again);
    souk_assert(again.type == SOUK_MSG_REQ && again.as.req.count == req->count);
    souk_assert(souk_str_equal(again.as.req.service, req->service));
    souk_assert(souk_str_equal(again.as.req.method, req->method));
    souk_assert(souk_str_equal(again.as.req.body, req->body));
    souk_assert(again.as.req.corr.size == SOUK_CORR_BYTES);
}

static void s_forward_rep(const souk_envelope_t *envelope, souk_buf_t *buf) {
    const souk_rep_t *rep = &envelope->as.rep;
    souk_buf_clear(buf);
    souk_str_t corr = {.data = (const char *)s_corr, .size = sizeof(s_corr)};
    souk_envelope_rep_forward(buf, envelope->type, rep, corr);
    souk_envelope_t again;
    s_read_one(buf, &again);
    souk_assert(again.type == envelope->type && again.as.rep.count == rep->count);
    souk_assert(souk_str_equal(again.as.rep.body, rep->body));
    souk_assert(souk_str_equal(again.as.rep.meta, rep->meta));
    souk_fault_t fault;
    if (envelope->type == SOUK_MSG_ERR && souk_fault_read(rep->body, &fault) == SOUK_OK) {
        souk_assert(fault.items_count <= SOUK_COUNT_OF(fault.items));
        s_check_within(fault.detail, rep->body);
    }
}

static void s_walk(const souk_envelope_t *envelope) {
    souk_str_t service, method;
    souk_lane_t lane;
    uint32_t window;
    if (envelope->type == SOUK_MSG_READY) {
        souk_ready_iter_t iter;
        souk_ready_iter_init(&iter, envelope);
        while (souk_ready_next(&iter, &service, &method, &lane)) {
            souk_assert(service.size <= SOUK_NAME_BYTES_MAX && lane < SOUK_LANES_COUNT);
            s_check_within(method, envelope->bytes);
        }
    }
    if (envelope->type == SOUK_MSG_CREDIT) {
        souk_credit_iter_t iter;
        souk_credit_iter_init(&iter, envelope);
        while (souk_credit_next(&iter, &service, &lane, &window)) {
            souk_assert(service.size <= SOUK_NAME_BYTES_MAX && lane < SOUK_LANES_COUNT);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    souk_mp_cursor_t frame;
    souk_mp_cursor_init(&frame, data, size);
    souk_buf_t buf;
    souk_buf_init(&buf, size + 1024);
    while (!souk_mp_at_end(&frame)) {
        const uint8_t *before = frame.at;
        souk_envelope_t envelope;
        souk_err_t err = souk_envelope_read(&frame, &envelope);
        souk_assert(frame.at > before && frame.at <= frame.end);
        souk_assert(err == SOUK_OK || err == SOUK_ERR_MALFORMED || err == SOUK_ERR_UNSUPPORTED);
        if (err != SOUK_OK) {
            continue;
        }
        if (envelope.type == SOUK_MSG_REQ) {
            s_forward_req(&envelope, &buf);
        } else if (envelope.type == SOUK_MSG_REP || envelope.type == SOUK_MSG_ERR) {
            s_forward_rep(&envelope, &buf);
        } else {
            s_walk(&envelope);
        }
    }
    souk_buf_done(&buf);
    return 0;
}
