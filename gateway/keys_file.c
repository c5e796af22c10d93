#include "gateway/keys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "souk/arena.h"
#include "souk/buf.h"
#include "souk/json.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define ARENA_BYTES_MAX (8 * 1024 * 1024)

struct souk_keys_file {
    char *path;
    souk_keys_t *set;
    bool looked;
    struct stat seen; /* zero: there was no file */
};

static souk_keys_t *s_empty(void) {
    souk_keys_t *set = souk_keys_new();
    bool sealed = souk_keys_seal(set);
    souk_assert(sealed);
    return set;
}

souk_keys_file_t *souk_keys_file_new(const char *path) {
    souk_keys_file_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->path = strdup(path);
    souk_assert(self->path != NULL);
    self->set = s_empty();
    return self;
}

void souk_keys_file_destroy(souk_keys_file_t **self_p) {
    souk_keys_file_t *self = *self_p;
    if (self != NULL) {
        souk_keys_destroy(&self->set);
        free(self->path);
        free(self);
        *self_p = NULL;
    }
}

const souk_keys_t *souk_keys_file_set(const souk_keys_file_t *self) {
    return self->set;
}

static void s_replace(souk_keys_file_t *self, souk_keys_t *set) {
    souk_keys_destroy(&self->set);
    self->set = set;
}

/* ---- reading ---- */

typedef struct {
    souk_json_reader_t json;
    souk_json_token_t token;
    const char *cause;
} reader_t;

typedef struct {
    souk_key_t key;
    bool has_hash;
    souk_str_t scopes[SOUK_KEY_SCOPES_MAX];
} row_t;

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

static bool s_read_hash(reader_t *reader, row_t *row) {
    if (!s_next_is(reader, SOUK_JSON_STRING, "sha256 must be 64 hexadecimal digits")) {
        return false;
    }
    size_t bytes = 0;
    int bad = reader->token.text.size != 2 * sizeof(row->key.hash) ||
              sodium_hex2bin(row->key.hash, sizeof(row->key.hash), reader->token.text.data,
                             reader->token.text.size, NULL, &bytes, NULL) != 0;
    row->has_hash = !bad && bytes == sizeof(row->key.hash);
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
        if (reader->token.kind != SOUK_JSON_STRING ||
            row->key.scopes_count == SOUK_KEY_SCOPES_MAX) {
            return s_bad(reader, "scopes must be an array of at most 64 strings");
        }
        row->scopes[row->key.scopes_count++] = reader->token.text;
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
        row->key.id = reader->token.text;
    }
    return true;
}

static bool s_add(reader_t *reader, row_t *row, souk_keys_t *set) {
    char subject[SOUK_KEY_ID_BYTES_MAX + 4] = "key_";
    if (row->key.id.size == 0 || !row->has_hash) {
        return s_bad(reader, "a key lacks id or sha256");
    }
    if (row->key.id.size <= SOUK_KEY_ID_BYTES_MAX) {
        memcpy(subject + 4, row->key.id.data, row->key.id.size);
        row->key.subject = (souk_str_t){subject, row->key.id.size + 4};
    }
    row->key.scopes = row->scopes;
    return souk_keys_add(set, &row->key, &reader->cause);
}

static bool s_read_key(reader_t *reader, souk_keys_t *set) {
    row_t row = {.has_hash = false};
    while (s_next(reader)) {
        if (reader->token.kind == SOUK_JSON_OBJECT_END) {
            return s_add(reader, &row, set);
        }
        if (!s_read_field(reader, &row)) {
            return false;
        }
    }
    return false;
}

static bool s_read_set(reader_t *reader, souk_keys_t *set) {
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
    return souk_keys_seal(set) || s_bad(reader, "an id is given twice");
}

souk_keys_change_t souk_keys_file_parse(souk_keys_file_t *self, souk_str_t text,
                                        const char **ret_cause) {
    souk_keys_t *set = souk_keys_new();
    souk_arena_t *arena = souk_arena_new(ARENA_BYTES_MAX, 0);
    reader_t reader = {.cause = NULL};
    souk_json_reader_init(&reader.json, text, arena);
    bool sound = s_read_set(&reader, set);
    souk_arena_destroy(&arena);
    if (!sound) {
        *ret_cause = reader.cause;
        souk_keys_destroy(&set);
        return SOUK_KEYS_BAD;
    }
    s_replace(self, set);
    return SOUK_KEYS_LOADED;
}

/* ---- following the file ---- */

static bool s_same(const struct stat *a, const struct stat *b) {
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_size == b->st_size && a->st_ino == b->st_ino;
}

static souk_keys_change_t s_read_file(souk_keys_file_t *self, int fd, const char **ret_cause) {
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
        change = souk_keys_file_parse(self, souk_buf_str(&text), ret_cause);
    } else {
        *ret_cause = got < 0 ? "it cannot be read" : "it is too large";
    }
    souk_buf_done(&text);
    return change;
}

souk_keys_change_t souk_keys_file_refresh(souk_keys_file_t *self, const char **ret_cause) {
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
            s_replace(self, s_empty());
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
