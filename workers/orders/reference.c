#include "orders/reference.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Above what the bounded tables can hold: 5,000 rates of three short texts, 200 methods of 250
 * countries. */
#define DATA_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* One reading of the tables: immutable, freed by whoever lets go of it last. */
typedef struct {
    atomic_int users;
    souk_arena_t *arena; /* holds all of data */
    orders_reference_data_t data;
} s_edition_t;

struct orders_reference {
    pthread_mutex_t mutex;
    s_edition_t *newest; /* under mutex; NULL: nothing was read yet */
};

const souk_pg_stmt_t orders_reference_stmt = {.name = "orders_reference_revision",
                                              .sql = "SELECT revision FROM reference_revision"};
static const souk_pg_stmt_t s_shipping = {
    .name = "orders_reference_shipping",
    .sql = "SELECT id, name, price, free_above, array_to_string(countries, ','), active, position,"
           " version FROM shipping_methods ORDER BY position, id"};
static const souk_pg_stmt_t s_taxes = {
    .name = "orders_reference_taxes",
    .sql = "SELECT country, category, name, rate_ppm, inclusive, version FROM tax_rates"
           " ORDER BY country, category"};

/* ---- editions ---- */

static void s_let_go(void *arg) {
    s_edition_t *edition = arg;
    if (edition != NULL && atomic_fetch_sub(&edition->users, 1) == 1) {
        souk_arena_destroy(&edition->arena);
        free(edition);
    }
}

static void s_edition_done(s_edition_t **edition_p) {
    s_let_go(*edition_p);
    *edition_p = NULL;
}

static s_edition_t *s_edition_new(void) {
    s_edition_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    atomic_init(&self->users, 1);
    self->arena = souk_arena_new(DATA_BYTES_MAX, 0);
    return self;
}

static souk_err_t s_fill_shipping(const souk_pg_rows_t *rows, s_edition_t *edition) {
    size_t count = souk_pg_count(rows);
    orders_shipping_t *all = souk_arena_alloc_array(edition->arena, count + 1, sizeof *all);
    if (all == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = (orders_shipping_t){
            .id = souk_arena_copy(edition->arena, souk_pg_get_str(rows, i, 0)),
            .name = souk_arena_copy(edition->arena, souk_pg_get_str(rows, i, 1)),
            .price = souk_pg_get_int(rows, i, 2),
            .free_from = souk_pg_is_null(rows, i, 3) ? ORDERS_NONE : souk_pg_get_int(rows, i, 3),
            .active = souk_pg_get_bool(rows, i, 5),
            .position = souk_pg_get_int(rows, i, 6),
            .version = souk_pg_get_int(rows, i, 7),
        };
        souk_str_t countries = souk_arena_copy(edition->arena, souk_pg_get_str(rows, i, 4));
        SOUK_TRY(orders_reference_countries(countries, edition->arena, &all[i].countries,
                                            &all[i].countries_count));
    }
    edition->data.shipping = all;
    edition->data.shipping_count = count;
    return SOUK_OK;
}

static souk_err_t s_fill_taxes(const souk_pg_rows_t *rows, s_edition_t *edition) {
    size_t count = souk_pg_count(rows);
    orders_tax_rate_t *all = souk_arena_alloc_array(edition->arena, count + 1, sizeof *all);
    if (all == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = (orders_tax_rate_t){
            .country = souk_arena_copy(edition->arena, souk_pg_get_str(rows, i, 0)),
            .category = souk_arena_copy(edition->arena, souk_pg_get_str(rows, i, 1)),
            .name = souk_arena_copy(edition->arena, souk_pg_get_str(rows, i, 2)),
            .rate_ppm = souk_pg_get_int(rows, i, 3),
            .inclusive = souk_pg_get_bool(rows, i, 4),
            .version = souk_pg_get_int(rows, i, 5),
        };
    }
    edition->data.taxes = (orders_tax_table_t){.rates = all, .count = count};
    return SOUK_OK;
}

static void s_arena_done(souk_arena_t **arena_p) {
    souk_arena_destroy(arena_p);
}

/* The revision first: should the tables change meanwhile, what was read counts as older than it is,
 * and is read again. */
static souk_err_t s_read(const orders_reference_ask_t *ask, s_edition_t *edition) {
    SOUK_CLEANUP(s_arena_done) souk_arena_t *arena = souk_arena_new(DATA_BYTES_MAX, 0);
    SOUK_TRY(souk_pg_exec_queue(ask->pg, ask->timeout_ms, &orders_reference_stmt, NULL));
    SOUK_TRY(souk_pg_exec_queue(ask->pg, ask->timeout_ms, &s_shipping, NULL));
    SOUK_TRY(souk_pg_exec_queue(ask->pg, ask->timeout_ms, &s_taxes, NULL));
    const souk_pg_rows_t *revision, *shipping, *taxes;
    SOUK_TRY(souk_pg_exec_next(ask->pg, arena, &revision));
    SOUK_TRY(souk_pg_exec_next(ask->pg, arena, &shipping));
    SOUK_TRY(souk_pg_exec_next(ask->pg, arena, &taxes));
    if (souk_pg_count(revision) != 1) {
        return SOUK_ERR_INTERNAL;
    }
    edition->data.revision = souk_pg_get_int(revision, 0, 0);
    SOUK_TRY(s_fill_shipping(shipping, edition));
    SOUK_TRY(s_fill_taxes(taxes, edition));
    return souk_arena_overflowed(edition->arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

/* ---- the cache ---- */

orders_reference_t *orders_reference_new(void) {
    orders_reference_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    return self;
}

void orders_reference_destroy(orders_reference_t **self_p) {
    orders_reference_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    s_let_go(self->newest);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

/* The newest edition, one user more; NULL when it is of another revision. A higher one is read
 * again too: the database may have been put back to an earlier state. */
static s_edition_t *s_take(orders_reference_t *self, int64_t revision) {
    pthread_mutex_lock(&self->mutex);
    s_edition_t *edition = self->newest;
    if (edition != NULL && edition->data.revision != revision) {
        edition = NULL;
    }
    if (edition != NULL) {
        atomic_fetch_add(&edition->users, 1);
    }
    pthread_mutex_unlock(&self->mutex);
    return edition;
}

/* Two slots may have read at once, and the older edition may come last: the next one that asks for
 * the younger reads it again. */
static void s_offer(orders_reference_t *self, s_edition_t *edition) {
    atomic_fetch_add(&edition->users, 1);
    pthread_mutex_lock(&self->mutex);
    s_edition_t *former = self->newest;
    self->newest = edition;
    pthread_mutex_unlock(&self->mutex);
    s_let_go(former);
}

souk_err_t orders_reference_require(orders_reference_t *self, const orders_reference_ask_t *ask,
                                    int64_t revision, const orders_reference_data_t **ret) {
    SOUK_CLEANUP(s_edition_done) s_edition_t *edition = s_take(self, revision);
    if (edition == NULL) {
        edition = s_edition_new();
        SOUK_TRY(s_read(ask, edition));
        s_offer(self, edition);
    }
    SOUK_TRY(souk_arena_on_reset(ask->arena, s_let_go, edition));
    *ret = &edition->data;
    edition = NULL; /* the arena's now */
    return SOUK_OK;
}

const orders_shipping_t *orders_reference_shipping(const orders_reference_data_t *self,
                                                   souk_str_t id) {
    for (size_t i = 0; i < self->shipping_count; i++) {
        if (souk_str_equal(self->shipping[i].id, id)) {
            return &self->shipping[i];
        }
    }
    return NULL;
}

orders_tax_table_t orders_reference_taxes(const orders_reference_data_t *self, souk_str_t country) {
    const orders_tax_rate_t *rates = self->taxes.rates;
    size_t from = 0;
    while (from < self->taxes.count && !souk_str_equal(rates[from].country, country)) {
        from++;
    }
    size_t to = from;
    while (to < self->taxes.count && souk_str_equal(rates[to].country, country)) {
        to++;
    }
    return (orders_tax_table_t){.rates = rates + from, .count = to - from};
}

souk_err_t orders_reference_countries(souk_str_t text, souk_arena_t *arena,
                                      const souk_str_t **ret_countries, size_t *ret_count) {
    size_t count = text.size > 0 ? 1 : 0;
    for (size_t i = 0; i < text.size; i++) {
        count += text.data[i] == ',';
    }
    souk_str_t *parts = souk_arena_alloc_array(arena, count + 1, sizeof *parts);
    if (parts == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    const char *at = text.data, *end = text.data + text.size;
    for (size_t i = 0; i < count; i++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        parts[i] = (souk_str_t){.data = at, .size = (size_t)(stop - at)};
        at = stop + 1;
    }
    *ret_countries = parts;
    *ret_count = count;
    return SOUK_OK;
}
