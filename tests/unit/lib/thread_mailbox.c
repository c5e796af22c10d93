/* The mailbox between threads: nothing lost, nothing twice, order per sender, bounds, close; also
 * under TSan. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "souk/mailbox.h"

#define SENDERS 3
#define TAKERS 2
#define ITEMS_EACH 20000

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expr);                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

typedef struct {
    int sender;
    int number; /* plain: handing it over must order the accesses */
} item_t;

static souk_mailbox_t *s_box;
static atomic_int s_taken;
static atomic_int s_full;

static item_t *s_item_new(int sender, int number) {
    item_t *item = malloc(sizeof(*item));
    CHECK(item != NULL);
    *item = (item_t){.sender = sender, .number = number};
    return item;
}

static void *s_sender(void *arg) {
    int sender = *(const int *)arg;
    for (int i = 0; i < ITEMS_EACH; i++) {
        item_t *item = s_item_new(sender, i);
        souk_err_t err;
        while ((err = souk_mailbox_put(s_box, item)) == SOUK_ERR_OVERLOADED) {
            atomic_fetch_add(&s_full, 1);
            CHECK(item->number == i); /* still ours */
            sched_yield();
        }
        CHECK(err == SOUK_OK);
    }
    return NULL;
}

static void *s_taker(void *arg) {
    (void)arg;
    int last[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        last[i] = -1;
    }
    item_t *item;
    while ((item = souk_mailbox_take(s_box, -1)) != NULL) {
        CHECK(item->number > last[item->sender]); /* what one taker sees of one sender ascends */
        last[item->sender] = item->number;
        atomic_fetch_add(&s_taken, 1);
        free(item);
    }
    return NULL;
}

static void s_blocking_takers(void) {
    s_box = souk_mailbox_new(64, NULL, NULL);
    CHECK(s_box != NULL);
    pthread_t senders[SENDERS], takers[TAKERS];
    int numbers[SENDERS];
    for (int i = 0; i < TAKERS; i++) {
        CHECK(pthread_create(&takers[i], NULL, s_taker, NULL) == 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&senders[i], NULL, s_sender, &numbers[i]) == 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(senders[i], NULL);
    }
    souk_mailbox_close(s_box);
    for (int i = 0; i < TAKERS; i++) {
        pthread_join(takers[i], NULL);
    }
    CHECK(atomic_load(&s_taken) == SENDERS * ITEMS_EACH);
    CHECK(souk_mailbox_count(s_box) == 0);
    souk_mailbox_destroy(&s_box, NULL);
    CHECK(s_box == NULL);
}

/* A receiver that sleeps on something else and relies on notify alone must see every item. */
static pthread_mutex_t s_bell_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t s_bell = PTHREAD_COND_INITIALIZER;
static int s_rings;

static void s_ring(void *arg) {
    int *rings = arg;
    pthread_mutex_lock(&s_bell_mutex);
    ++*rings;
    pthread_cond_signal(&s_bell);
    pthread_mutex_unlock(&s_bell_mutex);
}

static void s_notified_receiver(void) {
    s_box = souk_mailbox_new(8, s_ring, &s_rings);
    CHECK(s_box != NULL);
    pthread_t sender;
    int number = 0;
    CHECK(pthread_create(&sender, NULL, s_sender, &number) == 0);
    int got = 0;
    while (got < ITEMS_EACH) {
        pthread_mutex_lock(&s_bell_mutex);
        while (s_rings == 0) {
            pthread_cond_wait(&s_bell, &s_bell_mutex);
        }
        s_rings = 0;
        pthread_mutex_unlock(&s_bell_mutex);
        void *items[5];
        size_t count;
        do {
            count = souk_mailbox_take_all(s_box, items, SOUK_COUNT_OF(items));
            for (size_t i = 0; i < count; i++) {
                item_t *item = items[i];
                CHECK(item->number == got);
                got++;
                free(item);
            }
        } while (count == SOUK_COUNT_OF(items));
    }
    pthread_join(sender, NULL);
    souk_mailbox_destroy(&s_box, NULL);
}

static int s_freed;

static void s_free_item(void *item) {
    s_freed++;
    free(item);
}

static void s_bounds_and_close(void) {
    int rings = 0;
    souk_mailbox_t *box = souk_mailbox_new(2, s_ring, &rings);
    CHECK(box != NULL);
    CHECK(souk_mailbox_take(box, 0) == NULL);
    CHECK(souk_mailbox_take(box, 5) == NULL);
    item_t *a = s_item_new(0, 0), *b = s_item_new(0, 1), *c = s_item_new(0, 2);
    CHECK(souk_mailbox_put(box, a) == SOUK_OK);
    CHECK(souk_mailbox_put(box, b) == SOUK_OK);
    CHECK(rings == 1); /* only empty -> not empty */
    CHECK(souk_mailbox_put(box, c) == SOUK_ERR_OVERLOADED);
    CHECK(souk_mailbox_take(box, 0) == a);
    CHECK(souk_mailbox_put(box, c) == SOUK_OK); /* the ring wraps */
    CHECK(souk_mailbox_count(box) == 2);
    souk_mailbox_close(box);
    CHECK(souk_mailbox_put(box, a) == SOUK_ERR_CLOSED);
    CHECK(souk_mailbox_take(box, -1) == b); /* what is left still comes */
    souk_mailbox_destroy(&box, s_free_item);
    CHECK(s_freed == 1);
    free(a);
    free(b);
    souk_mailbox_destroy(&box, NULL); /* nothing to do */
}

int main(void) {
    s_bounds_and_close();
    s_blocking_takers();
    s_notified_receiver();
    printf("mailbox: passed (%d puts met a full box)\n", atomic_load(&s_full));
    return 0;
}
