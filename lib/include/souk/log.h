/* One JSON line per event on standard error: {"ts","level","event","process",...fields}. Event ids
 * are stable: GW-, BR-, WK-, CA- and so on plus a word (docs/runbooks/events.md lists them).
 * Libraries do not log; the boundary logs once. Thread-safe; one write per line. */
#ifndef SOUK_LOG_H
#define SOUK_LOG_H

#include "souk/base.h"

typedef enum { SOUK_LOG_DEBUG, SOUK_LOG_INFO, SOUK_LOG_WARN, SOUK_LOG_ERROR } souk_log_level_t;

typedef struct {
    const char *name;
    enum { SOUK_LOG_STR, SOUK_LOG_INT, SOUK_LOG_BOOL } kind;
    souk_str_t text;
    int64_t integer;
} souk_log_field_t;

#define SOUK_F_STR(n, v) ((souk_log_field_t){.name = (n), .kind = SOUK_LOG_STR, .text = (v)})
#define SOUK_F_TEXT(n, v)                                                                          \
    ((souk_log_field_t){.name = (n), .kind = SOUK_LOG_STR, .text = souk_str_of(v)})
#define SOUK_F_INT(n, v)                                                                           \
    ((souk_log_field_t){.name = (n), .kind = SOUK_LOG_INT, .integer = (int64_t)(v)})
#define SOUK_F_BOOL(n, v) ((souk_log_field_t){.name = (n), .kind = SOUK_LOG_BOOL, .integer = (v)})

/* process: "gateway", "broker", "worker-catalog" ...; copied. fd: where lines go. */
void souk_log_init(const char *process, souk_log_level_t level, int fd);
bool souk_log_on(souk_log_level_t level);
void souk_log_write(souk_log_level_t level, const char *event, const souk_log_field_t *fields,
                    size_t fields_count);

/* souk_log(SOUK_LOG_INFO, "BR-WORKER-READY", SOUK_F_STR("worker", name), SOUK_F_INT("slots", n));
 * text is JSON-escaped, bad UTF-8 replaced; a line has at most 4 KiB. */
#define souk_log(level, event, ...)                                                                \
    do {                                                                                           \
        if (souk_log_on(level)) {                                                                  \
            const souk_log_field_t souk_log_fields[] = {__VA_ARGS__};                              \
            souk_log_write(level, event, souk_log_fields, SOUK_COUNT_OF(souk_log_fields));         \
        }                                                                                          \
    } while (0)

#endif
