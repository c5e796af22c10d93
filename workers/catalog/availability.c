#include "availability.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "gen/metrics.h"
#include "gen/orders.h"
#include "levels.h"
#include "runtime/caller.h"
#include "souk/clock.h"
#include "souk/envelope.h"
#include "souk/log.h"
#include "souk/mailbox.h"
#include "souk/metrics.h"
#include "souk/schema.h"
#include "souk/thread.h"

#define US_PER_MS ((int64_t)1000)
/* A state as of longer ago is not shown. */
#define FRESH_US (2000 * US_PER_MS)
#define SLICE_US 1000
#define SLICE_LEVELS 64 /* between looks at the clock */
#define MAILBOX_PAGES 64
#define PAGE_LEVELS 1000
#define CALL_TIMEOUT_MS 1500
#define MEMORY_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define MEMORY_KEEP_BYTES ((size_t)64 * 1024)
#define CURSOR_BYTES 161                      /* as orders.availability declares it, and a NUL */
#define SHOWN_BYTES_MAX ((size_t)1024 * 1024) /* products_get.reply_bytes_max */

/* A page on its way to the bus thread, with its memory. */
typedef struct {
    souk_arena_t *arena;
    const orders_stock_level_t *levels;
    size_t count, next;
    bool restart;        /* forget what was known */
    int64_t complete_us; /* with this page all is known as of then; 0: more pages follow */
} page_t;

struct catalog_availability {
    catalog_availability_options_t options;
    souk_caller_t *caller;
    souk_mailbox_t *pages;
    souk_loop_t *loop;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop; /* under mutex */
    /* The bus thread's. */
    catalog_levels_t levels;
    page_t *current; /* partly taken in */
    int64_t fresh_until_us;
    souk_buf_t shown;
    souk_series_t *fresh, *skus;
    /* The other thread's. */
    char cursor[CURSOR_BYTES];
    int64_t pass_began_us;
    bool in_pass;             /* some of its pages are taken in */
    int64_t failing_since_us; /* 0: not */
    bool away;                /* logged */
};

/* ---- the bus thread ---- */

static void s_page_free(void *item) {
    page_t *page = item;
    souk_arena_destroy(&page->arena);
    free(page);
}

/* Some levels of the page; true when it is done. */
static bool s_take_in(catalog_availability_t *self, page_t *page) {
    if (page->restart) {
        catalog_levels_clear(&self->levels);
        self->fresh_until_us = 0;
        page->restart = false;
    }
    for (size_t i = 0; i < SLICE_LEVELS && page->next < page->count; i++) {
        const orders_stock_level_t *level = &page->levels[page->next++];
        catalog_levels_set(&self->levels, level->sku, (catalog_level_t)level->level);
    }
    return page->next == page->count;
}

bool catalog_availability_turn(catalog_availability_t *self) {
    int64_t until_us = souk_clock_mono_us() + SLICE_US;
    do {
        if (self->current == NULL) {
            self->current = souk_mailbox_take(self->pages, 0);
        }
        if (self->current == NULL) {
            break;
        }
        if (s_take_in(self, self->current)) {
            if (self->current->complete_us > 0) {
                self->fresh_until_us = self->current->complete_us + FRESH_US;
            }
            s_page_free(self->current);
            self->current = NULL;
        }
    } while (souk_clock_mono_us() < until_us);
    souk_metric_set(self->fresh, souk_clock_mono_us() < self->fresh_until_us);
    souk_metric_set(self->skus, (int64_t)self->levels.by_sku.count);
    return self->current != NULL;
}

souk_str_t catalog_availability_show(catalog_availability_t *self, souk_str_t document) {
    if (souk_clock_mono_us() >= self->fresh_until_us) {
        return document;
    }
    souk_buf_clear(&self->shown);
    return catalog_levels_show(&self->levels, document, &self->shown) == SOUK_OK
               ? souk_buf_str(&self->shown)
               : document;
}

/* ---- the other thread ---- */

static bool s_stopping(catalog_availability_t *self) {
    pthread_mutex_lock(&self->mutex);
    bool stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return stop;
}

static void s_pause(catalog_availability_t *self) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + (int64_t)self->options.interval_ms * 1000000;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&self->mutex);
    int rc = 0;
    while (rc == 0 && !self->stop) {
        rc = pthread_cond_timedwait(&self->wake, &self->mutex, &until);
    }
    pthread_mutex_unlock(&self->mutex);
}

static souk_err_t s_ask(catalog_availability_t *self, souk_arena_t *arena,
                        orders_availability_rep_t *ret) {
    const souk_callee_t callee = {.service = "orders",
                                  .method = "availability",
                                  .class_ = SOUK_CLASS_READ,
                                  .priority = SOUK_PRIORITY_BATCH,
                                  .timeout_ms = CALL_TIMEOUT_MS,
                                  .req_type = &orders_availability_req_type,
                                  .rep_type = &orders_availability_rep_type};
    orders_availability_req_t req = {0};
    orders_availability_req_set_limit(&req, PAGE_LEVELS);
    if (self->cursor[0] != '\0') {
        orders_availability_req_set_cursor(&req, souk_str_of(self->cursor));
    }
    return souk_caller_ask(self->caller, &callee, &req, arena, ret);
}

/* Hands the page over; waits while the bus thread is behind. */
static souk_err_t s_hand_over(catalog_availability_t *self, page_t *page) {
    souk_err_t err = souk_mailbox_put(self->pages, page);
    while (err == SOUK_ERR_OVERLOADED && !s_stopping(self)) {
        s_pause(self);
        err = souk_mailbox_put(self->pages, page);
    }
    return err;
}

static souk_err_t s_pull_page(catalog_availability_t *self, bool *ret_more) {
    page_t *page = calloc(1, sizeof *page);
    souk_assert(page != NULL);
    page->arena = souk_arena_new(MEMORY_BYTES_MAX, MEMORY_KEEP_BYTES);
    orders_availability_rep_t rep = {0};
    souk_err_t err = s_ask(self, page->arena, &rep);
    if (err == SOUK_OK && rep.cursor.size >= sizeof self->cursor) {
        err = SOUK_ERR_MALFORMED;
    }
    if (err != SOUK_OK) {
        s_page_free(page);
        return err;
    }
    char cursor[CURSOR_BYTES];
    memcpy(cursor, rep.cursor.data, rep.cursor.size);
    cursor[rep.cursor.size] = '\0';
    page->levels = orders_availability_rep_levels(&rep, &page->count);
    page->restart = rep.restart;
    page->complete_us = rep.more ? 0 : self->pass_began_us;
    err = s_hand_over(self, page);
    if (err != SOUK_OK) {
        s_page_free(page);
        return err;
    }
    memcpy(self->cursor, cursor, sizeof cursor); /* only now: what is not taken in is asked again */
    self->in_pass = rep.more;
    *ret_more = rep.more;
    return SOUK_OK;
}

/* A pass; one that was interrupted goes on where it was, and what it then knows is as old as its
 * beginning. */
static souk_err_t s_pull(catalog_availability_t *self) {
    bool more = true;
    if (!self->in_pass) {
        self->pass_began_us = souk_clock_mono_us();
    }
    while (more && !s_stopping(self)) {
        SOUK_TRY(s_pull_page(self, &more));
    }
    return SOUK_OK;
}

/* A moment without an answer is none: when a worker starts it has no broker yet. */
static void s_note(catalog_availability_t *self, souk_err_t err) {
    int64_t now_us = souk_clock_mono_us();
    if (err == SOUK_OK) {
        if (self->away) {
            souk_log(SOUK_LOG_INFO, "CA-AVAILABILITY-BACK",
                     SOUK_F_INT("away_ms", (now_us - self->failing_since_us) / US_PER_MS));
        }
        self->failing_since_us = 0;
        self->away = false;
        return;
    }
    if (self->failing_since_us == 0) {
        self->failing_since_us = now_us;
    }
    if (!self->away && now_us - self->failing_since_us >= FRESH_US && !s_stopping(self)) {
        self->away = true;
        souk_log(SOUK_LOG_WARN, "CA-AVAILABILITY-AWAY",
                 SOUK_F_TEXT("code", souk_err_info(err)->code));
    }
}

static void *s_run(void *arg) {
    catalog_availability_t *self = arg;
    while (!s_stopping(self)) {
        s_note(self, s_pull(self));
        s_pause(self);
    }
    return NULL;
}

/* ---- life ---- */

static void s_wake(void *arg) {
    catalog_availability_t *self = arg;
    souk_loop_wake(self->loop);
}

static void s_start_thread(catalog_availability_t *self) {
    souk_cond_init(&self->wake);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    souk_assert(souk_thread_start(&self->thread, s_run, self));
}

souk_err_t catalog_availability_new(const catalog_availability_options_t *options,
                                    souk_loop_t *loop, catalog_availability_t **ret_self) {
    souk_caller_t *caller = NULL;
    SOUK_TRY(souk_caller_new(options->front, options->name, &caller));
    catalog_availability_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->options = *options;
    self->caller = caller;
    self->loop = loop;
    self->pages = souk_mailbox_new(MAILBOX_PAGES, s_wake, self);
    catalog_levels_init(&self->levels);
    souk_buf_init(&self->shown, SHOWN_BYTES_MAX);
    self->fresh = souk_metric(SOUK_METRIC_CATALOG_AVAILABILITY_FRESH, NULL);
    self->skus = souk_metric(SOUK_METRIC_CATALOG_AVAILABILITY_SKUS, NULL);
    s_start_thread(self);
    *ret_self = self;
    return SOUK_OK;
}

void catalog_availability_destroy(catalog_availability_t **self_p) {
    souk_assert(self_p != NULL);
    catalog_availability_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    souk_caller_close(self->caller);
    souk_mailbox_close(self->pages);
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    souk_assert(pthread_join(self->thread, NULL) == 0);
    souk_caller_destroy(&self->caller);
    if (self->current != NULL) {
        s_page_free(self->current);
    }
    souk_mailbox_destroy(&self->pages, s_page_free);
    catalog_levels_done(&self->levels);
    souk_buf_done(&self->shown);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}
