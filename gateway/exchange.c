#include "gateway/exchange.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/conn.h"
#include "gateway/gateway.h"
#include "souk/clock.h"
#include "souk/id.h"

#define HEAD_BYTES_MAX 65536
#define PRINCIPAL_BYTES_MAX 16384
#define ANSWER_KEEP_BYTES 16384
#define POOL_MAX 1024

/* ---- life ---- */

souk_exchange_t *souk_exchange_take(souk_server_t *server, souk_conn_t *conn) {
    souk_exchange_t *self = server->pool;
    if (self != NULL) {
        server->pool = self->next;
        server->pool_count--;
        memset(self, 0,
               offsetof(souk_exchange_t, request_id)); /* texts have sizes, buffers were emptied */
        self->body = (souk_str_t){.data = NULL, .size = 0};
    } else {
        self = calloc(1, sizeof(*self));
        souk_assert(self != NULL);
        souk_buf_init(&self->head, HEAD_BYTES_MAX);
        souk_buf_init(&self->own_body, HEAD_BYTES_MAX);
        souk_buf_init(&self->query, HEAD_BYTES_MAX);
        souk_buf_init(&self->principal, PRINCIPAL_BYTES_MAX);
    }
    self->server = server;
    self->conn = conn;
    self->minor = 1;
    self->started_us = souk_loop_now_us(server->loop);
    return self;
}

static void s_free(souk_exchange_t *self) {
    souk_buf_done(&self->head);
    souk_buf_done(&self->own_body);
    souk_buf_done(&self->query);
    souk_buf_done(&self->principal);
    free(self);
}

void souk_exchange_give(souk_exchange_t *self) {
    souk_server_t *server = self->server;
    souk_assert(!self->calling);
    if (server->pool_count >= POOL_MAX) {
        s_free(self);
        return;
    }
    souk_buf_clear(&self->head);
    souk_buf_clear(&self->own_body);
    souk_buf_clear(&self->query);
    souk_buf_clear(&self->principal);
    souk_buf_shrink(&self->own_body, ANSWER_KEEP_BYTES);
    self->next = server->pool;
    server->pool = self;
    server->pool_count++;
}

void souk_exchange_free_pool(souk_server_t *server) {
    while (server->pool != NULL) {
        souk_exchange_t *exchange = server->pool;
        server->pool = exchange->next;
        s_free(exchange);
    }
    server->pool_count = 0;
}

/* ---- ids ---- */

static bool s_hex_lower(const char *text, size_t size, bool *ret_zero) {
    *ret_zero = true;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
        *ret_zero = *ret_zero && c == '0';
    }
    return true;
}

/* version-traceid-parentid-flags; a later version may be longer, ff is none. */
static bool s_traceparent_ok(souk_str_t text) {
    bool zero_trace, zero_parent, zero;
    if (text.size < SOUK_TRACEPARENT_BYTES || text.data[2] != '-' || text.data[35] != '-' ||
        text.data[52] != '-' || !s_hex_lower(text.data, 2, &zero) ||
        !s_hex_lower(text.data + 3, 32, &zero_trace) ||
        !s_hex_lower(text.data + 36, 16, &zero_parent) || !s_hex_lower(text.data + 53, 2, &zero) ||
        zero_trace || zero_parent) {
        return false;
    }
    bool version0 = text.data[0] == '0' && text.data[1] == '0';
    bool version_ff = text.data[0] == 'f' && text.data[1] == 'f';
    return !version_ff &&
           (text.size == SOUK_TRACEPARENT_BYTES || (!version0 && text.data[55] == '-'));
}

static bool s_request_id_ok(souk_str_t text) {
    if (text.size == 0 || text.size > SOUK_REQUEST_ID_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return true;
}

void souk_exchange_identify(souk_exchange_t *self, souk_str_t request_id, souk_str_t traceparent) {
    uint8_t random[32];
    souk_random(random, sizeof(random));
    if (s_request_id_ok(request_id)) {
        memcpy(self->request_id, request_id.data, request_id.size);
        self->request_id_size = (uint16_t)request_id.size;
    } else {
        souk_hex(random + 24, 8, self->request_id);
        self->request_id_size = 16;
    }
    memcpy(self->traceparent, "00-", 3);
    if (s_traceparent_ok(traceparent)) {
        memcpy(self->traceparent + 3, traceparent.data + 3, 32);
        memcpy(self->traceparent + 53, traceparent.data + 53, 2);
    } else {
        random[0] |= 1; /* all zeros is no id */
        souk_hex(random, 16, self->traceparent + 3);
        memcpy(self->traceparent + 53, "01", 2);
    }
    random[16] |= 1;
    self->traceparent[35] = '-';
    souk_hex(random + 16, 8, self->traceparent + 36);
    self->traceparent[52] = '-';
}

/* ---- the answer's head ---- */

static const char *s_reason(uint16_t status) {
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 428:
        return "Precondition Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Status";
    }
}

static void s_field(souk_buf_t *head, souk_str_t name, souk_str_t value) {
    souk_buf_append_str(head, name); /* "Name: " */
    souk_buf_append_str(head, value);
    souk_buf_append(head, "\r\n", 2);
}

static void s_field_int(souk_buf_t *head, souk_str_t name, int64_t value) {
    char text[24];
    char *at = text + sizeof(text);
    uint64_t rest = value > 0 ? (uint64_t)value : 0;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    s_field(head, name, (souk_str_t){at, (size_t)(text + sizeof(text) - at)});
}

/* The date changes once a second; a turn's clock decides when to look. */
static souk_str_t s_date(souk_server_t *server) {
    int64_t now_us = souk_loop_now_us(server->loop);
    if (server->date[0] == '\0' || now_us - server->date_made_us >= 250000) {
        time_t now = (time_t)(souk_clock_unix_us() / 1000000);
        struct tm parts;
        gmtime_r(&now, &parts);
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        snprintf(server->date, sizeof(server->date), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                 days + 3 * parts.tm_wday, parts.tm_mday, months + 3 * parts.tm_mon,
                 parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
        server->date_made_us = now_us;
    }
    return souk_str_of(server->date);
}

static void s_cors_fields(const souk_exchange_t *self, const souk_answer_t *answer,
                          souk_buf_t *head) {
    const souk_gateway_t *gateway = self->server->gateway;
    if (souk_cors_varies(&gateway->cors)) {
        s_field(head, SOUK_STR("Vary: "), SOUK_STR("Origin"));
    }
    if (!self->cross_origin) {
        return;
    }
    s_field(head, SOUK_STR("Access-Control-Allow-Origin: "), self->allow_origin);
    if (answer->preflight) {
        s_field(head, SOUK_STR("Access-Control-Allow-Methods: "), answer->allow);
        s_field(head, SOUK_STR("Access-Control-Allow-Headers: "),
                SOUK_STR("Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
                         "X-Request-Id, traceparent"));
        s_field(head, SOUK_STR("Access-Control-Max-Age: "), SOUK_STR("600"));
    } else {
        s_field(head, SOUK_STR("Access-Control-Expose-Headers: "),
                SOUK_STR("ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, "
                         "Retry-After, X-Request-Id"));
    }
}

/* draft-ietf-httpapi-ratelimit-headers */
static void s_limit_fields(const souk_exchange_t *self, souk_buf_t *head) {
    const souk_limit_state_t *limit = &self->limit;
    if (limit->limit == 0) {
        return;
    }
    const souk_gateway_config_t *config = self->server->gateway->config;
    souk_buf_printf(head, "RateLimit-Policy: \"default\";q=%lld;w=%lld\r\n",
                    (long long)limit->limit, (long long)config->rate_burst_s);
    souk_buf_printf(head, "RateLimit: \"default\";r=%lld;t=%lld\r\n", (long long)limit->remaining,
                    (long long)limit->reset_s);
}

static void s_optional_fields(const souk_exchange_t *self, const souk_answer_t *answer,
                              souk_buf_t *head) {
    if (answer->etag.data != NULL) {
        s_field(head, SOUK_STR("ETag: "), answer->etag);
    }
    if (answer->location.data != NULL) {
        s_field(head, SOUK_STR("Location: "), answer->location);
    }
    if (answer->link.data != NULL) {
        s_field(head, SOUK_STR("Link: "), answer->link);
    }
    if (answer->allow.data != NULL) {
        s_field(head, SOUK_STR("Allow: "), answer->allow);
    }
    if (answer->retry_after_s > 0) {
        s_field_int(head, SOUK_STR("Retry-After: "), answer->retry_after_s);
    }
    if (answer->challenge != NULL) {
        s_field(head, SOUK_STR("WWW-Authenticate: "), souk_str_of(answer->challenge));
    }
    if (answer->content_policy != NULL) {
        s_field(head, SOUK_STR("Content-Security-Policy: "), souk_str_of(answer->content_policy));
    }
    if (answer->replayed) {
        s_field(head, SOUK_STR("Idempotency-Replayed: "), SOUK_STR("true"));
    }
    s_limit_fields(self, head);
    s_cors_fields(self, answer, head);
}

static void s_write_head(souk_exchange_t *self, const souk_answer_t *answer) {
    souk_buf_t *head = &self->head;
    char line[16] = "HTTP/1.1 000 ";
    line[9] = (char)('0' + answer->status / 100);
    line[10] = (char)('0' + answer->status / 10 % 10);
    line[11] = (char)('0' + answer->status % 10);
    s_field(head, (souk_str_t){line, 13}, souk_str_of(s_reason(answer->status)));
    s_field(head, SOUK_STR("Date: "), s_date(self->server));
    if (answer->content_type != NULL) {
        s_field(head, SOUK_STR("Content-Type: "), souk_str_of(answer->content_type));
        s_field(head, SOUK_STR("X-Content-Type-Options: "), SOUK_STR("nosniff"));
    }
    if (answer->status != 204 && answer->status != 304) {
        s_field_int(head, SOUK_STR("Content-Length: "), (int64_t)answer->body.size);
    }
    s_field(head, SOUK_STR("Cache-Control: "),
            answer->cache_control != NULL ? souk_str_of(answer->cache_control)
                                          : SOUK_STR("no-store"));
    s_field(head, SOUK_STR("X-Request-Id: "), souk_exchange_request_id(self));
    s_optional_fields(self, answer, head);
    if (self->close) {
        s_field(head, SOUK_STR("Connection: "), SOUK_STR("close"));
    } else if (self->minor == 0) {
        s_field(head, SOUK_STR("Connection: "), SOUK_STR("keep-alive"));
    }
    souk_buf_append(head, "\r\n", 2);
}

void souk_exchange_answer(souk_exchange_t *self, const souk_answer_t *answer) {
    souk_assert(!self->answered && !self->calling);
    if (self->server->draining) {
        self->close = true;
    }
    s_write_head(self, answer);
    souk_assert(
        !self->head
             .overflow); /* every value above has a bound, and the sum is below the buffer's */
    bool bodiless = self->head_only || answer->status == 204 || answer->status == 304;
    self->body = bodiless ? (souk_str_t){.data = NULL, .size = 0} : answer->body;
    self->status = answer->status;
    self->answered = true;
    souk_conn_mark(self->conn);
}
