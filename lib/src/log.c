/* Design note. A line is built on the stack and leaves with one write, so that lines of several
 * threads never mix. What does not fit into 4 KiB is left out field by field and the line says
 * "truncated":true; the line stays valid JSON. */
#include "souk/log.h"

#include "souk/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define S_LINE_BYTES 4096
#define S_TAIL_BYTES 24 /* room kept for ,"truncated":true}\n */
#define S_PROCESS_BYTES 64

typedef struct {
    char data[S_LINE_BYTES];
    size_t size;
    bool full; /* something did not fit since the last mark */
} s_line_t;

static char s_process[S_PROCESS_BYTES] = "souk";
static atomic_int s_level = SOUK_LOG_INFO;
static atomic_int s_fd = STDERR_FILENO;

void souk_log_init(const char *process, souk_log_level_t level, int fd) {
    snprintf(s_process, sizeof(s_process), "%s", process);
    atomic_store(&s_level, (int)level);
    atomic_store(&s_fd, fd);
}

bool souk_log_on(souk_log_level_t level) {
    return (int)level >= atomic_load_explicit(&s_level, memory_order_relaxed);
}

static void s_put(s_line_t *line, const char *data, size_t size) {
    if (line->full || size > sizeof(line->data) - S_TAIL_BYTES - line->size) {
        line->full = true;
        return;
    }
    memcpy(line->data + line->size, data, size);
    line->size += size;
}

static void s_put_text(s_line_t *line, const char *text) {
    s_put(line, text, strlen(text));
}

static size_t s_continuations(const unsigned char *at, size_t left, size_t wanted) {
    for (size_t i = 1; i <= wanted; i++) {
        if (i >= left || (at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return wanted + 1;
}

/* The length of the UTF-8 sequence at the front, 0 when it is not valid (overlong forms and
 * surrogates included). */
static size_t s_utf8(const unsigned char *at, size_t left) {
    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] >= 0xC2 && at[0] <= 0xDF) {
        return s_continuations(at, left, 1);
    }
    if (left < 2) {
        return 0;
    }
    if ((at[0] & 0xF0) == 0xE0) {
        bool bad = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F);
        return bad ? 0 : s_continuations(at, left, 2);
    }
    if (at[0] >= 0xF0 && at[0] <= 0xF4) {
        bool bad = (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F);
        return bad ? 0 : s_continuations(at, left, 3);
    }
    return 0;
}

static void s_put_string(s_line_t *line, souk_str_t text) {
    const unsigned char *at = (const unsigned char *)text.data;
    size_t left = text.size;
    s_put(line, "\"", 1);
    while (left > 0) {
        size_t size = s_utf8(at, left);
        char escape[8];
        if (size == 0) {
            s_put_text(line, "\xEF\xBF\xBD");
            size = 1;
        } else if (*at == '"' || *at == '\\') {
            escape[0] = '\\';
            escape[1] = (char)*at;
            s_put(line, escape, 2);
        } else if (*at < 0x20 || *at == 0x7F) {
            snprintf(escape, sizeof(escape), "\\u%04x", *at);
            s_put_text(line, escape);
        } else {
            s_put(line, (const char *)at, size);
        }
        at += size;
        left -= size;
    }
    s_put(line, "\"", 1);
}

static void s_put_field(s_line_t *line, const souk_log_field_t *field) {
    char number[24];
    s_put_text(line, ",");
    s_put_string(line, souk_str_of(field->name));
    s_put_text(line, ":");
    switch (field->kind) {
    case SOUK_LOG_STR:
        s_put_string(line, field->text);
        break;
    case SOUK_LOG_INT:
        snprintf(number, sizeof(number), "%" PRId64, field->integer);
        s_put_text(line, number);
        break;
    case SOUK_LOG_BOOL:
        s_put_text(line, field->integer != 0 ? "true" : "false");
        break;
    }
}

static void s_write(int fd, const char *data, size_t size) {
    ssize_t written;
    do {
        written = write(fd, data, size);
    } while (written < 0 && errno == EINTR);
    /* A log that cannot be written has nobody to be told about it. */
}

void souk_log_write(souk_log_level_t level, const char *event, const souk_log_field_t *fields,
                    size_t fields_count) {
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    char time_text[SOUK_TIME_TEXT_BYTES];
    s_line_t line = {.size = 0, .full = false};
    souk_time_format(souk_clock_unix_us(), time_text);
    s_put_text(&line, "{\"ts\":\"");
    s_put_text(&line, time_text);
    s_put_text(&line, "\",\"level\":\"");
    s_put_text(&line, levels[level]);
    s_put_text(&line, "\",\"event\":");
    s_put_string(&line, souk_str_of(event));
    s_put_text(&line, ",\"process\":");
    s_put_string(&line, souk_str_of(s_process));
    bool truncated = false;
    for (size_t i = 0; i < fields_count; i++) {
        size_t mark = line.size;
        s_put_field(&line, &fields[i]);
        if (line.full) {
            line.size = mark;
            line.full = false;
            truncated = true;
        }
    }
    const char *tail = truncated ? ",\"truncated\":true}\n" : "}\n";
    memcpy(line.data + line.size, tail, strlen(tail));
    line.size += strlen(tail);
    s_write(atomic_load(&s_fd), line.data, line.size);
}
