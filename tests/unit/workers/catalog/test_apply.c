/* The hand-over of changes and indexes to the bus thread, with the test as that thread. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "catalog/apply.h"
#include "souk/loop.h"

#define TIMEOUT_MS 10000

static souk_loop_t *s_loop;
static catalog_apply_t *s_apply;

static void s_setup(void) {
    s_loop = souk_loop_new();
    cr_assert_not_null(s_loop);
    s_apply = catalog_apply_new(s_loop);
}

static void s_teardown(void) {
    catalog_apply_destroy(&s_apply);
    souk_loop_destroy(&s_loop);
}

TestSuite(apply, .init = s_setup, .fini = s_teardown, .timeout = 30);

static void s_offer_index(int64_t revision) {
    catalog_index_t *index = catalog_index_new("EUR");
    catalog_index_skip(index, revision);
    cr_assert_eq(catalog_apply_offer_index(s_apply, &index), SOUK_OK);
    cr_assert_null(index);
}

static void s_turns(void) {
    while (catalog_apply_turn(s_apply)) {
    }
}

Test(apply, an_index_that_holds_less_takes_over_and_is_noticed) {
    s_offer_index(10);
    s_turns();
    cr_assert(catalog_apply_wait(s_apply, 10, TIMEOUT_MS));
    uint64_t seen = catalog_apply_indexes(s_apply);
    s_offer_index(3);
    cr_assert_not(catalog_apply_wait_index(s_apply, seen, 0), "nobody has taken it yet");
    s_turns();
    cr_assert(catalog_apply_wait_index(s_apply, seen, TIMEOUT_MS));
    cr_assert_eq(catalog_apply_revision(s_apply), 3);
}

Test(apply, an_index_of_the_same_revision_is_noticed_too) {
    s_offer_index(7);
    s_turns();
    uint64_t seen = catalog_apply_indexes(s_apply);
    s_offer_index(7);
    s_turns();
    cr_assert(catalog_apply_wait_index(s_apply, seen, TIMEOUT_MS));
}

/* A revision that could not be read comes with its number alone: the next number must not stay
 * taken for ever. */
Test(apply, an_unreadable_revision_takes_its_number) {
    s_offer_index(4);
    cr_assert_eq(catalog_apply_offer_changes(s_apply, &(catalog_change_t){.revision = 5}, 1),
                 SOUK_OK);
    s_turns();
    cr_assert_eq(catalog_apply_revision(s_apply), 5);
    cr_assert_eq(catalog_index_entities(catalog_apply_index(s_apply)), 0);
}

static void *s_read(void *arg) {
    catalog_gate_t *gate = arg;
    catalog_gate_read(gate);
    catalog_gate_read_end(gate);
    return NULL;
}

/* The follower writes its last snapshot after the bus thread's last turn: a turn that was refused
 * before must not keep it out. */
Test(apply, readers_enter_after_the_close) {
    catalog_gate_t *gate = catalog_apply_gate(s_apply);
    s_offer_index(1);
    catalog_gate_read(gate);
    cr_assert_not(catalog_apply_turn(s_apply), "refused: there is a reader");
    catalog_gate_read_end(gate);
    catalog_apply_close(s_apply);
    pthread_t reader;
    cr_assert_eq(pthread_create(&reader, NULL, s_read, gate), 0);
    cr_assert_eq(pthread_join(reader, NULL), 0);
}
