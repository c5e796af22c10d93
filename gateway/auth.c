#include "gateway/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "souk/arena.h"
#include "souk/buf.h"
#include "souk/json.h"
#include "souk/mp.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define ARENA_BYTES_MAX (8 * 1024 * 1024)
#define SECRET_BYTES_MIN 16
#define SECRET_BYTES_MAX 128

typedef struct {
    souk_key_t key;
    uint8_t hash[crypto_hash_sha256_BYTES];
    bool has_hash;
    size_t scopes_count;
    souk_str_t scopes[SOUK_KEY_SCOPES_MAX];
} row_t;

typedef struct {
    souk_arena_t *arena;
    row_t *rows; /* by id */
    size_t count;
} set_t;

struct souk_keys {
    char *path;
    set_t set;
    bool looked;
    struct stat seen; /* zero: there was no file */
};

static void s_set_done(set_t *set) {
    free(set->rows);
    souk_arena_destroy(&set->arena);
    *set = (set_t){.arena = NULL};
}

souk_keys_t *souk_keys_new(const char *path) {
    souk_keys_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->path = strdup(path);
    souk_assert(self->path != NULL);
    return self;
}

void souk_keys_destroy(souk_keys_t **self_p) {
    souk_keys_t *self = *self_p;
    if (self != NULL) {
        s_set_done(&self->set);
        free(self->path);
        free(self);
        *self_p = NULL;
    }
}

size_t souk_keys_count(const souk_keys_t *self) {
    return self->set.count;
}

/* ---- reading ---- */

typedef struct {
    souk_json_reader_t json;
    souk_json_token_t token;
    const char *cause;
} reader_t;

static bool s_bad(reader_t *reader, const char *cause) {
    reader->cause = cause;
    return false;
}

static bool s_next(reader_t *reader) {
    souk_err_t err = souk_json_next(&reader->json, &reader->token);
    if (err == SOUK_OK) {
        return true;
    }
    return s_bad(reader, err == SOUK_ERR_MALFORMED && reader->json.cause != NULL
                             ? reader->json.cause
                             : "it is too large");
}

static bool s_next_is(reader_t *reader, souk_json_kind_t kind, const char *cause) {
    return s_next(reader) && (reader->token.kind == kind || s_bad(reader, cause));
}

static bool s_word(souk_str_t text, size_t min, size_t max, const char *also) {
    if (text.size < min || text.size > max) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(also, c) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool s_read_hash(reader_t *reader, row_t *row) {
    if (!s_next_is(reader, SOUK_JSON_STRING, "sha256 must be 64 hexadecimal digits")) {
        return false;
    }
    size_t bytes = 0;
    int bad = reader->token.text.size != 2 * sizeof(row->hash) ||
              sodium_hex2bin(row->hash, sizeof(row->hash), reader->token.text.data,
                             reader->token.text.size, NULL, &bytes, NULL) != 0;
    row->has_hash = !bad && bytes == sizeof(row->hash);
    return row->has_hash || s_bad(reader, "sha256 must be 64 hexadecimal digits");
}

static bool s_read_scopes(reader_t *reader, row_t *row) {
    if (!s_next_is(reader, SOUK_JSON_ARRAY, "scopes must be an array of strings")) {
        return false;
    }
    while (s_next(reader)) {
        if (reader->token.kind == SOUK_JSON_ARRAY_END) {
            return true;
        }
        if (reader->token.kind != SOUK_JSON_STRING || row->scopes_count == SOUK_KEY_SCOPES_MAX ||
            reader->token.text.size == 0 || reader->token.text.size > 64) {
            return s_bad(reader, "scopes must be an array of at most 32 strings");
        }
        row->scopes[row->scopes_count++] = souk_arena_copy(reader->json.arena, reader->token.text);
    }
    return false;
}

static bool s_read_field(reader_t *reader, row_t *row) {
    souk_str_t name = reader->token.text;
    if (souk_str_equal(name, SOUK_STR("sha256"))) {
        return s_read_hash(reader, row);
    }
    if (souk_str_equal(name, SOUK_STR("scopes"))) {
        return s_read_scopes(reader, row);
    }
    bool is_id = souk_str_equal(name, SOUK_STR("id"));
    if (!is_id && !souk_str_equal(name, SOUK_STR("name"))) {
        return s_bad(reader, "a key has a member other than id, sha256, scopes, name");
    }
    if (!s_next_is(reader, SOUK_JSON_STRING, "id and name must be strings")) {
        return false;
    }
    if (is_id) {
        if (!s_word(reader->token.text, 1, SOUK_KEY_ID_BYTES_MAX, "-")) {
            return s_bad(reader, "id must be 1 to 40 letters, digits or '-'");
        }
        row->key.id = souk_arena_copy(reader->json.arena, reader->token.text);
    }
    return true;
}

static bool s_encode_principal(souk_arena_t *arena, row_t *row) {
    souk_buf_t buf;
    char sub[SOUK_KEY_ID_BYTES_MAX + 4] = "key_";
    memcpy(sub + 4, row->key.id.data, row->key.id.size);
    souk_buf_init(&buf, 16 * 1024);
    souk_mp_write_map(&buf, 3);
    souk_mp_write_str(&buf, SOUK_STR("sub"));
    souk_mp_write_str(&buf, (souk_str_t){sub, row->key.id.size + 4});
    souk_mp_write_str(&buf, SOUK_STR("kind"));
    souk_mp_write_str(&buf, SOUK_STR("api_key"));
    souk_mp_write_str(&buf, SOUK_STR("scopes"));
    souk_mp_write_array(&buf, (uint32_t)row->scopes_count);
    for (size_t i = 0; i < row->scopes_count; i++) {
        souk_mp_write_str(&buf, row->scopes[i]);
    }
    row->key.principal = souk_arena_copy(arena, souk_buf_str(&buf));
    bool whole = !buf.overflow && !souk_arena_overflowed(arena);
    souk_buf_done(&buf);
    return whole;
}

static bool s_read_key(reader_t *reader, set_t *set) {
    if (set->count == SOUK_KEYS_MAX) {
        return s_bad(reader, "there are more than 1024 keys");
    }
    if (set->count % 64 == 0) {
        row_t *rows = realloc(set->rows, (set->count + 64) * sizeof(*rows));
        souk_assert(rows != NULL);
        set->rows = rows;
    }
    row_t *row = &set->rows[set->count];
    memset(row, 0, sizeof(*row));
    while (s_next(reader)) {
        if (reader->token.kind == SOUK_JSON_OBJECT_END) {
            if (row->key.id.size == 0 || !row->has_hash) {
                return s_bad(reader, "a key lacks id or sha256");
            }
            set->count++;
            return s_encode_principal(reader->json.arena, row) || s_bad(reader, "it is too large");
        }
        if (!s_read_field(reader, row)) {
            return false;
        }
    }
    return false;
}

static int s_by_id(const void *a, const void *b) {
    souk_str_t left = ((const row_t *)a)->key.id;
    souk_str_t right = ((const row_t *)b)->key.id;
    size_t size = left.size < right.size ? left.size : right.size;
    int order = memcmp(left.data, right.data, size);
    return order != 0 ? order : (left.size > right.size) - (left.size < right.size);
}

static bool s_read_set(reader_t *reader, set_t *set) {
    const char *shape = "it must be {\"keys\": [{...}, ...]}";
    if (!s_next_is(reader, SOUK_JSON_OBJECT, shape) || !s_next_is(reader, SOUK_JSON_KEY, shape) ||
        !(souk_str_equal(reader->token.text, SOUK_STR("keys")) || s_bad(reader, shape)) ||
        !s_next_is(reader, SOUK_JSON_ARRAY, shape)) {
        return false;
    }
    while (s_next(reader) && reader->token.kind != SOUK_JSON_ARRAY_END) {
        if (reader->token.kind != SOUK_JSON_OBJECT) {
            return s_bad(reader, shape);
        }
        if (!s_read_key(reader, set)) {
            return false;
        }
    }
    if (reader->cause != NULL || !s_next_is(reader, SOUK_JSON_OBJECT_END, shape) ||
        !s_next_is(reader, SOUK_JSON_END, shape)) {
        return false;
    }
    if (set->count > 0) {
        qsort(set->rows, set->count, sizeof(set->rows[0]), s_by_id);
    }
    for (size_t i = 1; i < set->count; i++) {
        if (s_by_id(&set->rows[i - 1], &set->rows[i]) == 0) {
            return s_bad(reader, "an id is given twice");
        }
    }
    return true;
}

souk_keys_change_t souk_keys_parse(souk_keys_t *self, souk_str_t text, const char **ret_cause) {
    set_t set = {.arena = souk_arena_new(ARENA_BYTES_MAX, 0)};
    reader_t reader = {.cause = NULL};
    souk_json_reader_init(&reader.json, text, set.arena);
    if (!s_read_set(&reader, &set)) {
        *ret_cause = reader.cause;
        s_set_done(&set);
        return SOUK_KEYS_BAD;
    }
    s_set_done(&self->set);
    self->set = set;
    return SOUK_KEYS_LOADED;
}

/* ---- following the file ---- */

static bool s_same(const struct stat *a, const struct stat *b) {
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_size == b->st_size && a->st_ino == b->st_ino;
}

static souk_keys_change_t s_read_file(souk_keys_t *self, int fd, const char **ret_cause) {
    souk_buf_t text;
    souk_buf_init(&text, FILE_BYTES_MAX);
    ssize_t got = 1;
    while (got > 0) {
        uint8_t *room = souk_buf_reserve(&text, 4096);
        if (room == NULL) {
            break;
        }
        got = read(fd, room, 4096);
        text.size += got > 0 ? (size_t)got : 0;
    }
    souk_keys_change_t change = SOUK_KEYS_BAD;
    if (got == 0) {
        change = souk_keys_parse(self, souk_buf_str(&text), ret_cause);
    } else {
        *ret_cause = got < 0 ? "it cannot be read" : "it is too large";
    }
    souk_buf_done(&text);
    return change;
}

souk_keys_change_t souk_keys_refresh(souk_keys_t *self, const char **ret_cause) {
    struct stat now = {.st_ino = 0};
    int fd = open(self->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool gone = fd < 0 && errno == ENOENT;
    if (fd >= 0) {
        (void)fstat(fd, &now);
    } else if (!gone) {
        now.st_ino = 1; /* unreadable: told once, until it changes */
    }
    souk_keys_change_t change = SOUK_KEYS_SAME;
    if (!self->looked || !s_same(&self->seen, &now)) {
        if (fd >= 0) {
            change = s_read_file(self, fd, ret_cause);
        } else if (gone) {
            s_set_done(&self->set);
            change = SOUK_KEYS_GONE;
        } else {
            *ret_cause = "it cannot be opened";
            change = SOUK_KEYS_BAD;
        }
    }
    self->looked = true;
    self->seen = now;
    if (fd >= 0) {
        close(fd);
    }
    return change;
}

/* ---- checking ---- */

static const row_t *s_find(const souk_keys_t *self, souk_str_t id) {
    row_t wanted = {.key = {.id = id}};
    if (self->set.count == 0) {
        return NULL;
    }
    return bsearch(&wanted, self->set.rows, self->set.count, sizeof(wanted), s_by_id);
}

static bool s_has_scope(const row_t *row, souk_str_t scope) {
    for (size_t i = 0; i < row->scopes_count; i++) {
        if (souk_str_equal(row->scopes[i], SOUK_STR("*")) ||
            souk_str_equal(row->scopes[i], scope)) {
            return true;
        }
    }
    return false;
}

/* Bearer souk_<id>_<secret> to its parts. */
static bool s_split(souk_str_t authorization, souk_str_t *ret_id, souk_str_t *ret_secret) {
    static const char scheme[] = "bearer ";
    const size_t scheme_size = sizeof(scheme) - 1;
    if (authorization.size < scheme_size ||
        strncasecmp(authorization.data, scheme, scheme_size) != 0) {
        return false;
    }
    souk_str_t token = {authorization.data + scheme_size, authorization.size - scheme_size};
    while (token.size > 0 && token.data[0] == ' ') {
        token.data++;
        token.size--;
    }
    if (token.size < 5 || memcmp(token.data, "souk_", 5) != 0) {
        return false;
    }
    const char *id = token.data + 5;
    const char *mark = memchr(id, '_', token.size - 5);
    if (mark == NULL) {
        return false;
    }
    *ret_id = (souk_str_t){id, (size_t)(mark - id)};
    *ret_secret = (souk_str_t){mark + 1, token.size - 6 - ret_id->size};
    return s_word(*ret_id, 1, SOUK_KEY_ID_BYTES_MAX, "-") &&
           s_word(*ret_secret, SECRET_BYTES_MIN, SECRET_BYTES_MAX, "_-");
}

souk_err_t souk_keys_check(const souk_keys_t *self, souk_str_t authorization, souk_str_t scope,
                           const souk_key_t **ret_key) {
    souk_str_t id, secret;
    if (authorization.data == NULL || !s_split(authorization, &id, &secret)) {
        return SOUK_ERR_UNAUTHENTICATED;
    }
    const row_t *row = s_find(self, id);
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, (const uint8_t *)secret.data, secret.size);
    if (row == NULL || sodium_memcmp(hash, row->hash, sizeof(hash)) != 0) {
        return SOUK_ERR_UNAUTHENTICATED;
    }
    *ret_key = &row->key;
    return s_has_scope(row, scope) ? SOUK_OK : SOUK_ERR_FORBIDDEN;
}
