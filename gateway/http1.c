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
#include "gateway/http1.h"

#define CHUNK_DIGITS_MAX 16
#define CHUNK_LINE_BYTES_MAX 256
#define EXTENSION_BYTES_MAX 4096
#define REQUEST_LINE_SPARE 32 /* method, version, two spaces, CR */
#define LENGTH_DIGITS_MAX 18

enum {
    STATE_LINE,
    STATE_FIELDS,
    STATE_BODY,
    STATE_CHUNK_SIZE,
    STATE_CHUNK_DATA,
    STATE_CHUNK_END,
    STATE_TRAILERS,
    STATE_DONE,
    STATE_FAILED,
};

/* What a byte may be. */
enum { TOKEN = 1, VALUE = 2, TARGET = 4, HOST = 8 };
#define T (TOKEN | VALUE | TARGET)
#define H (TOKEN | VALUE | TARGET | HOST)
#define V VALUE
#define G (VALUE | TARGET)
#define P (VALUE | TARGET | HOST)
/* Token: RFC 9110, 5.6.2. Target: visible ASCII without " # < > \ (a fragment is never sent; the
 * others have to be encoded). */
static const uint8_t s_class[128] = {
    ['\t'] = V, [' '] = V,  ['!'] = H, ['"'] = V,  ['#'] = TOKEN | VALUE,
    ['$'] = H,  ['%'] = H,  ['&'] = H, ['\''] = H, ['('] = P,
    [')'] = P,  ['*'] = H,  ['+'] = H, [','] = P,  ['-'] = H,
    ['.'] = H,  ['/'] = G,  ['0'] = H, ['1'] = H,  ['2'] = H,
    ['3'] = H,  ['4'] = H,  ['5'] = H, ['6'] = H,  ['7'] = H,
    ['8'] = H,  ['9'] = H,  [':'] = P, [';'] = P,  ['<'] = V,
    ['='] = P,  ['>'] = V,  ['?'] = G, ['@'] = G,  ['A'] = H,
    ['B'] = H,  ['C'] = H,  ['D'] = H, ['E'] = H,  ['F'] = H,
    ['G'] = H,  ['H'] = H,  ['I'] = H, ['J'] = H,  ['K'] = H,
    ['L'] = H,  ['M'] = H,  ['N'] = H, ['O'] = H,  ['P'] = H,
    ['Q'] = H,  ['R'] = H,  ['S'] = H, ['T'] = H,  ['U'] = H,
    ['V'] = H,  ['W'] = H,  ['X'] = H, ['Y'] = H,  ['Z'] = H,
    ['['] = P,  ['\\'] = V, [']'] = P, ['^'] = T,  ['_'] = H,
    ['`'] = T,  ['a'] = H,  ['b'] = H, ['c'] = H,  ['d'] = H,
    ['e'] = H,  ['f'] = H,  ['g'] = H, ['h'] = H,  ['i'] = H,
    ['j'] = H,  ['k'] = H,  ['l'] = H, ['m'] = H,  ['n'] = H,
    ['o'] = H,  ['p'] = H,  ['q'] = H, ['r'] = H,  ['s'] = H,
    ['t'] = H,  ['u'] = H,  ['v'] = H, ['w'] = H,  ['x'] = H,
    ['y'] = H,  ['z'] = H,  ['{'] = G, ['|'] = T,  ['}'] = G,
    ['~'] = H,
};
#undef T
#undef H
#undef V
#undef G
#undef P

static const char *const s_method_names[SOUK_HTTP_METHODS_COUNT] = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
};

const char *souk_http_method_name(souk_http_method_t method) {
    souk_assert(method < SOUK_HTTP_METHODS_COUNT);
    return s_method_names[method];
}

bool souk_http_method_of(souk_str_t name, souk_http_method_t *ret_method) {
    for (unsigned method = 0; method < SOUK_HTTP_METHODS_COUNT; method++) {
        if (souk_str_equal(name, souk_str_of(s_method_names[method]))) {
            *ret_method = (souk_http_method_t)method;
            return true;
        }
    }
    return false;
}

static char s_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool souk_http_equal_nocase(souk_str_t a, souk_str_t b) {
    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        if (s_lower(a.data[i]) != s_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

static souk_str_t s_trim(souk_str_t text) {
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

bool souk_http_next_element(souk_str_t *list, souk_str_t *ret_element) {
    while (list->size > 0) {
        const char *comma = memchr(list->data, ',', list->size);
        size_t size = comma != NULL ? (size_t)(comma - list->data) : list->size;
        souk_str_t element = s_trim((souk_str_t){.data = list->data, .size = size});
        size_t taken = comma != NULL ? size + 1 : size;
        list->data += taken;
        list->size -= taken;
        if (element.size > 0) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}

static bool s_is(char c, uint8_t class) {
    uint8_t byte = (uint8_t)c;
    return ((byte < sizeof(s_class) ? s_class[byte] : VALUE) & class) !=
           0; /* obs-text is a value */
}

static bool s_all(souk_str_t text, uint8_t class) {
    for (size_t i = 0; i < text.size; i++) {
        if (!s_is(text.data[i], class)) {
            return false;
        }
    }
    return true;
}

static souk_http1_step_t s_fail(souk_http1_t *self, souk_err_t err, const char *cause) {
    self->state = STATE_FAILED;
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
    return self->state <= STATE_FIELDS && (self->state == STATE_FIELDS || buf->size > 0);
}

bool souk_http1_in_body(const souk_http1_t *self) {
    return self->state >= STATE_BODY && self->state <= STATE_TRAILERS;
}

/* ---- lines ---- */

typedef enum { LINE_WHOLE, LINE_MORE, LINE_LONG, LINE_BAD } line_t;

/* The next line without its CRLF, when it ends before offset end_max. Steps behind it. */
static line_t s_line(souk_http1_t *self, const souk_buf_t *buf, size_t end_max,
                     souk_str_t *ret_line) {
    const char *data = (const char *)buf->data;
    const char *lf = NULL;
    if (buf->size > self->scan) {
        lf = memchr(data + self->scan, '\n', buf->size - self->scan);
    }
    if (lf == NULL) {
        self->scan = buf->size;
        return buf->size >= end_max ? LINE_LONG : LINE_MORE;
    }
    size_t end = (size_t)(lf - data) + 1;
    if (end > end_max) {
        return LINE_LONG;
    }
    size_t size = end - 1 - self->at;
    if (size == 0 || lf[-1] != '\r') {
        return LINE_BAD;
    }
    *ret_line = (souk_str_t){.data = data + self->at, .size = size - 1};
    self->at = end;
    self->scan = end;
    return LINE_WHOLE;
}

/* ---- request line ---- */

static bool s_version(souk_http1_t *self, souk_str_t version) {
    bool shape = version.size == 8 && memcmp(version.data, "HTTP/", 5) == 0 &&
                 version.data[5] >= '0' && version.data[5] <= '9' && version.data[6] == '.' &&
                 version.data[7] >= '0' && version.data[7] <= '9';
    if (!shape) {
        s_fail(self, SOUK_ERR_MALFORMED, "the request line does not end in an HTTP version");
        return false;
    }
    if (version.data[5] != '1' || version.data[7] > '1') {
        s_fail(self, SOUK_ERR_HTTP_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken");
        return false;
    }
    self->minor = (uint8_t)(version.data[7] - '0');
    self->keep_alive = self->minor == 1;
    return true;
}

/* host or host:port, as in Host and in an absolute target. */
static bool s_authority_ok(souk_str_t text) {
    if (text.size == 0 || !s_all(text, HOST)) {
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
        s_fail(self, SOUK_ERR_MALFORMED, "the request line is not METHOD SP TARGET SP VERSION");
        return false;
    }
    souk_str_t method = {line.data, (size_t)(space - line.data)};
    souk_str_t target = {space + 1, line.size - method.size - 1};
    const char *second = target.size > 0 ? memchr(target.data, ' ', target.size) : NULL;
    if (second == NULL || second == target.data || !s_all(method, TOKEN)) {
        s_fail(self, SOUK_ERR_MALFORMED, "the request line is not METHOD SP TARGET SP VERSION");
        return false;
    }
    souk_str_t version = {second + 1, (size_t)(line.data + line.size - second - 1)};
    target.size = (size_t)(second - target.data);
    if (!s_version(self, version)) {
        return false;
    }
    if (target.size > self->limits->target_bytes_max) {
        s_fail(self, SOUK_ERR_URI_TOO_LONG, "the request target is too long");
        return false;
    }
    if (!souk_http_method_of(method, &self->method)) {
        s_fail(self, SOUK_ERR_NOT_IMPLEMENTED, "the method is not implemented");
        return false;
    }
    if (!s_all(target, TARGET) || !s_target(self, base, target)) {
        s_fail(self, SOUK_ERR_MALFORMED, "the request target is malformed");
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

static unsigned s_known_of(souk_str_t name) {
    for (unsigned known = 0; known < SOUK_HTTP1_KNOWN_COUNT; known++) {
        if (name.size == s_known[known].size &&
            souk_http_equal_nocase(name, (souk_str_t){s_known[known].name, name.size})) {
            return known;
        }
    }
    return SOUK_HTTP1_KNOWN_COUNT;
}

/* name ":" OWS value OWS */
static bool s_split_field(souk_http1_t *self, souk_str_t line, souk_str_t *ret_name,
                          souk_str_t *ret_value) {
    const char *colon = memchr(line.data, ':', line.size);
    souk_str_t name = {line.data, colon != NULL ? (size_t)(colon - line.data) : 0};
    if (colon == NULL || name.size == 0 || !s_all(name, TOKEN)) {
        s_fail(self, SOUK_ERR_MALFORMED, "a header field is malformed");
        return false;
    }
    souk_str_t value = {colon + 1, line.size - name.size - 1};
    if (!s_all(value, VALUE)) {
        s_fail(self, SOUK_ERR_MALFORMED, "a header field holds a control character");
        return false;
    }
    *ret_name = name;
    *ret_value = s_trim(value);
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
        s_fail(self, SOUK_ERR_MALFORMED, "a header field that may be given once is given twice");
        return false;
    }
    self->known[known] = (uint8_t)(self->headers_count + 1);
    return true;
}

static bool s_field(souk_http1_t *self, const char *base, souk_str_t line) {
    souk_str_t name, value;
    if (!s_split_field(self, line, &name, &value)) {
        return false;
    }
    if (self->headers_count == self->limits->headers_max) {
        s_fail(self, SOUK_ERR_HEADERS_TOO_LARGE, "there are too many header fields");
        return false;
    }
    if (!s_note_known(self, s_known_of(name), value)) {
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
        s_fail(self, SOUK_ERR_MALFORMED, "both Content-Length and Transfer-Encoding are given");
        return false;
    }
    if (length.data != NULL && !s_length(length, &self->left)) {
        s_fail(self, SOUK_ERR_MALFORMED, "Content-Length is malformed");
        return false;
    }
    if (coding.data == NULL) {
        return true;
    }
    if (self->minor == 0 || coding.size == 0) {
        s_fail(self, SOUK_ERR_MALFORMED,
               "Transfer-Encoding is malformed or does not belong in HTTP/1.0");
        return false;
    }
    if (!souk_http_equal_nocase(coding, SOUK_STR("chunked"))) {
        s_fail(self, SOUK_ERR_NOT_IMPLEMENTED, "the only transfer coding is chunked");
        return false;
    }
    self->chunked = true;
    return true;
}

static souk_http1_step_t s_head_done(souk_http1_t *self, const souk_buf_t *buf) {
    souk_str_t host = souk_http1_known(self, buf, SOUK_HTTP1_HOST);
    if ((host.data == NULL && self->minor == 1) || (host.data != NULL && !s_authority_ok(host))) {
        return s_fail(self, SOUK_ERR_MALFORMED, "Host is missing or malformed");
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
            return s_fail(self, SOUK_ERR_EXPECTATION_FAILED,
                          "the only expectation is 100-continue");
        }
        self->expect_continue = self->chunked || self->left > 0;
    }
    self->head_size = (uint16_t)self->at;
    self->body_at = self->at;
    self->state = self->chunked ? STATE_CHUNK_SIZE : STATE_BODY;
    return SOUK_HTTP1_HEAD;
}

static souk_http1_step_t s_step_line(souk_http1_t *self, const souk_buf_t *buf) {
    size_t end_max = self->at + self->limits->target_bytes_max + REQUEST_LINE_SPARE;
    if (end_max > self->limits->head_bytes_max) {
        end_max = self->limits->head_bytes_max;
    }
    souk_str_t line;
    switch (s_line(self, buf, end_max, &line)) {
    case LINE_MORE:
        return SOUK_HTTP1_MORE;
    case LINE_LONG:
        return s_fail(self, SOUK_ERR_URI_TOO_LONG, "the request line is too long");
    case LINE_BAD:
        return s_fail(self, SOUK_ERR_MALFORMED, "a line does not end in CRLF");
    case LINE_WHOLE:
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
    self->state = STATE_FIELDS;
    return SOUK_HTTP1_DONE;
}

static souk_http1_step_t s_step_fields(souk_http1_t *self, const souk_buf_t *buf) {
    souk_str_t line;
    switch (s_line(self, buf, self->limits->head_bytes_max, &line)) {
    case LINE_MORE:
        return SOUK_HTTP1_MORE;
    case LINE_LONG:
        return s_fail(self, SOUK_ERR_HEADERS_TOO_LARGE, "the header is too large");
    case LINE_BAD:
        return s_fail(self, SOUK_ERR_MALFORMED, "a line does not end in CRLF");
    case LINE_WHOLE:
        break;
    }
    if (line.size == 0) {
        return s_head_done(self, buf);
    }
    return s_field(self, (const char *)buf->data, line) ? SOUK_HTTP1_DONE : SOUK_HTTP1_FAIL;
}

/* ---- body ---- */

static souk_http1_step_t s_step_body(souk_http1_t *self, const souk_buf_t *buf) {
    if (self->left > self->body_bytes_max) {
        return s_fail(self, SOUK_ERR_TOO_LARGE, "the body is larger than this resource takes");
    }
    if (buf->size - self->body_at < self->left) {
        return SOUK_HTTP1_MORE;
    }
    self->body_size = (size_t)self->left;
    self->total = self->body_at + self->body_size;
    self->state = STATE_DONE;
    return SOUK_HTTP1_DONE;
}

static int s_hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = s_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Steps over a quoted-string; false when it is malformed. */
static bool s_skip_quoted(souk_str_t *text) {
    size_t at = 1;
    while (at < text->size && text->data[at] != '"') {
        at += text->data[at] == '\\' ? 2 : 1;
    }
    if (at >= text->size) {
        return false;
    }
    text->data += at + 1;
    text->size -= at + 1;
    return true;
}

static size_t s_token_size(souk_str_t text) {
    size_t size = 0;
    while (size < text.size && s_is(text.data[size], TOKEN)) {
        size++;
    }
    return size;
}

/* *( ";" token [ "=" ( token / quoted-string ) ] ), without white space. */
static bool s_extensions_ok(souk_str_t text) {
    if (!s_all(text, VALUE)) {
        return false;
    }
    while (text.size > 0) {
        if (text.data[0] != ';') {
            return false;
        }
        text.data++;
        text.size--;
        size_t size = s_token_size(text);
        if (size == 0) {
            return false;
        }
        text.data += size;
        text.size -= size;
        if (text.size == 0 || text.data[0] != '=') {
            continue;
        }
        text.data++;
        text.size--;
        if (text.size > 0 && text.data[0] == '"') {
            if (!s_skip_quoted(&text)) {
                return false;
            }
            continue;
        }
        size = s_token_size(text);
        if (size == 0) {
            return false;
        }
        text.data += size;
        text.size -= size;
    }
    return true;
}

static souk_http1_step_t s_step_chunk_size(souk_http1_t *self, const souk_buf_t *buf) {
    souk_str_t line;
    line_t got = s_line(self, buf, self->at + CHUNK_LINE_BYTES_MAX, &line);
    if (got == LINE_MORE) {
        return SOUK_HTTP1_MORE;
    }
    if (got != LINE_WHOLE) {
        return s_fail(self, SOUK_ERR_MALFORMED, "a chunk's first line is malformed");
    }
    uint64_t size = 0;
    size_t digits = 0;
    while (digits < line.size && s_hex_digit(line.data[digits]) >= 0) {
        size = size << 4 | (uint64_t)s_hex_digit(line.data[digits]);
        digits++;
    }
    souk_str_t extensions = {line.data + digits, line.size - digits};
    self->extension_bytes += (uint32_t)extensions.size;
    if (digits == 0 || digits > CHUNK_DIGITS_MAX || !s_extensions_ok(extensions) ||
        self->extension_bytes > EXTENSION_BYTES_MAX) {
        return s_fail(self, SOUK_ERR_MALFORMED, "a chunk's first line is malformed");
    }
    if (size > self->body_bytes_max - self->body_size) {
        return s_fail(self, SOUK_ERR_TOO_LARGE, "the body is larger than this resource takes");
    }
    self->left = size;
    self->state = size > 0 ? STATE_CHUNK_DATA : STATE_TRAILERS;
    return SOUK_HTTP1_DONE;
}

static souk_http1_step_t s_step_chunk_data(souk_http1_t *self, souk_buf_t *buf) {
    size_t here = buf->size - self->at;
    size_t take = here < self->left ? here : (size_t)self->left;
    memmove(buf->data + self->body_at + self->body_size, buf->data + self->at, take);
    self->body_size += take;
    self->at += take;
    self->scan = self->at;
    self->left -= take;
    if (self->left > 0) {
        return SOUK_HTTP1_MORE;
    }
    self->state = STATE_CHUNK_END;
    return SOUK_HTTP1_DONE;
}

static souk_http1_step_t s_step_chunk_end(souk_http1_t *self, const souk_buf_t *buf) {
    size_t here = buf->size - self->at;
    if ((here > 0 && buf->data[self->at] != '\r') ||
        (here > 1 && buf->data[self->at + 1] != '\n')) {
        return s_fail(self, SOUK_ERR_MALFORMED, "a chunk does not end in CRLF");
    }
    if (here < 2) {
        return SOUK_HTTP1_MORE;
    }
    self->at += 2;
    self->scan = self->at;
    self->state = STATE_CHUNK_SIZE;
    return SOUK_HTTP1_DONE;
}

/* Trailers are checked like header fields and dropped. Those that would frame, route or authorise a
 * message are refused. */
static souk_http1_step_t s_step_trailers(souk_http1_t *self, const souk_buf_t *buf) {
    souk_str_t line, name, value;
    size_t end_max = self->at + self->limits->head_bytes_max - self->trailer_bytes;
    switch (s_line(self, buf, end_max, &line)) {
    case LINE_MORE:
        return SOUK_HTTP1_MORE;
    case LINE_LONG:
        return s_fail(self, SOUK_ERR_HEADERS_TOO_LARGE, "the trailers are too large");
    case LINE_BAD:
        return s_fail(self, SOUK_ERR_MALFORMED, "a line does not end in CRLF");
    case LINE_WHOLE:
        break;
    }
    self->trailer_bytes += (uint32_t)line.size + 2;
    if (line.size == 0) {
        self->total = self->at;
        self->state = STATE_DONE;
        return SOUK_HTTP1_DONE;
    }
    if (!s_split_field(self, line, &name, &value)) {
        return SOUK_HTTP1_FAIL;
    }
    if (s_known_of(name) != SOUK_HTTP1_KNOWN_COUNT) {
        return s_fail(self, SOUK_ERR_MALFORMED, "a trailer field belongs in the header");
    }
    if (++self->trailers_count > self->limits->headers_max) {
        return s_fail(self, SOUK_ERR_HEADERS_TOO_LARGE, "there are too many trailer fields");
    }
    return SOUK_HTTP1_DONE;
}

/* Closes the gap that chunk framing left between the body and what is still to be parsed, so that
 * the buffer's cap holds for the decoded body. What moves is at most one unfinished line. */
static void s_compact(souk_http1_t *self, souk_buf_t *buf) {
    size_t body_end = self->body_at + self->body_size;
    size_t gap = self->at - body_end;
    if (gap == 0) {
        return;
    }
    memmove(buf->data + body_end, buf->data + self->at, buf->size - self->at);
    buf->size -= gap;
    self->at -= gap;
    self->scan -= gap;
}

souk_http1_step_t souk_http1_step(souk_http1_t *self, souk_buf_t *buf) {
    souk_http1_step_t step = SOUK_HTTP1_DONE;
    while (step == SOUK_HTTP1_DONE && self->state != STATE_DONE) {
        switch (self->state) {
        case STATE_LINE:
            step = s_step_line(self, buf);
            break;
        case STATE_FIELDS:
            step = s_step_fields(self, buf);
            break;
        case STATE_BODY:
            step = s_step_body(self, buf);
            break;
        case STATE_CHUNK_SIZE:
            step = s_step_chunk_size(self, buf);
            break;
        case STATE_CHUNK_DATA:
            step = s_step_chunk_data(self, buf);
            break;
        case STATE_CHUNK_END:
            step = s_step_chunk_end(self, buf);
            break;
        case STATE_TRAILERS:
            step = s_step_trailers(self, buf);
            break;
        default:
            return SOUK_HTTP1_FAIL;
        }
    }
    if (step == SOUK_HTTP1_MORE && self->chunked && self->state >= STATE_CHUNK_SIZE) {
        s_compact(self, buf);
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
