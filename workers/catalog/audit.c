/* catalog.audit_list: what staff did to the catalogue. The record is the log: a revision says who
 * made it, when and by which request, and what changed is seen beside the version before. Of a
 * trimmed revision the first part stays.
 *
 * Numbers are gone through from the newest down, or those of one entity. */
#include "gen/catalog_handlers.h"
#include "service.h"

#define RETRY_AFTER_MS 2000
/* Numbers that one request looks at: a page may hold fewer rows than asked for, or none, and still
 * have a next one. */
#define LOOK_MAX 200
/* Of all changes of a page; the first row is told whatever it takes. */
#define PAGE_BYTES_MAX ((size_t)256 * 1024)
#define VALUE_BYTES_MAX ((size_t)384 * 1024)
#define WORK_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define WORK_KEEP_BYTES ((size_t)1024 * 1024)
#define ID_PREFIX "rev_"

typedef struct {
    souk_ctx_t *ctx;
    catalog_store_t *store;
    souk_arena_t *work; /* of one row */
    souk_str_t actor;   /* data NULL: everybody */
    size_t bytes;       /* of the changes told so far */
} audit_t;

/* ---- what changed ---- */

typedef struct {
    souk_str_t key, pair; /* pair: key and value, encoded */
} pair_t;

static souk_err_t s_next_pair(souk_mp_cursor_t *cursor, pair_t *ret) {
    const uint8_t *from = cursor->at;
    SOUK_TRY(souk_mp_read_str(cursor, &ret->key));
    SOUK_TRY(souk_mp_skip(cursor));
    ret->pair = (souk_str_t){.data = (const char *)from, .size = (size_t)(cursor->at - from)};
    return SOUK_OK;
}

static bool s_has(souk_str_t document, const pair_t *wanted) {
    souk_mp_cursor_t cursor;
    uint32_t count = 0;
    souk_mp_cursor_init(&cursor, document.data, document.size);
    if (souk_mp_read_map(&cursor, &count) != SOUK_OK) {
        return false;
    }
    pair_t pair;
    for (uint32_t i = 0; i < count && s_next_pair(&cursor, &pair) == SOUK_OK; i++) {
        if (souk_str_equal(pair.pair, wanted->pair)) {
            return true;
        }
    }
    return false;
}

/* The fields of document that other does not have, or has otherwise; data NULL: no document. */
static souk_err_t s_differing(audit_t *self, souk_str_t document, souk_str_t other,
                              souk_str_t *ret) {
    *ret = (souk_str_t){0};
    if (document.data == NULL) {
        return SOUK_OK;
    }
    SOUK_CLEANUP(souk_buf_done) souk_buf_t pairs;
    SOUK_CLEANUP(souk_buf_done) souk_buf_t map;
    souk_buf_init(&pairs, VALUE_BYTES_MAX);
    souk_buf_init(&map, VALUE_BYTES_MAX);
    souk_mp_cursor_t cursor;
    uint32_t count = 0, differing = 0;
    souk_mp_cursor_init(&cursor, document.data, document.size);
    SOUK_TRY(souk_mp_read_map(&cursor, &count));
    for (uint32_t i = 0; i < count; i++) {
        pair_t pair;
        SOUK_TRY(s_next_pair(&cursor, &pair));
        if (!s_has(other, &pair)) {
            souk_buf_append(&pairs, pair.pair.data, pair.pair.size);
            differing++;
        }
    }
    souk_mp_write_map(&map, differing);
    souk_buf_append(&map, pairs.data, pairs.size);
    if (pairs.overflow || map.overflow) {
        return SOUK_ERR_TOO_LARGE;
    }
    *ret = souk_arena_copy(souk_ctx_arena(self->ctx), souk_buf_str(&map));
    self->bytes += ret->size;
    return ret->data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

/* ---- a row ---- */

/* Content of the version before; data NULL: there is none, or it was trimmed or deleted. */
static souk_err_t s_former(audit_t *self, const catalog_revision_t *revision, souk_str_t *ret) {
    *ret = (souk_str_t){0};
    const catalog_change_t *change = &revision->change;
    if (revision->is_retired || change->version <= 1) {
        return SOUK_OK;
    }
    catalog_revision_t former;
    souk_err_t err = catalog_store_find_version(self->store, change->entity_id, change->version - 1,
                                                self->work, &former);
    if (err == SOUK_OK) {
        *ret = former.change.document;
    }
    return err == SOUK_ERR_NOT_FOUND || err == SOUK_ERR_MALFORMED ? SOUK_OK : err;
}

static void s_set_value(souk_audit_entry_t *row, unsigned bit, souk_str_t *member,
                        souk_str_t value) {
    *member = value;
    if (value.data != NULL) {
        souk_bits_set(&row->bits, bit);
    } else {
        souk_bits_set_nil(&row->bits, bit);
    }
}

static souk_err_t s_row(audit_t *self, const catalog_revision_t *revision,
                        souk_audit_entry_t *ret) {
    souk_arena_t *arena = souk_ctx_arena(self->ctx);
    const catalog_change_t *change = &revision->change;
    souk_str_t former, before, after;
    SOUK_TRY(s_former(self, revision, &former));
    SOUK_TRY(s_differing(self, former, change->document, &before));
    SOUK_TRY(s_differing(self, change->document, former, &after));
    souk_audit_entry_set_id(
        ret, souk_arena_printf(arena, ID_PREFIX "%lld", (long long)change->revision));
    souk_audit_entry_set_at(ret, revision->at_us);
    souk_audit_entry_set_actor(ret, souk_arena_copy(arena, revision->by));
    souk_audit_entry_set_action(
        ret, souk_arena_printf(arena, "%s.%.*s",
                               change->kind == CATALOG_PRODUCT ? "product" : "category",
                               (int)revision->why.size, revision->why.data));
    souk_audit_entry_set_target(ret, souk_arena_copy(arena, change->entity_id));
    s_set_value(ret, SOUK_AUDIT_ENTRY_BEFORE_BIT, &ret->before, before);
    s_set_value(ret, SOUK_AUDIT_ENTRY_AFTER_BIT, &ret->after, after);
    s_set_value(ret, SOUK_AUDIT_ENTRY_REQUEST_ID_BIT, &ret->request_id,
                revision->request_id.data != NULL ? souk_arena_copy(arena, revision->request_id)
                                                  : (souk_str_t){0});
    return souk_arena_overflowed(arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

/* A number that nobody has, that cannot be read or is another actor's makes no row. */
static souk_err_t s_look_at(audit_t *self, int64_t number, souk_audit_entry_t *row, bool *ret_is) {
    catalog_revision_t revision;
    souk_arena_reset(self->work);
    *ret_is = false;
    souk_err_t err = catalog_store_find_ever(self->store, number, self->work, &revision);
    if (err == SOUK_ERR_NOT_FOUND || err == SOUK_ERR_MALFORMED) {
        return SOUK_OK;
    }
    SOUK_TRY(err);
    if (self->actor.data != NULL && !souk_str_equal(self->actor, revision.by)) {
        return SOUK_OK;
    }
    *ret_is = true;
    return s_row(self, &revision, row);
}

/* ---- which numbers ---- */

/* The newest of an entity below `before`, newest first; one more than are looked at. */
typedef struct {
    int64_t before;
    int64_t at[LOOK_MAX + 1];
    size_t count;
} numbers_t;

static souk_err_t s_collect(void *arg, const catalog_revision_t *revision) {
    numbers_t *self = arg;
    int64_t number = revision->change.revision;
    if (number >= self->before) {
        return SOUK_OK;
    }
    size_t at = self->count;
    while (at > 0 && self->at[at - 1] < number) {
        at--;
    }
    if (at > 0 && self->at[at - 1] == number) {
        return SOUK_OK; /* seen before it was trimmed, and after */
    }
    if (at > LOOK_MAX) {
        return SOUK_OK;
    }
    size_t behind = self->count <= LOOK_MAX ? self->count - at : LOOK_MAX - at;
    memmove(&self->at[at + 1], &self->at[at], behind * sizeof(self->at[0]));
    self->at[at] = number;
    self->count += self->count <= LOOK_MAX;
    return SOUK_OK;
}

static void s_count_down(numbers_t *self) {
    for (int64_t number = self->before - 1; number > 0 && self->count <= LOOK_MAX; number--) {
        self->at[self->count++] = number;
    }
}

static bool s_read_cursor(souk_str_t text, int64_t *ret_before) {
    const size_t prefix = sizeof(ID_PREFIX) - 1;
    if (text.size <= prefix || text.size > prefix + 15 ||
        memcmp(text.data, ID_PREFIX, prefix) != 0) {
        return false;
    }
    int64_t number = 0;
    for (size_t i = prefix; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_before = number;
    return true;
}

/* ---- the page ---- */

static souk_err_t s_page(audit_t *self, const numbers_t *numbers, int64_t limit,
                         catalog_audit_list_rep_t *ret_rep) {
    souk_arena_t *arena = souk_ctx_arena(self->ctx);
    souk_audit_entry_t *rows = souk_arena_alloc_array(arena, (size_t)limit, sizeof(*rows));
    if (rows == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    size_t count = 0, looked = 0;
    while (looked < numbers->count && looked < LOOK_MAX && count < (size_t)limit &&
           self->bytes < PAGE_BYTES_MAX) {
        bool is_row = false;
        SOUK_TRY(s_look_at(self, numbers->at[looked++], &rows[count], &is_row));
        count += is_row;
    }
    souk_audit_entry_t *data = catalog_audit_list_rep_new_data(ret_rep, arena, count);
    if (data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    memcpy(data, rows, count * sizeof(*rows));
    souk_bits_set(&ret_rep->bits, CATALOG_AUDIT_LIST_REP_PAGE_BIT);
    souk_keyset_page_set_limit(&ret_rep->page, limit);
    if (looked == numbers->count) {
        souk_bits_set_nil(&ret_rep->page.bits, SOUK_KEYSET_PAGE_NEXT_BIT);
        return SOUK_OK;
    }
    souk_str_t next =
        souk_arena_printf(arena, ID_PREFIX "%lld", (long long)numbers->at[looked - 1]);
    souk_keyset_page_set_next(&ret_rep->page, next);
    return next.data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

souk_err_t catalog_audit_list(souk_ctx_t *ctx, const catalog_audit_list_req_t *req,
                              catalog_audit_list_rep_t *ret_rep) {
    const souk_bits_t *bits = &req->bits;
    numbers_t numbers = {.before = catalog_applied(souk_ctx_service(ctx)) + 1};
    if (souk_bits_has(bits, CATALOG_AUDIT_LIST_REQ_CURSOR_BIT) &&
        !s_read_cursor(req->cursor, &numbers.before)) {
        return souk_ctx_fail(ctx, SOUK_ERR_MALFORMED, "the cursor is not one of this list");
    }
    SOUK_CLEANUP(souk_arena_destroy)
    souk_arena_t *work = souk_arena_new(WORK_BYTES_MAX, WORK_KEEP_BYTES);
    audit_t self = {.ctx = ctx, .store = souk_ctx_slot(ctx), .work = work};
    if (souk_bits_has(bits, CATALOG_AUDIT_LIST_REQ_ACTOR_BIT)) {
        self.actor = req->actor;
    }
    souk_err_t err = SOUK_OK;
    if (souk_bits_has(bits, CATALOG_AUDIT_LIST_REQ_TARGET_BIT)) {
        err = catalog_store_history_ever(self.store, req->target, s_collect, &numbers);
    } else {
        s_count_down(&numbers);
    }
    if (err == SOUK_OK) {
        err = s_page(&self, &numbers, req->limit, ret_rep);
    }
    if (err == SOUK_ERR_UNAVAILABLE) {
        souk_ctx_retry_after_ms(ctx, RETRY_AFTER_MS);
        return souk_ctx_fail(ctx, err, "the catalogue's database is away");
    }
    return err;
}
