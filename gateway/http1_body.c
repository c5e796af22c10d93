/* Bodies: plain and chunked, and trailers. http1.c has the notes. */
#include "gateway/http1_state.h"

#define CHUNK_DIGITS_MAX 16
#define CHUNK_LINE_BYTES_MAX 256
#define EXTENSION_BYTES_MAX 4096

static souk_http1_step_t s_step_plain(souk_http1_t *self, const souk_buf_t *buf) {
    if (self->left > self->body_bytes_max) {
        return souk_http1_fail(self, SOUK_ERR_TOO_LARGE,
                               "the body is larger than this resource takes");
    }
    if (buf->size - self->body_at < self->left) {
        return SOUK_HTTP1_MORE;
    }
    self->body_size = (size_t)self->left;
    self->total = self->body_at + self->body_size;
    self->state = SOUK_HTTP1_STATE_DONE;
    return SOUK_HTTP1_DONE;
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
    while (size < text.size && souk_http_is(text.data[size], SOUK_HTTP_TOKEN)) {
        size++;
    }
    return size;
}

/* *( ";" token [ "=" ( token / quoted-string ) ] ), without white space. */
static bool s_extensions_ok(souk_str_t text) {
    if (!souk_http_all(text, SOUK_HTTP_VALUE)) {
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
    souk_http1_line_t got = souk_http1_line(self, buf, self->at + CHUNK_LINE_BYTES_MAX, &line);
    if (got == SOUK_HTTP1_LINE_MORE) {
        return SOUK_HTTP1_MORE;
    }
    if (got != SOUK_HTTP1_LINE_WHOLE) {
        return souk_http1_fail(self, SOUK_ERR_MALFORMED, "a chunk's first line is malformed");
    }
    uint64_t size = 0;
    size_t digits = 0;
    while (digits < line.size && souk_http_hex_digit(line.data[digits]) >= 0) {
        size = size << 4 | (uint64_t)souk_http_hex_digit(line.data[digits]);
        digits++;
    }
    souk_str_t extensions = {line.data + digits, line.size - digits};
    self->extension_bytes += (uint32_t)extensions.size;
    if (digits == 0 || digits > CHUNK_DIGITS_MAX || !s_extensions_ok(extensions) ||
        self->extension_bytes > EXTENSION_BYTES_MAX) {
        return souk_http1_fail(self, SOUK_ERR_MALFORMED, "a chunk's first line is malformed");
    }
    if (size > self->body_bytes_max - self->body_size) {
        return souk_http1_fail(self, SOUK_ERR_TOO_LARGE,
                               "the body is larger than this resource takes");
    }
    self->left = size;
    self->state = size > 0 ? SOUK_HTTP1_STATE_CHUNK_DATA : SOUK_HTTP1_STATE_TRAILERS;
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
    self->state = SOUK_HTTP1_STATE_CHUNK_END;
    return SOUK_HTTP1_DONE;
}

static souk_http1_step_t s_step_chunk_end(souk_http1_t *self, const souk_buf_t *buf) {
    size_t here = buf->size - self->at;
    if ((here > 0 && buf->data[self->at] != '\r') ||
        (here > 1 && buf->data[self->at + 1] != '\n')) {
        return souk_http1_fail(self, SOUK_ERR_MALFORMED, "a chunk does not end in CRLF");
    }
    if (here < 2) {
        return SOUK_HTTP1_MORE;
    }
    self->at += 2;
    self->scan = self->at;
    self->state = SOUK_HTTP1_STATE_CHUNK_SIZE;
    return SOUK_HTTP1_DONE;
}

/* Trailers are checked like header fields and dropped. Those that would frame, route or authorise a
 * message are refused. */
static souk_http1_step_t s_step_trailers(souk_http1_t *self, const souk_buf_t *buf) {
    souk_str_t line, name, value;
    size_t end_max = self->at + self->limits->head_bytes_max - self->trailer_bytes;
    switch (souk_http1_line(self, buf, end_max, &line)) {
    case SOUK_HTTP1_LINE_MORE:
        return SOUK_HTTP1_MORE;
    case SOUK_HTTP1_LINE_LONG:
        return souk_http1_fail(self, SOUK_ERR_HEADERS_TOO_LARGE, "the trailers are too large");
    case SOUK_HTTP1_LINE_BAD:
        return souk_http1_fail(self, SOUK_ERR_MALFORMED, "a line does not end in CRLF");
    case SOUK_HTTP1_LINE_WHOLE:
        break;
    }
    self->trailer_bytes += (uint32_t)line.size + 2;
    if (line.size == 0) {
        self->total = self->at;
        self->state = SOUK_HTTP1_STATE_DONE;
        return SOUK_HTTP1_DONE;
    }
    if (!souk_http1_split_field(self, line, &name, &value)) {
        return SOUK_HTTP1_FAIL;
    }
    if (souk_http1_known_of(name) != SOUK_HTTP1_KNOWN_COUNT) {
        return souk_http1_fail(self, SOUK_ERR_MALFORMED, "a trailer field belongs in the header");
    }
    if (++self->trailers_count > self->limits->headers_max) {
        return souk_http1_fail(self, SOUK_ERR_HEADERS_TOO_LARGE,
                               "there are too many trailer fields");
    }
    return SOUK_HTTP1_DONE;
}

void souk_http1_compact(souk_http1_t *self, souk_buf_t *buf) {
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

souk_http1_step_t souk_http1_step_body(souk_http1_t *self, souk_buf_t *buf) {
    switch (self->state) {
    case SOUK_HTTP1_STATE_BODY:
        return s_step_plain(self, buf);
    case SOUK_HTTP1_STATE_CHUNK_SIZE:
        return s_step_chunk_size(self, buf);
    case SOUK_HTTP1_STATE_CHUNK_DATA:
        return s_step_chunk_data(self, buf);
    case SOUK_HTTP1_STATE_CHUNK_END:
        return s_step_chunk_end(self, buf);
    case SOUK_HTTP1_STATE_TRAILERS:
        return s_step_trailers(self, buf);
    default:
        return SOUK_HTTP1_FAIL;
    }
}
