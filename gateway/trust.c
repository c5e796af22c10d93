#include "gateway/trust.h"

#include <stdlib.h>

#include "gateway/jwt.h"
#include "souk/mp.h"

#define NAME_BYTES_MAX 256 /* of issuer and audience */

typedef struct {
    char kid[SOUK_JWT_KID_BYTES_MAX];
    size_t kid_size;
    EVP_PKEY *key;
} s_key_t;

struct souk_trust {
    _Atomic uint32_t refs;
    souk_trust_facts_t facts;
    char issuer[NAME_BYTES_MAX], audience[NAME_BYTES_MAX];
    size_t issuer_size, audience_size;
    s_key_t keys[SOUK_TRUST_KEYS_MAX];
    souk_keys_t *api_keys;
};

static souk_trust_t *s_new(void) {
    souk_trust_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    atomic_init(&self->refs, 1);
    self->api_keys = souk_keys_new();
    return self;
}

souk_trust_t *souk_trust_ref(souk_trust_t *self) {
    atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    return self;
}

void souk_trust_unref(souk_trust_t **self_p) {
    souk_trust_t *self = *self_p;
    *self_p = NULL;
    if (self == NULL || atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < self->facts.keys_count; i++) {
        EVP_PKEY_free(self->keys[i].key);
    }
    souk_keys_destroy(&self->api_keys);
    free(self);
}

/* ---- reading ---- */

typedef struct {
    souk_mp_cursor_t cursor;
    souk_trust_t *trust;
    bool unchanged, has_revision;
} reader_t;

static souk_err_t s_name(souk_mp_cursor_t *cursor, char *ret_text, size_t *ret_size) {
    souk_str_t text;
    SOUK_TRY(souk_mp_read_str(cursor, &text));
    if (text.size > NAME_BYTES_MAX) {
        return SOUK_ERR_BAD_REPLY;
    }
    memcpy(ret_text, text.data, text.size);
    *ret_size = text.size;
    return SOUK_OK;
}

static souk_err_t s_key_fields(souk_mp_cursor_t *cursor, souk_str_t *kid, souk_str_t *x,
                               souk_str_t *y) {
    uint32_t fields;
    SOUK_TRY(souk_mp_read_map(cursor, &fields));
    for (uint32_t i = 0; i < fields; i++) {
        souk_str_t name;
        SOUK_TRY(souk_mp_read_str(cursor, &name));
        if (souk_str_equal(name, SOUK_STR("kid"))) {
            SOUK_TRY(souk_mp_read_str(cursor, kid));
        } else if (souk_str_equal(name, SOUK_STR("x"))) {
            SOUK_TRY(souk_mp_read_str(cursor, x));
        } else if (souk_str_equal(name, SOUK_STR("y"))) {
            SOUK_TRY(souk_mp_read_str(cursor, y));
        } else {
            SOUK_TRY(souk_mp_skip(cursor));
        }
    }
    return SOUK_OK;
}

static void s_add_key(souk_trust_t *trust, souk_str_t kid, souk_str_t x, souk_str_t y) {
    souk_trust_facts_t *facts = &trust->facts;
    bool fits = facts->keys_count < SOUK_TRUST_KEYS_MAX && kid.size > 0 &&
                kid.size <= SOUK_JWT_KID_BYTES_MAX && souk_trust_key(trust, kid) == NULL;
    EVP_PKEY *key = fits ? souk_jwt_key_new(x, y) : NULL;
    if (key == NULL) {
        facts->skipped++;
        return;
    }
    s_key_t *row = &trust->keys[facts->keys_count++];
    memcpy(row->kid, kid.data, kid.size);
    row->kid_size = kid.size;
    row->key = key;
}

static souk_err_t s_keys(reader_t *reader) {
    uint32_t count;
    SOUK_TRY(souk_mp_read_array(&reader->cursor, &count));
    for (uint32_t i = 0; i < count; i++) {
        souk_str_t kid = {"", 0}, x = {"", 0}, y = {"", 0};
        SOUK_TRY(s_key_fields(&reader->cursor, &kid, &x, &y));
        s_add_key(reader->trust, kid, x, y);
    }
    return SOUK_OK;
}

typedef struct {
    souk_key_t key;
    souk_str_t hash;
    souk_str_t scopes[SOUK_KEY_SCOPES_MAX + 1]; /* the last says that there are too many */
} s_api_key_t;

static souk_err_t s_scopes(souk_mp_cursor_t *cursor, s_api_key_t *row) {
    uint32_t count;
    SOUK_TRY(souk_mp_read_array(cursor, &count));
    for (uint32_t i = 0; i < count; i++) {
        souk_str_t scope;
        SOUK_TRY(souk_mp_read_str(cursor, &scope));
        if (row->key.scopes_count < SOUK_COUNT_OF(row->scopes)) {
            row->scopes[row->key.scopes_count++] = scope;
        }
    }
    return SOUK_OK;
}

/* Whole seconds, rounded down: what has ended by any clock is not let in. */
static souk_err_t s_expiry(souk_mp_cursor_t *cursor, int64_t *ret_unix_s) {
    souk_mp_token_t token;
    int64_t unix_us;
    SOUK_TRY(souk_mp_read(cursor, &token));
    if (token.kind == SOUK_MP_NIL) {
        return SOUK_OK;
    }
    SOUK_TRY(souk_mp_time_of(&token, &unix_us));
    *ret_unix_s = unix_us > 1000000 ? unix_us / 1000000 : 1;
    return SOUK_OK;
}

static souk_err_t s_api_key_fields(souk_mp_cursor_t *cursor, s_api_key_t *row) {
    uint32_t fields;
    SOUK_TRY(souk_mp_read_map(cursor, &fields));
    for (uint32_t i = 0; i < fields; i++) {
        souk_str_t name;
        SOUK_TRY(souk_mp_read_str(cursor, &name));
        if (souk_str_equal(name, SOUK_STR("id"))) {
            SOUK_TRY(souk_mp_read_str(cursor, &row->key.id));
        } else if (souk_str_equal(name, SOUK_STR("subject"))) {
            SOUK_TRY(souk_mp_read_str(cursor, &row->key.subject));
        } else if (souk_str_equal(name, SOUK_STR("sha256"))) {
            SOUK_TRY(souk_mp_read_bin(cursor, &row->hash));
        } else if (souk_str_equal(name, SOUK_STR("scopes"))) {
            SOUK_TRY(s_scopes(cursor, row));
        } else if (souk_str_equal(name, SOUK_STR("expires_at"))) {
            SOUK_TRY(s_expiry(cursor, &row->key.expires_s));
        } else {
            SOUK_TRY(souk_mp_skip(cursor));
        }
    }
    return SOUK_OK;
}

static souk_err_t s_api_keys(reader_t *reader) {
    uint32_t count;
    SOUK_TRY(souk_mp_read_array(&reader->cursor, &count));
    for (uint32_t i = 0; i < count; i++) {
        s_api_key_t row = {.hash = {"", 0}};
        const char *cause;
        SOUK_TRY(s_api_key_fields(&reader->cursor, &row));
        row.key.scopes = row.scopes;
        bool fits = row.hash.size == sizeof(row.key.hash);
        if (fits) {
            memcpy(row.key.hash, row.hash.data, sizeof(row.key.hash));
        }
        if (!fits || !souk_keys_add(reader->trust->api_keys, &row.key, &cause)) {
            reader->trust->facts.skipped++;
        }
    }
    return SOUK_OK;
}

static souk_err_t s_field(reader_t *reader) {
    souk_mp_cursor_t *cursor = &reader->cursor;
    souk_trust_t *trust = reader->trust;
    souk_str_t name;
    SOUK_TRY(souk_mp_read_str(cursor, &name));
    if (souk_str_equal(name, SOUK_STR("revision"))) {
        reader->has_revision = true;
        return souk_mp_read_int(cursor, &trust->facts.revision);
    }
    if (souk_str_equal(name, SOUK_STR("unchanged"))) {
        return souk_mp_read_bool(cursor, &reader->unchanged);
    }
    if (souk_str_equal(name, SOUK_STR("issuer"))) {
        return s_name(cursor, trust->issuer, &trust->issuer_size);
    }
    if (souk_str_equal(name, SOUK_STR("audience"))) {
        return s_name(cursor, trust->audience, &trust->audience_size);
    }
    if (souk_str_equal(name, SOUK_STR("keys"))) {
        return s_keys(reader);
    }
    if (souk_str_equal(name, SOUK_STR("api_keys"))) {
        return s_api_keys(reader);
    }
    return souk_mp_skip(cursor);
}

static souk_err_t s_read(reader_t *reader) {
    uint32_t fields;
    SOUK_TRY(souk_mp_read_map(&reader->cursor, &fields));
    for (uint32_t i = 0; i < fields; i++) {
        SOUK_TRY(s_field(reader));
    }
    const souk_trust_t *trust = reader->trust;
    bool named = trust->issuer_size > 0 && trust->audience_size > 0;
    bool whole = reader->unchanged || named || trust->facts.keys_count == 0;
    return whole && reader->has_revision && souk_mp_at_end(&reader->cursor) ? SOUK_OK
                                                                            : SOUK_ERR_BAD_REPLY;
}

souk_err_t souk_trust_read(souk_str_t body, souk_trust_t **ret_self) {
    reader_t reader = {.trust = s_new()};
    souk_mp_cursor_init(&reader.cursor, body.data, body.size);
    souk_err_t err = s_read(&reader);
    if (err == SOUK_OK && !souk_keys_seal(reader.trust->api_keys)) {
        err = SOUK_ERR_BAD_REPLY; /* an id stands twice: which one is it? */
    }
    if (err != SOUK_OK || reader.unchanged) {
        souk_trust_unref(&reader.trust);
    }
    if (err != SOUK_OK) {
        return SOUK_ERR_BAD_REPLY;
    }
    if (reader.trust != NULL) {
        reader.trust->facts.api_keys_count = souk_keys_count(reader.trust->api_keys);
    }
    *ret_self = reader.trust;
    return SOUK_OK;
}

/* ---- looking ---- */

souk_trust_facts_t souk_trust_facts(const souk_trust_t *self) {
    return self->facts;
}

souk_str_t souk_trust_issuer(const souk_trust_t *self) {
    return (souk_str_t){self->issuer, self->issuer_size};
}

souk_str_t souk_trust_audience(const souk_trust_t *self) {
    return (souk_str_t){self->audience, self->audience_size};
}

EVP_PKEY *souk_trust_key(const souk_trust_t *self, souk_str_t kid) {
    for (size_t i = 0; i < self->facts.keys_count; i++) {
        const s_key_t *row = &self->keys[i];
        if (souk_str_equal((souk_str_t){row->kid, row->kid_size}, kid)) {
            return row->key;
        }
    }
    return NULL;
}

const souk_keys_t *souk_trust_api_keys(const souk_trust_t *self) {
    return self->api_keys;
}

/* ---- the board ---- */

void souk_trust_board_init(souk_trust_board_t *self) {
    int rc = pthread_mutex_init(&self->lock, NULL);
    souk_assert(rc == 0);
    self->newest = NULL;
    atomic_init(&self->generation, 0);
    atomic_init(&self->heard_us, 0);
    atomic_init(&self->wanted, false);
}

void souk_trust_board_done(souk_trust_board_t *self) {
    souk_trust_unref(&self->newest);
    pthread_mutex_destroy(&self->lock);
}

void souk_trust_board_put(souk_trust_board_t *self, souk_trust_t **trust_p, int64_t heard_us) {
    pthread_mutex_lock(&self->lock);
    atomic_store(&self->heard_us, heard_us);
    souk_trust_t *old = self->newest;
    self->newest = *trust_p;
    atomic_fetch_add(&self->generation, 1);
    pthread_mutex_unlock(&self->lock);
    *trust_p = NULL;
    souk_trust_unref(&old);
}

souk_trust_t *souk_trust_board_take(souk_trust_board_t *self, uint64_t *ret_generation) {
    pthread_mutex_lock(&self->lock);
    souk_trust_t *trust = self->newest != NULL ? souk_trust_ref(self->newest) : NULL;
    *ret_generation = atomic_load(&self->generation);
    pthread_mutex_unlock(&self->lock);
    return trust;
}
