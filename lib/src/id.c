/* Random bytes are taken from the kernel 256 at a time and wiped as they are handed out. A child of
 * fork() must not repeat its parent's, so a fork makes every thread's rest stale. */
#include "souk/id.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "souk/clock.h"

#define S_PREFIX_CHARS_MAX 12
#define S_TIME_CHARS 10
#define S_TIME_MS_MAX (((int64_t)1 << 48) - 1)
#define S_RANDOM_BYTES 10 /* of a ULID */

static const char s_alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static atomic_uint s_forks;
static pthread_once_t s_once = PTHREAD_ONCE_INIT;

static _Thread_local struct {
    uint8_t bytes[256];
    size_t left; /* at the end of bytes */
    unsigned forks;
} s_pool;

static _Thread_local struct {
    int64_t ms;
    uint8_t random[S_RANDOM_BYTES]; /* big-endian */
} s_last;

static void s_count_fork(void) {
    atomic_fetch_add_explicit(&s_forks, 1, memory_order_relaxed);
}

static void s_watch_forks(void) {
    int rc = pthread_atfork(NULL, NULL, s_count_fork);
    souk_assert(rc == 0);
}

static void s_from_kernel(uint8_t *at, size_t bytes) {
    while (bytes > 0) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        souk_assert(got > 0);
        at += got;
        bytes -= (size_t)got;
    }
}

void souk_random(void *ret_data, size_t bytes) {
    if (bytes > sizeof(s_pool.bytes) / 4) {
        s_from_kernel(ret_data, bytes);
        return;
    }
    pthread_once(&s_once, s_watch_forks);
    unsigned forks = atomic_load_explicit(&s_forks, memory_order_relaxed);
    if (s_pool.left < bytes || s_pool.forks != forks) {
        s_from_kernel(s_pool.bytes, sizeof(s_pool.bytes));
        s_pool.left = sizeof(s_pool.bytes);
        s_pool.forks = forks;
    }
    if (bytes > 0) {
        uint8_t *at = s_pool.bytes + sizeof(s_pool.bytes) - s_pool.left;
        memcpy(ret_data, at, bytes);
        explicit_bzero(at, bytes);
        s_pool.left -= bytes;
    }
}

void souk_hex(const void *data, size_t bytes, char *ret_hex) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++) {
        ret_hex[2 * i] = digits[at[i] >> 4];
        ret_hex[2 * i + 1] = digits[at[i] & 15];
    }
}

/* Adds 1 to 2^32 to the last random part, so that the next id of this millisecond is greater but
 * not guessable. False when it does not fit in 80 bits. */
static bool s_ascend(void) {
    uint8_t step_bytes[4];
    souk_random(step_bytes, sizeof(step_bytes));
    uint64_t carry = 1;
    for (size_t i = 0; i < sizeof(step_bytes); i++) {
        carry += (uint64_t)step_bytes[i] << (8 * i);
    }
    for (size_t i = S_RANDOM_BYTES; i > 0; i--) {
        carry += s_last.random[i - 1];
        s_last.random[i - 1] = (uint8_t)(carry & 0xff);
        carry >>= 8;
    }
    return carry == 0;
}

static void s_write_time(uint64_t ms, char *at) {
    for (size_t i = S_TIME_CHARS; i > 0; i--) {
        at[i - 1] = s_alphabet[ms & 31];
        ms >>= 5;
    }
}

size_t souk_id_new(const char *prefix, char ret_id[SOUK_ID_BYTES_MAX]) {
    size_t prefix_size = strlen(prefix);
    souk_assert(prefix_size <= S_PREFIX_CHARS_MAX);
    int64_t now_ms = souk_clock_unix_us() / 1000;
    /* A clock that is set back does not break the order: the last millisecond goes on. */
    if (now_ms > s_last.ms) {
        s_last.ms = now_ms;
        souk_random(s_last.random, sizeof(s_last.random));
    } else if (!s_ascend()) {
        s_last.ms++;
        souk_random(s_last.random, sizeof(s_last.random));
    }
    memcpy(ret_id, prefix, prefix_size);
    char *at = ret_id + prefix_size;
    s_write_time((uint64_t)s_last.ms, at);
    /* Five bytes are eight characters. */
    at += S_TIME_CHARS;
    for (size_t half = 0; half < 2; half++) {
        uint64_t bits = 0;
        for (size_t i = 0; i < 5; i++) {
            bits = bits << 8 | s_last.random[5 * half + i];
        }
        for (size_t i = 8; i > 0; i--) {
            at[8 * half + i - 1] = s_alphabet[bits & 31];
            bits >>= 5;
        }
    }
    at[SOUK_ULID_CHARS - S_TIME_CHARS] = '\0';
    return prefix_size + SOUK_ULID_CHARS;
}

size_t souk_id_floor(const char *prefix, int64_t unix_ms, char ret_id[SOUK_ID_BYTES_MAX]) {
    size_t prefix_size = strlen(prefix);
    souk_assert(prefix_size <= S_PREFIX_CHARS_MAX);
    int64_t ms = unix_ms > 0 ? unix_ms : 0;
    memcpy(ret_id, prefix, prefix_size);
    char *at = ret_id + prefix_size;
    memset(at, s_alphabet[0], SOUK_ULID_CHARS);
    s_write_time((uint64_t)(ms < S_TIME_MS_MAX ? ms : S_TIME_MS_MAX), at);
    at[SOUK_ULID_CHARS] = '\0';
    return prefix_size + SOUK_ULID_CHARS;
}

bool souk_id_valid(souk_str_t id, const char *prefix) {
    size_t prefix_size = strlen(prefix);
    if (id.size != prefix_size + SOUK_ULID_CHARS || memcmp(id.data, prefix, prefix_size) != 0) {
        return false;
    }
    const char *at = id.data + prefix_size;
    for (size_t i = 0; i < SOUK_ULID_CHARS; i++) {
        if (at[i] == '\0' || strchr(s_alphabet, at[i]) == NULL) {
            return false;
        }
    }
    /* 26 characters hold 130 bits, a ULID has 128. */
    return at[0] <= '7';
}
