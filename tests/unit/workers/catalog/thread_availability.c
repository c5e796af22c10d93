/* Availability on its way from the service that keeps the stock into products, with the test as the
 * bus thread: pages, beginnings from scratch, silence. Runs under ThreadSanitizer. */
#include "catalog/availability.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/catalog.h"
#include "gen/metrics.h"
#include "gen/orders.h"
#include "souk/clock.h"
#include "souk/metrics.h"
#include "souk/schema.h"
#include "stub_broker.h"

#define WAIT_US ((int64_t)60 * 1000 * 1000)
#define PAGE 1000
#define PAGES 5

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expr);             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* What the scripted orders service does. */
typedef struct {
    atomic_int level;    /* of every SKU */
    atomic_bool silent;  /* says nothing */
    atomic_bool restart; /* the next answer begins from scratch */
    atomic_int asked;
    int page; /* of the broker's thread */
} script_t;

static script_t s_script = {.restart = true};

/* SKU-0 .. SKU-4999 in pages, each pass all of them. */
static void s_reply(souk_buf_t *body) {
    souk_arena_t *arena = souk_arena_new(4 << 20, 0);
    orders_availability_rep_t rep = {0};
    bool restart = atomic_exchange(&s_script.restart, false);
    s_script.page = restart ? 0 : s_script.page;
    orders_stock_level_t *levels = orders_availability_rep_new_levels(&rep, arena, PAGE);
    for (int i = 0; i < PAGE; i++) {
        orders_stock_level_set_sku(&levels[i],
                                   souk_arena_printf(arena, "SKU-%d", s_script.page * PAGE + i));
        orders_stock_level_set_level(&levels[i], atomic_load(&s_script.level));
    }
    s_script.page = (s_script.page + 1) % PAGES;
    orders_availability_rep_set_restart(&rep, restart);
    orders_availability_rep_set_more(&rep, s_script.page != 0);
    orders_availability_rep_set_cursor(&rep, SOUK_STR("c"));
    souk_schema_to_mp(&orders_availability_rep_type, &rep, body);
    souk_arena_destroy(&arena);
}

static void s_answer(void *arg, const souk_req_t *req, souk_buf_t *out) {
    (void)arg;
    CHECK(souk_str_equal(req->service, SOUK_STR("orders")) &&
          souk_str_equal(req->method, SOUK_STR("availability")));
    atomic_fetch_add(&s_script.asked, 1);
    if (!atomic_load(&s_script.silent)) {
        souk_buf_t body;
        souk_buf_init(&body, 1 << 20);
        s_reply(&body);
        CHECK(!body.overflow);
        souk_envelope_rep(out, req->corr, 0, -1, souk_buf_str(&body));
        souk_buf_done(&body);
    }
}

/* ---- the bus thread ---- */

static catalog_availability_t *s_availability;

/* {"variants": [{"sku": sku}]}: all that showing needs of a product. */
static souk_str_t s_document(souk_buf_t *buf, const char *sku) {
    souk_buf_clear(buf);
    souk_mp_write_map(buf, 1);
    souk_mp_write_str(buf, SOUK_STR("variants"));
    souk_mp_write_array(buf, 1);
    souk_mp_write_map(buf, 1);
    souk_mp_write_str(buf, SOUK_STR("sku"));
    souk_mp_write_str(buf, souk_str_of(sku));
    return souk_buf_str(buf);
}

static bool s_shows(const char *sku, const char *level) {
    souk_buf_t buf;
    souk_buf_init(&buf, 4096);
    souk_str_t document = s_document(&buf, sku);
    souk_str_t shown = catalog_availability_show(s_availability, document);
    bool result = level == NULL ? souk_str_equal(shown, document)
                                : memmem(shown.data, shown.size, level, strlen(level)) != NULL;
    souk_buf_done(&buf);
    return result;
}

/* Turns until the first and the last SKU show the level (NULL: nothing). */
static void s_until(const char *level) {
    int64_t until_us = souk_clock_mono_us() + WAIT_US;
    while (!s_shows("SKU-0", level) || !s_shows("SKU-4999", level)) {
        CHECK(souk_clock_mono_us() < until_us);
        (void)catalog_availability_turn(s_availability);
        sched_yield();
    }
}

int main(void) {
    souk_metrics_init(souk_metric_decls, souk_metric_decls_count);
    souk_loop_t *loop = souk_loop_new();
    stub_broker_t *broker = stub_broker_new(s_answer, NULL);
    const catalog_availability_options_t options = {
        .front = stub_broker_endpoint(broker), .name = "t", .interval_ms = 20};
    CHECK(catalog_availability_new(&options, loop, &s_availability) == SOUK_OK);
    CHECK(s_shows("SKU-0", NULL));

    s_until("none");
    CHECK(s_shows("SKU-5000", NULL));
    atomic_store(&s_script.level, CATALOG_VARIANT_AVAILABILITY_IN_STOCK);
    s_until("in_stock");

    /* Not a moment longer than it is known, and back by itself. */
    atomic_store(&s_script.silent, true);
    s_until(NULL);
    atomic_store(&s_script.level, CATALOG_VARIANT_AVAILABILITY_LOW);
    atomic_store(&s_script.silent, false);
    s_until("low");

    /* From scratch: while pages come in, nothing is claimed; then everything is known again. */
    atomic_store(&s_script.level, CATALOG_VARIANT_AVAILABILITY_NONE);
    atomic_store(&s_script.restart, true);
    s_until("none");

    stub_broker_stop(broker);
    s_until(NULL);
    stub_broker_start(broker);
    s_until("none");
    catalog_availability_destroy(&s_availability);
    stub_broker_destroy(&broker);
    souk_loop_destroy(&loop);
    souk_metrics_done();
    printf("availability: asked %d times\n", atomic_load(&s_script.asked));
    return 0;
}
