/* Design note.
 *
 * The parser works line by line: it looks for the next LF from where it last looked, and takes a
 * line apart only when all of it is there. So no byte is looked at twice for a line end, the result
 * does not depend on how the bytes were cut into reads, and the limits are checked on what is known
 * at that moment in a way that gives the same answer early and late.
 *
 * Two parsers that disagree on where a request ends are how requests are smuggled past a proxy. So
 * wherever RFC 9112 lets a recipient be lenient, this one is not: refused are a bare LF or CR,
 * obs-fold, space before the colon, control characters, an empty or unknown field name character, a
 * second Host, Content-Length or Transfer-Encoding, both lengths at once, a length that is not
 * plain digits, a transfer coding other than exactly "chunked", Transfer-Encoding in HTTP/1.0,
 * chunk sizes with signs, spaces or more than 16 digits, malformed or long chunk extensions, and
 * framing fields among trailers. tests/component/gateway/test_node_parser.py holds what is accepted
 * here against Node's parser.
 *
 * Connection: upgrade is answered as if it had not been asked for, but the connection ends: some
 * parsers take what follows such a request for another protocol, so nothing that follows it is read
 * as HTTP here either.
 *
 * A chunked body is decoded in place: data moves down to the end of the body so far, behind the
 * head, so that a complete request is one head and one body in one buffer, however it came. */
#include "gateway/http1_state.h"

#define REQUEST_LINE_SPARE 32 /* method, version, two spaces, CR */
#define LENGTH_DIGITS_MAX 18

souk_http1_step_t souk_http1_fail(souk_http1_t *self, souk_err_t err, const char *cause) {
    self->state = SOUK_HTTP1_STATE_FAILED;
    self->err = err;
    self->cause = cause;
    return SOUK_HTTP1_FAIL;
}

void souk_http1_init(souk_http1_t *self, const souk_http1_limits_t *limits, size_t body_bytes_max) {
    souk_assert(limits->head_bytes_max <= SOUK_HTTP1_HEAD_BYTES_MAX);
    souk_assert(limits->headers_max <= SOUK_HTTP1_HEADERS_MAX);
    memset(self, 0,
           offsetof(souk_http1_t, headers)); /* fields beyond headers_count are never read */
    self->limits = limits;
    self->body_bytes_max = body_bytes_max;
}

bool souk_http1_in_head(const souk_http1_t *self, const souk_buf_t *buf) {
    return self->state <= SOUK_HTTP1_STATE_FIELDS &&
           (self->state == SOUK_HTTP1_STATE_FIELDS || buf->size > 0);
}

bool souk_http1_in_body(const souk_http1_t *self) {
    return self->state >= SOUK_HTTP1_STATE_BODY && self->state <= SOUK_HTTP1_STATE_TRAILERS;
}

/* ---- lines ---- */

souk_http1_line_t souk_http1_line(souk_http1_t *self, const souk_buf_t *buf, size_t end_max,
                                  souk_str_t *ret_line) {
    const char *data = (const char *)buf->data;
    const char *lf = NULL;
    if (buf->size > self->scan) {
        lf = memchr(data + self->scan, '\n', buf->size - self->scan);
    }
    if (lf == NULL) {
        self->scan = buf->size;
        return buf->size >= end_max ? SOUK_HTTP1_LINE_LONG : SOUK_HTTP1_LINE_MORE;
    }
    size_t end = (size_t)(lf - data) + 1;
    if (end > end_max) {
        return SOUK_HTTP1_LINE_LONG;
    }
    size_t size = end - 1 - self->at;
    if (size == 0 || lf[-1] != '\r') {
        return SOUK_HTTP1_LINE_BAD;
    }
    *ret_line = (souk_str_t){.data = data + self->at, .size = size - 1};
    self->at = end;
    self->scan = end;
    return SOUK_HTTP1_LINE_WHOLE;
}

/* ---- request line ---- */

static bool s_version(souk_http1_t *self, souk_str_t version) {
    bool shape = version.size == 8 && memcmp(version.data, "HTTP/", 5) == 0 &&
                 version.data[5] >= '0' && version.data[5] <= '9' && version.data[6] == '.' &&
                 version.data[7] >= '0' && version.data[7] <= '9';
    if (!shape) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED,
                        "the request line does not end in an HTTP version");
        return false;
    }
    if (version.data[5] != '1' || version.data[7] > '1') {
        souk_http1_fail(self, SOUK_ERR_HTTP_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken");
        return false;
    }
    self->minor = (uint8_t)(version.data[7] - '0');
    self->keep_alive = self->minor == 1;
    return true;
}

/* host or host:port, as in Host and in an absolute target. */
static bool s_authority_ok(souk_str_t text) {
    if (text.size == 0 || !souk_http_all(text, SOUK_HTTP_AUTHORITY)) {
        return false;
    }
    souk_str_t port = {.data = NULL, .size = 0};
    souk_str_t host = text;
    if (text.data[0] == '[') {
        const char *close = memchr(text.data, ']', text.size);
        if (close == NULL) {
            return false;
        }
        host.size = (size_t)(close - text.data) + 1;
    } else {
        const char *colon = memchr(text.data, ':', text.size);
        host.size = colon != NULL ? (size_t)(colon - text.data) : text.size;
        if (memchr(host.data, '[', host.size) != NULL ||
            memchr(host.data, ']', host.size) != NULL) {
            return false;
        }
    }
    if (host.size == 0) {
        return false;
    }
    if (host.size < text.size) {
        if (text.data[host.size] != ':') {
            return false;
        }
        port.data = text.data + host.size + 1;
        port.size = text.size - host.size - 1;
    }
    for (size_t i = 0; i < port.size; i++) {
        if (port.data[i] < '0' || port.data[i] > '9') {
            return false;
        }
    }
    return port.size <= 5;
}

/* RFC 9112, 3.2: origin-form, absolute-form (its authority stands for Host's), and * for OPTIONS.
 */
static bool s_target(souk_http1_t *self, const char *base, souk_str_t target) {
    souk_str_t rest = target;
    bool asterisk = target.size == 1 && target.data[0] == '*';
    if (target.data[0] != '/' && !asterisk) {
        size_t scheme = 0;
        if (target.size > 7 &&
            souk_http_equal_nocase((souk_str_t){target.data, 7}, SOUK_STR("http://"))) {
            scheme = 7;
        } else if (target.size > 8 &&
                   souk_http_equal_nocase((souk_str_t){target.data, 8}, SOUK_STR("https://"))) {
            scheme = 8;
        }
        if (scheme == 0) {
            return false;
        }
        rest.data += scheme;
        rest.size -= scheme;
        size_t end = 0;
        while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?') {
            end++;
        }
        if (!s_authority_ok((souk_str_t){rest.data, end})) {
            return false;
        }
        rest.data += end;
        rest.size -= end;
    }
    if (asterisk && self->method != SOUK_HTTP_OPTIONS) {
        return false;
    }
    const char *question = rest.size > 0 ? memchr(rest.data, '?', rest.size) : NULL;
    size_t path_size = question != NULL ? (size_t)(question - rest.data) : rest.size;
    self->target_at = (uint16_t)(target.data - base);
    self->target_size = (uint16_t)target.size;
    self->path_at = (uint16_t)(rest.data - base);
    self->path_size = (uint16_t)path_size; /* 0: absolute-form without a path, which means / */
    self->query_at = (uint16_t)(self->path_at + path_size + (question != NULL ? 1 : 0));
    self->query_size = (uint16_t)(question != NULL ? rest.size - path_size - 1 : 0);
    return true;
}

static bool s_request_line(souk_http1_t *self, const char *base, souk_str_t line) {
    const char *space = memchr(line.data, ' ', line.size);
    if (space == NULL || space == line.data) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED,
                        "the request line is not METHOD SP TARGET SP VERSION");
        return false;
    }
    souk_str_t method = {line.data, (size_t)(space - line.data)};
    souk_str_t target = {space + 1, line.size - method.size - 1};
    const char *second = target.size > 0 ? memchr(target.data, ' ', target.size) : NULL;
    if (second == NULL || second == target.data || !souk_http_all(method, SOUK_HTTP_TOKEN)) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED,
                        "the request line is not METHOD SP TARGET SP VERSION");
        return false;
    }
    souk_str_t version = {second + 1, (size_t)(line.data + line.size - second - 1)};
    target.size = (size_t)(second - target.data);
    if (!s_version(self, version)) {
        return false;
    }
    if (target.size > self->limits->target_bytes_max) {
        souk_http1_fail(self, SOUK_ERR_URI_TOO_LONG, "the request target is too long");
        return false;
    }
    if (!souk_http_method_of(method, &self->method)) {
        souk_http1_fail(self, SOUK_ERR_NOT_IMPLEMENTED, "the method is not implemented");
        return false;
    }
    if (!souk_http_all(target, SOUK_HTTP_TARGET) || !s_target(self, base, target)) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED, "the request target is malformed");
        return false;
    }
    return true;
}

/* ---- fields ---- */

static const struct {
    const char *name;
    uint8_t size;
} s_known[SOUK_HTTP1_KNOWN_COUNT] = {
    [SOUK_HTTP1_HOST] = {"host", 4},
    [SOUK_HTTP1_CONTENT_LENGTH] = {"content-length", 14},
    [SOUK_HTTP1_TRANSFER_ENCODING] = {"transfer-encoding", 17},
    [SOUK_HTTP1_EXPECT] = {"expect", 6},
    [SOUK_HTTP1_AUTHORIZATION] = {"authorization", 13},
    [SOUK_HTTP1_CONTENT_TYPE] = {"content-type", 12},
    [SOUK_HTTP1_IDEMPOTENCY_KEY] = {"idempotency-key", 15},
    [SOUK_HTTP1_IF_NONE_MATCH] = {"if-none-match", 13},
    [SOUK_HTTP1_ORIGIN] = {"origin", 6},
    [SOUK_HTTP1_REQUEST_ID] = {"x-request-id", 12},
    [SOUK_HTTP1_TRACEPARENT] = {"traceparent", 11},
    [SOUK_HTTP1_CORS_METHOD] = {"access-control-request-method", 29},
    [SOUK_HTTP1_CONNECTION] = {"connection", 10},
};

unsigned souk_http1_known_of(souk_str_t name) {
    for (unsigned known = 0; known < SOUK_HTTP1_KNOWN_COUNT; known++) {
        if (name.size == s_known[known].size &&
            souk_http_equal_nocase(name, (souk_str_t){s_known[known].name, name.size})) {
            return known;
        }
    }
    return SOUK_HTTP1_KNOWN_COUNT;
}

/* name ":" OWS value OWS */
bool souk_http1_split_field(souk_http1_t *self, souk_str_t line, souk_str_t *ret_name,
                            souk_str_t *ret_value) {
    const char *colon = memchr(line.data, ':', line.size);
    souk_str_t name = {line.data, colon != NULL ? (size_t)(colon - line.data) : 0};
    if (colon == NULL || name.size == 0 || !souk_http_all(name, SOUK_HTTP_TOKEN)) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED, "a header field is malformed");
        return false;
    }
    souk_str_t value = {colon + 1, line.size - name.size - 1};
    if (!souk_http_all(value, SOUK_HTTP_VALUE)) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED, "a header field holds a control character");
        return false;
    }
    *ret_name = name;
    *ret_value = souk_http_trim(value);
    return true;
}

static bool s_note_known(souk_http1_t *self, unsigned known, souk_str_t value) {
    if (known == SOUK_HTTP1_KNOWN_COUNT) {
        return true;
    }
    if (known == SOUK_HTTP1_CONNECTION) {
        souk_str_t option;
        while (souk_http_next_element(&value, &option)) {
            if (souk_http_equal_nocase(option, SOUK_STR("close")) ||
                souk_http_equal_nocase(option, SOUK_STR("upgrade"))) {
                self->known[known] = UINT8_MAX; /* close wins, in whatever order */
            } else if (souk_http_equal_nocase(option, SOUK_STR("keep-alive")) &&
                       self->known[known] != UINT8_MAX) {
                self->known[known] = UINT8_MAX - 1;
            }
        }
        return true;
    }
    if (self->known[known] != 0) {
        if (known == SOUK_HTTP1_IF_NONE_MATCH) {
            self->if_none_match_twice = true;
            return true;
        }
        souk_http1_fail(self, SOUK_ERR_MALFORMED,
                        "a header field that may be given once is given twice");
        return false;
    }
    self->known[known] = (uint8_t)(self->headers_count + 1);
    return true;
}

static bool s_field(souk_http1_t *self, const char *base, souk_str_t line) {
    souk_str_t name, value;
    if (!souk_http1_split_field(self, line, &name, &value)) {
        return false;
    }
    if (self->headers_count == self->limits->headers_max) {
        souk_http1_fail(self, SOUK_ERR_HEADERS_TOO_LARGE, "there are too many header fields");
        return false;
    }
    if (!s_note_known(self, souk_http1_known_of(name), value)) {
        return false;
    }
    self->headers[self->headers_count++] = (souk_http1_field_t){
        .name_at = (uint16_t)(name.data - base),
        .name_size = (uint16_t)name.size,
        .value_at = (uint16_t)(value.data - base),
        .value_size = (uint16_t)value.size,
    };
    return true;
}

/* Content-Length: 1*DIGIT. */
static bool s_length(souk_str_t text, uint64_t *ret_length) {
    if (text.size == 0 || text.size > LENGTH_DIGITS_MAX) {
        return false;
    }
    uint64_t length = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        length = length * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_length = length;
    return true;
}

/* How the body is framed: RFC 9112, 6.3, without its leniencies. */
static bool s_framing(souk_http1_t *self, const souk_buf_t *buf) {
    souk_str_t length = souk_http1_known(self, buf, SOUK_HTTP1_CONTENT_LENGTH);
    souk_str_t coding = souk_http1_known(self, buf, SOUK_HTTP1_TRANSFER_ENCODING);
    if (length.data != NULL && coding.data != NULL) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED,
                        "both Content-Length and Transfer-Encoding are given");
        return false;
    }
    if (length.data != NULL && !s_length(length, &self->left)) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED, "Content-Length is malformed");
        return false;
    }
    if (coding.data == NULL) {
        return true;
    }
    if (self->minor == 0 || coding.size == 0) {
        souk_http1_fail(self, SOUK_ERR_MALFORMED,
                        "Transfer-Encoding is malformed or does not belong in HTTP/1.0");
        return false;
    }
    if (!souk_http_equal_nocase(coding, SOUK_STR("chunked"))) {
        souk_http1_fail(self, SOUK_ERR_NOT_IMPLEMENTED, "the only transfer coding is chunked");
        return false;
    }
    self->chunked = true;
    return true;
}

static souk_http1_step_t s_head_done(souk_http1_t *self, const souk_buf_t *buf) {
    souk_str_t host = souk_http1_known(self, buf, SOUK_HTTP1_HOST);
    if ((host.data == NULL && self->minor == 1) || (host.data != NULL && !s_authority_ok(host))) {
        return souk_http1_fail(self, SOUK_ERR_MALFORMED, "Host is missing or malformed");
    }
    if (!s_framing(self, buf)) {
        return SOUK_HTTP1_FAIL;
    }
    if (self->known[SOUK_HTTP1_CONNECTION] == UINT8_MAX) {
        self->keep_alive = false;
    } else if (self->known[SOUK_HTTP1_CONNECTION] == UINT8_MAX - 1) {
        self->keep_alive = true;
    }
    souk_str_t expect = souk_http1_known(self, buf, SOUK_HTTP1_EXPECT);
    if (expect.data != NULL && self->minor == 1) {
        if (!souk_http_equal_nocase(expect, SOUK_STR("100-continue"))) {
            return souk_http1_fail(self, SOUK_ERR_EXPECTATION_FAILED,
                                   "the only expectation is 100-continue");
        }
        self->expect_continue = self->chunked || self->left > 0;
    }
    self->head_size = (uint16_t)self->at;
    self->body_at = self->at;
    self->state = self->chunked ? SOUK_HTTP1_STATE_CHUNK_SIZE : SOUK_HTTP1_STATE_BODY;
    return SOUK_HTTP1_HEAD;
}

static souk_http1_step_t s_step_line(souk_http1_t *self, const souk_buf_t *buf) {
    size_t end_max = self->at + self->limits->target_bytes_max + REQUEST_LINE_SPARE;
    if (end_max > self->limits->head_bytes_max) {
        end_max = self->limits->head_bytes_max;
    }
    souk_str_t line;
    switch (souk_http1_line(self, buf, end_max, &line)) {
    case SOUK_HTTP1_LINE_MORE:
        return SOUK_HTTP1_MORE;
    case SOUK_HTTP1_LINE_LONG:
        return souk_http1_fail(self, SOUK_ERR_URI_TOO_LONG, "the request line is too long");
    case SOUK_HTTP1_LINE_BAD:
        return souk_http1_fail(self, SOUK_ERR_MALFORMED, "a line does not end in CRLF");
    case SOUK_HTTP1_LINE_WHOLE:
        break;
    }
    if (line.size == 0 && !self->blank_seen) {
        self->blank_seen =
            true; /* RFC 9112, 2.2: one empty line before the request line is forgiven */
        return SOUK_HTTP1_DONE;
    }
    if (!s_request_line(self, (const char *)buf->data, line)) {
        return SOUK_HTTP1_FAIL;
    }
    self->state = SOUK_HTTP1_STATE_FIELDS;
    return SOUK_HTTP1_DONE;
}

static souk_http1_step_t s_step_fields(souk_http1_t *self, const souk_buf_t *buf) {
    souk_str_t line;
    switch (souk_http1_line(self, buf, self->limits->head_bytes_max, &line)) {
    case SOUK_HTTP1_LINE_MORE:
        return SOUK_HTTP1_MORE;
    case SOUK_HTTP1_LINE_LONG:
        return souk_http1_fail(self, SOUK_ERR_HEADERS_TOO_LARGE, "the header is too large");
    case SOUK_HTTP1_LINE_BAD:
        return souk_http1_fail(self, SOUK_ERR_MALFORMED, "a line does not end in CRLF");
    case SOUK_HTTP1_LINE_WHOLE:
        break;
    }
    if (line.size == 0) {
        return s_head_done(self, buf);
    }
    return s_field(self, (const char *)buf->data, line) ? SOUK_HTTP1_DONE : SOUK_HTTP1_FAIL;
}

souk_http1_step_t souk_http1_step(souk_http1_t *self, souk_buf_t *buf) {
    souk_http1_step_t step = SOUK_HTTP1_DONE;
    while (step == SOUK_HTTP1_DONE && self->state != SOUK_HTTP1_STATE_DONE) {
        if (self->state == SOUK_HTTP1_STATE_LINE) {
            step = s_step_line(self, buf);
        } else if (self->state == SOUK_HTTP1_STATE_FIELDS) {
            step = s_step_fields(self, buf);
        } else {
            step = souk_http1_step_body(self, buf);
        }
    }
    if (step == SOUK_HTTP1_MORE && self->chunked && self->state >= SOUK_HTTP1_STATE_CHUNK_SIZE) {
        souk_http1_compact(self, buf);
    }
    return step;
}

/* ---- parts ---- */

static souk_str_t s_part(const souk_buf_t *buf, size_t at, size_t size) {
    return (souk_str_t){.data = (const char *)buf->data + at, .size = size};
}

souk_str_t souk_http1_target(const souk_http1_t *self, const souk_buf_t *buf) {
    return s_part(buf, self->target_at, self->target_size);
}

souk_str_t souk_http1_path(const souk_http1_t *self, const souk_buf_t *buf) {
    return self->path_size > 0 ? s_part(buf, self->path_at, self->path_size) : SOUK_STR("/");
}

souk_str_t souk_http1_query(const souk_http1_t *self, const souk_buf_t *buf) {
    return s_part(buf, self->query_at, self->query_size);
}

souk_str_t souk_http1_body(const souk_http1_t *self, const souk_buf_t *buf) {
    return s_part(buf, self->body_at, self->body_size);
}

souk_str_t souk_http1_name(const souk_http1_t *self, const souk_buf_t *buf, size_t index) {
    souk_assert(index < self->headers_count);
    return s_part(buf, self->headers[index].name_at, self->headers[index].name_size);
}

souk_str_t souk_http1_value(const souk_http1_t *self, const souk_buf_t *buf, size_t index) {
    souk_assert(index < self->headers_count);
    return s_part(buf, self->headers[index].value_at, self->headers[index].value_size);
}

souk_str_t souk_http1_known(const souk_http1_t *self, const souk_buf_t *buf,
                            souk_http1_known_t known) {
    souk_assert(known != SOUK_HTTP1_CONNECTION);
    if (self->known[known] == 0) {
        return (souk_str_t){.data = NULL, .size = 0};
    }
    return souk_http1_value(self, buf, (size_t)self->known[known] - 1);
}
