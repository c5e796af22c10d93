/* Compiler attributes, assertions and the borrowed string: what every other header starts from. */
#ifndef SOUK_BASE_H
#define SOUK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SOUK_MUST_CHECK __attribute__((warn_unused_result))
#define SOUK_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define SOUK_UNUSED __attribute__((unused))
#define SOUK_NORETURN __attribute__((noreturn))

/* Calls fn(&variable) when the variable goes out of scope; fn takes a pointer to the pointer and
 * accepts NULL in it. */
#define SOUK_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Returns the error of a fallible call to the caller. */
#define SOUK_TRY(expr)                                                                             \
    do {                                                                                           \
        souk_err_t souk_try_err = (expr);                                                          \
        if (souk_try_err != SOUK_OK) {                                                             \
            return souk_try_err;                                                                   \
        }                                                                                          \
    } while (0)

/* States what only a bug can make untrue; stays on in release builds. Never for input. */
#define souk_assert(expr)                                                                          \
    ((expr) ? (void)0 : souk_assert_failed(#expr, __FILE__, __LINE__, __func__))

#define SOUK_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Prints the failed assertion on standard error and aborts. */
SOUK_NORETURN void souk_assert_failed(const char *expr, const char *file, int line,
                                      const char *function);

/* The project's version, such as "0.1.0". */
const char *souk_version(void);

/* Bytes that somebody else owns; not terminated by NUL. data may be NULL only when size is 0. */
typedef struct {
    const char *data;
    size_t size;
} souk_str_t;

#define SOUK_STR(literal) ((souk_str_t){.data = (literal), .size = sizeof(literal) - 1})

static inline souk_str_t souk_str_of(const char *text) {
    return (souk_str_t){.data = text, .size = text != NULL ? strlen(text) : 0};
}

static inline bool souk_str_equal(souk_str_t a, souk_str_t b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
