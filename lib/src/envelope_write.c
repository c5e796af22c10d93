#include "souk/envelope.h"

static void s_head(souk_buf_t *buf, uint32_t count, souk_msg_type_t type) {
    souk_mp_write_array(buf, count);
    souk_mp_write_uint(buf, SOUK_PROTOCOL_VERSION);
    souk_mp_write_uint(buf, type);
}

static void s_str_or_nil(souk_buf_t *buf, souk_str_t text) {
    if (text.data == NULL) {
        souk_mp_write_nil(buf);
    } else {
        souk_mp_write_str(buf, text);
    }
}

static void s_bin_or_nil(souk_buf_t *buf, souk_str_t bytes) {
    if (bytes.data == NULL) {
        souk_mp_write_nil(buf);
    } else {
        souk_mp_write_bin(buf, bytes);
    }
}

void souk_envelope_hello(souk_buf_t *buf, souk_role_t role, souk_str_t name,
                         uint32_t heartbeat_ms) {
    s_head(buf, 5, SOUK_MSG_HELLO);
    souk_mp_write_uint(buf, role);
    souk_mp_write_str(buf, name);
    souk_mp_write_uint(buf, heartbeat_ms);
}

void souk_envelope_welcome(souk_buf_t *buf, const souk_welcome_t *welcome) {
    s_head(buf, 7, SOUK_MSG_WELCOME);
    souk_mp_write_bin(buf, (souk_str_t){.data = (const char *)welcome->session,
                                        .size = sizeof(welcome->session)});
    souk_mp_write_uint(buf, welcome->epoch);
    souk_mp_write_uint(buf, welcome->heartbeat_ms);
    souk_mp_write_uint(buf, welcome->envelope_bytes_max);
    souk_mp_write_str(buf, welcome->broker_name);
}

/* How many rows from `first` on name the same service. */
static size_t s_rows_of_service(const souk_ready_row_t *rows, size_t rows_count, size_t first) {
    size_t end = first + 1;
    while (end < rows_count && souk_str_equal(rows[end].service, rows[first].service)) {
        end++;
    }
    return end - first;
}

void souk_envelope_ready(souk_buf_t *buf, const souk_ready_row_t *rows, size_t rows_count) {
    uint32_t services = 0;
    for (size_t at = 0; at < rows_count; at += s_rows_of_service(rows, rows_count, at)) {
        services++;
    }
    s_head(buf, 3, SOUK_MSG_READY);
    souk_mp_write_array(buf, services);
    for (size_t at = 0; at < rows_count;) {
        size_t methods = s_rows_of_service(rows, rows_count, at);
        souk_mp_write_array(buf, 2);
        souk_mp_write_str(buf, rows[at].service);
        souk_mp_write_array(buf, (uint32_t)methods);
        for (size_t end = at + methods; at < end; at++) {
            souk_mp_write_array(buf, 2);
            souk_mp_write_str(buf, rows[at].method);
            souk_mp_write_uint(buf, rows[at].lane);
        }
    }
}

void souk_envelope_credit(souk_buf_t *buf, const souk_credit_row_t *rows, size_t rows_count) {
    s_head(buf, 3, SOUK_MSG_CREDIT);
    souk_mp_write_array(buf, (uint32_t)rows_count);
    for (size_t i = 0; i < rows_count; i++) {
        souk_mp_write_array(buf, 3);
        souk_mp_write_str(buf, rows[i].service);
        souk_mp_write_uint(buf, rows[i].lane);
        souk_mp_write_uint(buf, rows[i].window);
    }
}

void souk_envelope_req(souk_buf_t *buf, const souk_req_t *req) {
    s_head(buf, SOUK_REQ_ELEMENTS, SOUK_MSG_REQ);
    souk_mp_write_bin(buf, req->corr);
    souk_mp_write_uint(buf, req->timeout_ms);
    souk_mp_write_uint(buf, req->attempt);
    souk_mp_write_uint(buf, req->flags);
    souk_envelope_req_tail(buf, req);
}

void souk_envelope_req_tail(souk_buf_t *buf, const souk_req_t *req) {
    souk_mp_write_uint(buf, req->class_);
    souk_mp_write_uint(buf, req->priority);
    souk_mp_write_str(buf, req->service);
    souk_mp_write_str(buf, req->method);
    s_str_or_nil(buf, req->key);
    s_bin_or_nil(buf, req->key_hash);
    s_str_or_nil(buf, req->traceparent);
    s_bin_or_nil(buf, req->principal);
    souk_mp_write_bin(buf, req->body);
    s_str_or_nil(buf, req->request_id);
    s_str_or_nil(buf, req->address);
}

void souk_envelope_req_forward(souk_buf_t *buf, const souk_req_t *req,
                               const uint8_t corr[SOUK_CORR_BYTES], uint32_t timeout_ms,
                               uint32_t attempt) {
    s_head(buf, req->count, SOUK_MSG_REQ);
    souk_mp_write_bin(buf, (souk_str_t){.data = (const char *)corr, .size = SOUK_CORR_BYTES});
    souk_mp_write_uint(buf, timeout_ms);
    souk_mp_write_uint(buf, attempt);
    souk_mp_write_uint(buf, req->flags);
    souk_buf_append_str(buf, req->tail);
}

void souk_envelope_rep_forward(souk_buf_t *buf, souk_msg_type_t type, const souk_rep_t *rep,
                               souk_str_t corr) {
    s_head(buf, rep->count, type);
    souk_mp_write_bin(buf, corr);
    souk_buf_append_str(buf, rep->tail);
}

static void s_meta(souk_buf_t *buf, int64_t exec_us) {
    if (exec_us < 0) {
        souk_mp_write_nil(buf);
    } else {
        souk_mp_write_map(buf, 1);
        souk_mp_write_str(buf, SOUK_STR("exec_us"));
        souk_mp_write_int(buf, exec_us);
    }
}

void souk_envelope_rep(souk_buf_t *buf, souk_str_t corr, uint32_t flags, int64_t exec_us,
                       souk_str_t body) {
    s_head(buf, 6, SOUK_MSG_REP);
    souk_mp_write_bin(buf, corr);
    souk_mp_write_uint(buf, flags);
    s_meta(buf, exec_us);
    souk_mp_write_bin(buf, body);
}

void souk_envelope_err(souk_buf_t *buf, souk_str_t corr, int64_t exec_us, souk_str_t body) {
    s_head(buf, 6, SOUK_MSG_ERR);
    souk_mp_write_bin(buf, corr);
    souk_mp_write_uint(buf, 0);
    s_meta(buf, exec_us);
    souk_mp_write_bin(buf, body);
}

void souk_envelope_refused(souk_buf_t *buf, souk_str_t corr, souk_refused_t reason) {
    s_head(buf, 4, SOUK_MSG_REFUSED);
    souk_mp_write_bin(buf, corr);
    souk_mp_write_uint(buf, reason);
}

void souk_envelope_cancel(souk_buf_t *buf, souk_str_t corr) {
    s_head(buf, 3, SOUK_MSG_CANCEL);
    souk_mp_write_bin(buf, corr);
}

void souk_envelope_ping(souk_buf_t *buf, uint64_t token) {
    s_head(buf, 3, SOUK_MSG_PING);
    souk_mp_write_uint(buf, token);
}

void souk_envelope_pong(souk_buf_t *buf, uint64_t token) {
    s_head(buf, 3, SOUK_MSG_PONG);
    souk_mp_write_uint(buf, token);
}

void souk_envelope_drain(souk_buf_t *buf) {
    s_head(buf, 2, SOUK_MSG_DRAIN);
}

void souk_envelope_drained(souk_buf_t *buf) {
    s_head(buf, 2, SOUK_MSG_DRAINED);
}

void souk_envelope_goaway(souk_buf_t *buf, souk_goaway_t reason, souk_str_t text) {
    s_head(buf, text.size > 0 ? 4 : 3, SOUK_MSG_GOAWAY);
    souk_mp_write_uint(buf, reason);
    if (text.size > 0) {
        souk_mp_write_str(buf, text);
    }
}
