#include "password.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "souk/json.h"
#include "souk/text.h"
#include "souk/thread.h"

_Static_assert(crypto_pwhash_STRBYTES <= USERS_HASH_BYTES_MAX, "a hash has room");

/* ---- policy ---- */

/* The ones that guessers try first among those that are long enough (of the public lists of leaked
 * passwords), folded. */
static const char *const s_common[] = {
    "00000000",    "0123456789",   "11111111",    "1111111111",    "11223344",   "112233445566",
    "12121212",    "123123123",    "12341234",    "12344321",      "12345678",   "123456789",
    "1234567890",  "123456789a",   "12345678910", "1234qwer",      "123qweasd",  "147258369",
    "1q2w3e4r",    "1q2w3e4r5t",   "1qaz2wsx",    "1qaz2wsx3edc",  "22222222",   "55555555",
    "66666666",    "77777777",     "87654321",    "88888888",      "987654321",  "9876543210",
    "99999999",    "a1234567",     "a12345678",   "aa123456",      "aa12345678", "abc12345",
    "abcd1234",    "abcdefgh",     "adminadmin",  "administrator", "asdasdasd",  "asdf1234",
    "asdfasdf",    "asdfghjk",     "asdfghjkl",   "baseball",      "basketball", "butterfly",
    "changeme",    "changeme1",    "chocolate",   "computer",      "dearbook",   "dragon123",
    "football",    "football1",    "google123",   "hello123",      "iloveyou",   "iloveyou1",
    "internet",    "jennifer",     "letmein1",    "letmein123",    "liverpool",  "love1234",
    "michelle",    "minecraft",    "monkey123",   "p@ssw0rd",      "p@ssword",   "pa55word",
    "passw0rd",    "password",     "password!",   "password1",     "password1!", "password12",
    "password123", "password1234", "pokemon1",    "princess",      "princess1",  "q1w2e3r4",
    "qazwsxedc",   "qwer1234",     "qwerasdf",    "qwerty12",      "qwerty123",  "qwerty1234",
    "qwerty12345", "qwertyui",     "qwertyuiop",  "samsung1",      "secret123",  "spiderman",
    "starwars",    "sunshine",     "sunshine1",   "superman",      "superman1",  "test1234",
    "testtest",    "trustno1",     "victoria",    "welcome1",      "welcome123", "whatever",
    "zaq12wsx",    "zaq1zaq1",     "zxcvbnm1",    "zxcvbnm123",
};

souk_err_t users_password_form(souk_arena_t *arena, souk_str_t text, souk_str_t *ret_password) {
    if (text.size > USERS_PASSWORD_BYTES_MAX) {
        return SOUK_ERR_VALIDATION;
    }
    return souk_text_nfc(arena, text, ret_password);
}

static bool s_is_one_character(souk_str_t password) {
    size_t first = 1;
    while (first < password.size && ((unsigned char)password.data[first] & 0xc0) == 0x80) {
        first++;
    }
    for (size_t i = first; i < password.size; i++) {
        if (password.data[i] != password.data[i - first]) {
            return false;
        }
    }
    return true;
}

const char *users_password_objection(souk_arena_t *arena, souk_str_t password,
                                     souk_str_t email_folded) {
    size_t points = souk_utf8_count(password);
    if (points < USERS_PASSWORD_POINTS_MIN) {
        return "must have at least 8 characters";
    }
    if (points > USERS_PASSWORD_POINTS_MAX) {
        return "must have at most 128 characters";
    }
    if (s_is_one_character(password)) {
        return "must not be one character repeated";
    }
    souk_str_t folded;
    if (souk_text_fold(arena, password, &folded) != SOUK_OK) {
        return "must be text";
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(s_common); i++) {
        if (souk_str_equal(folded, souk_str_of(s_common[i]))) {
            return "is one of the first that guessers try";
        }
    }
    if (email_folded.data == NULL) {
        return NULL;
    }
    const char *at = memchr(email_folded.data, '@', email_folded.size);
    size_t local = at != NULL ? (size_t)(at - email_folded.data) : 0;
    bool is_email = souk_str_equal(folded, email_folded) ||
                    souk_str_equal(folded, (souk_str_t){.data = email_folded.data, .size = local});
    return is_email ? "must not be the email address" : NULL;
}

/* ---- hashes ---- */

struct users_hasher {
    users_hasher_options_t options;
    char nobody[USERS_HASH_BYTES_MAX];
    pthread_mutex_t mutex;
    pthread_cond_t left;
    uint32_t running; /* under mutex */
    uint32_t waiting; /* under mutex */
    uint64_t count;   /* under mutex */
};

/* False only when the memory is not there. */
static bool s_hash(const users_hasher_t *self, souk_str_t password,
                   char ret_hash[USERS_HASH_BYTES_MAX]) {
    memset(ret_hash, 0, USERS_HASH_BYTES_MAX);
    return crypto_pwhash_str_alg(ret_hash, password.data, password.size, self->options.operations,
                                 self->options.memory_bytes, crypto_pwhash_ALG_ARGON2ID13) == 0;
}

users_hasher_t *users_hasher_new(const users_hasher_options_t *options) {
    souk_assert(options->running_max > 0 && options->inside_max >= options->running_max);
    souk_assert(sodium_init() >= 0);
    users_hasher_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->options = *options;
    char password[32];
    randombytes_buf(password, sizeof(password));
    bool hashed =
        s_hash(self, (souk_str_t){.data = password, .size = sizeof(password)}, self->nobody);
    souk_assert(hashed);
    sodium_memzero(password, sizeof(password));
    souk_cond_init(&self->left);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    return self;
}

void users_hasher_destroy(users_hasher_t **self_p) {
    users_hasher_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    souk_assert(self->running == 0);
    pthread_cond_destroy(&self->left);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

static souk_err_t s_enter(users_hasher_t *self, uint32_t timeout_ms) {
    uint32_t wait_ms = timeout_ms < self->options.wait_ms ? timeout_ms : self->options.wait_ms;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + (int64_t)wait_ms * 1000000;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&self->mutex);
    bool full = self->running + self->waiting >= self->options.inside_max;
    int rc = full ? ETIMEDOUT : 0;
    self->waiting++;
    while (rc == 0 && self->running == self->options.running_max) {
        rc = pthread_cond_timedwait(&self->left, &self->mutex, &until);
    }
    self->waiting--;
    bool entered = !full && self->running < self->options.running_max;
    if (entered) {
        self->running++;
        self->count++;
    }
    pthread_mutex_unlock(&self->mutex);
    return entered ? SOUK_OK : SOUK_ERR_OVERLOADED;
}

static void s_leave(users_hasher_t *self) {
    pthread_mutex_lock(&self->mutex);
    self->running--;
    pthread_cond_signal(&self->left);
    pthread_mutex_unlock(&self->mutex);
}

souk_err_t users_hasher_make(users_hasher_t *self, souk_str_t password, uint32_t timeout_ms,
                             char ret_hash[USERS_HASH_BYTES_MAX]) {
    SOUK_TRY(s_enter(self, timeout_ms));
    char hash[USERS_HASH_BYTES_MAX];
    bool made = s_hash(self, password, hash);
    s_leave(self);
    if (!made) {
        return SOUK_ERR_OVERLOADED;
    }
    memcpy(ret_hash, hash, sizeof(hash));
    return SOUK_OK;
}

souk_err_t users_hasher_verify(users_hasher_t *self, souk_str_t hash, souk_str_t password,
                               uint32_t timeout_ms, bool *ret_right) {
    char text[USERS_HASH_BYTES_MAX] = {0};
    if (hash.data == NULL || hash.size >= sizeof(text)) {
        memcpy(text, self->nobody, sizeof(text));
    } else {
        memcpy(text, hash.data, hash.size);
    }
    SOUK_TRY(s_enter(self, timeout_ms));
    bool right = crypto_pwhash_str_verify(text, password.data, password.size) == 0;
    s_leave(self);
    *ret_right = right && hash.data != NULL;
    return SOUK_OK;
}

bool users_hasher_outdated(const users_hasher_t *self, souk_str_t hash) {
    char text[USERS_HASH_BYTES_MAX] = {0};
    if (hash.size >= sizeof(text)) {
        return true;
    }
    memcpy(text, hash.data, hash.size);
    return crypto_pwhash_str_needs_rehash(text, self->options.operations,
                                          self->options.memory_bytes) != 0;
}

uint32_t users_hasher_running(users_hasher_t *self) {
    pthread_mutex_lock(&self->mutex);
    uint32_t running = self->running;
    pthread_mutex_unlock(&self->mutex);
    return running;
}

uint64_t users_hasher_count(users_hasher_t *self) {
    pthread_mutex_lock(&self->mutex);
    uint64_t count = self->count;
    pthread_mutex_unlock(&self->mutex);
    return count;
}
