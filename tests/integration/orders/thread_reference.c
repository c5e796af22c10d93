/* The cache of reference data under several slots while staff change it: what a slot gets is never
 * older than what it asked for, and stays as it is while the slot holds it. A plain program with a
 * real server, for ThreadSanitizer too. */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/metrics.h"
#include "orders/reference.h"
#include "souk/id.h"
#include "souk/log.h"

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define SLOTS 4
#define CHANGES 100
#define TIMEOUT_MS 10000
#define HELD 3 /* calls of a slot whose data is still in use */

static struct {
    PGconn *admin;
    char schema[64], url[1024];
    orders_reference_t *reference;
    atomic_bool over;
    atomic_long calls;
} s_lab;

static void s_do(const char *sql) {
    PGresult *result = PQexec(s_lab.admin, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        (void)fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(s_lab.admin));
        exit(1);
    }
    PQclear(result);
}

/* The columns that the cache reads; the method's price is the revision that set it. */
static const char s_tables[] =
    "CREATE TABLE reference_revision (revision bigint NOT NULL);"
    "INSERT INTO reference_revision VALUES (1);"
    "CREATE TABLE shipping_methods (id text COLLATE \"C\" PRIMARY KEY, name text, price bigint,"
    " free_above bigint, countries text[], active boolean, position integer, version bigint);"
    "INSERT INTO shipping_methods VALUES ('a', 'A', 1, NULL, '{}', true, 0, 1),"
    " ('b', 'B', 1, 5, '{DE,AT,CH}', false, 1, 1);"
    "CREATE TABLE tax_rates (country text COLLATE \"C\", category text COLLATE \"C\", name text,"
    " rate_ppm bigint, inclusive boolean, version bigint);"
    "INSERT INTO tax_rates SELECT 'DE', 'c' || i, 'N', i, true, 1 FROM generate_series(1, 50) i;"
    "INSERT INTO tax_rates VALUES ('AT', 'standard', 'N', 7, false, 1)";

static void s_set_up(void) {
    const char *server = getenv("SOUK_TEST_DATABASE_URL");
    CHECK(server != NULL);
    char id[SOUK_ID_BYTES_MAX], sql[256];
    souk_id_new("ref_", id);
    for (char *at = id; *at != '\0'; at++) {
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
    }
    (void)snprintf(s_lab.schema, sizeof s_lab.schema, "%s", id);
    (void)snprintf(s_lab.url, sizeof s_lab.url, "%s%soptions=-csearch_path%%3D%s", server,
                   strchr(server, '?') != NULL ? "&" : "?", s_lab.schema);
    s_lab.admin = PQconnectdb(server);
    CHECK(PQstatus(s_lab.admin) == CONNECTION_OK);
    (void)snprintf(sql, sizeof sql, "CREATE SCHEMA %s; SET search_path = %s", s_lab.schema,
                   s_lab.schema);
    s_do(sql);
    s_do(s_tables);
    s_lab.reference = orders_reference_new();
}

static void s_tear_down(void) {
    char sql[256];
    (void)snprintf(sql, sizeof sql, "DROP SCHEMA %s CASCADE", s_lab.schema);
    s_do(sql);
    PQfinish(s_lab.admin);
    orders_reference_destroy(&s_lab.reference);
}

static void s_check_data(const orders_reference_data_t *data, int64_t revision) {
    CHECK(data->revision >= revision);
    CHECK(data->shipping_count == 2 && data->taxes.count == 51);
    const orders_shipping_t *a = orders_reference_shipping(data, SOUK_STR("a"));
    const orders_shipping_t *b = orders_reference_shipping(data, SOUK_STR("b"));
    CHECK(a != NULL && b != NULL && a->price == b->price);
    CHECK(a->price >= data->revision); /* the revision was read first */
    CHECK(a->countries_count == 0 && b->countries_count == 3);
    CHECK(souk_str_equal(b->countries[2], SOUK_STR("CH")));
    CHECK(a->free_from == ORDERS_NONE && b->free_from == 5);
    CHECK(orders_reference_taxes(data, SOUK_STR("DE")).count == 50);
    CHECK(orders_reference_taxes(data, SOUK_STR("AT")).rates[0].rate_ppm == 7);
    CHECK(orders_reference_taxes(data, SOUK_STR("FR")).count == 0);
}

static int64_t s_revision(souk_pg_t *pg, souk_arena_t *arena) {
    const souk_pg_rows_t *rows;
    CHECK(souk_pg_exec(pg, TIMEOUT_MS, arena, &orders_reference_stmt, NULL, &rows) == SOUK_OK);
    return souk_pg_get_int(rows, 0, 0);
}

static void *s_slot(void *arg) {
    (void)arg;
    souk_pg_t *pg = NULL;
    const souk_pg_options_t options = {
        .url = s_lab.url, .service = "orders", .connect_timeout_ms = TIMEOUT_MS};
    CHECK(souk_pg_open(&options, &pg) == SOUK_OK);
    souk_arena_t *arenas[HELD];
    const orders_reference_data_t *held[HELD] = {NULL};
    int64_t prices[HELD] = {0};
    for (size_t i = 0; i < HELD; i++) {
        arenas[i] = souk_arena_new(1 << 20, 0);
    }
    for (size_t call = 0; !atomic_load(&s_lab.over); call++) {
        size_t at = call % HELD;
        souk_arena_reset(arenas[at]);
        int64_t revision = s_revision(pg, arenas[at]);
        const orders_reference_ask_t ask = {
            .pg = pg, .timeout_ms = TIMEOUT_MS, .arena = arenas[at]};
        CHECK(orders_reference_require(s_lab.reference, &ask, revision, &held[at]) == SOUK_OK);
        s_check_data(held[at], revision);
        prices[at] = held[at]->shipping[0].price;
        for (size_t i = 0; i < HELD && held[i] != NULL; i++) {
            CHECK(held[i]->shipping[0].price == prices[i]);
        }
        atomic_fetch_add(&s_lab.calls, 1);
    }
    for (size_t i = 0; i < HELD; i++) {
        souk_arena_destroy(&arenas[i]);
    }
    souk_pg_close(&pg);
    return NULL;
}

/* An earlier state of the database was put back. */
static void s_check_restored(void) {
    s_do("BEGIN; UPDATE reference_revision SET revision = 5; UPDATE shipping_methods SET price = 5;"
         " COMMIT");
    souk_pg_t *pg = NULL;
    const souk_pg_options_t options = {
        .url = s_lab.url, .service = "orders", .connect_timeout_ms = TIMEOUT_MS};
    CHECK(souk_pg_open(&options, &pg) == SOUK_OK);
    souk_arena_t *arena = souk_arena_new(1 << 20, 0);
    const orders_reference_ask_t ask = {.pg = pg, .timeout_ms = TIMEOUT_MS, .arena = arena};
    const orders_reference_data_t *data;
    CHECK(orders_reference_require(s_lab.reference, &ask, s_revision(pg, arena), &data) == SOUK_OK);
    CHECK(data->revision == 5 && data->shipping[0].price == 5);
    souk_arena_destroy(&arena);
    souk_pg_close(&pg);
}

int main(void) {
    souk_log_init("thread_reference", SOUK_LOG_ERROR, 2);
    souk_metrics_init(souk_metric_decls, souk_metric_decls_count);
    s_set_up();
    pthread_t slots[SLOTS];
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK(pthread_create(&slots[i], NULL, s_slot, NULL) == 0);
    }
    for (long change = 1; change <= CHANGES; change++) {
        s_do("BEGIN; UPDATE reference_revision SET revision = revision + 1;"
             " UPDATE shipping_methods SET price = (SELECT revision FROM reference_revision);"
             " COMMIT");
        long wanted = atomic_load(&s_lab.calls) + SLOTS;
        while (atomic_load(&s_lab.calls) < wanted) { /* some see this revision, some the next */
            s_do("SELECT 1");
        }
    }
    atomic_store(&s_lab.over, true);
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK(pthread_join(slots[i], NULL) == 0);
    }
    s_check_restored();
    s_tear_down();
    souk_metrics_done();
    return 0;
}
