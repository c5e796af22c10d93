/* Waiting calls: order, batches, deadlines. */
#include <criterion/criterion.h>

#include "queue.h"

enum { LINE_READ, LINE_BATCH, LINE_OTHER_SERVICE, LINES_COUNT };
enum { TICKETS_MAX = 32 };

static souk_queue_t queue;
static souk_ticket_t tickets[TICKETS_MAX];
static size_t tickets_count;
static souk_ticket_t *taken[SOUK_BATCH_CALLS_MAX];
static souk_ticket_t *late;

static void s_setup(void) {
    souk_queue_init(&queue, LINES_COUNT);
    souk_queue_describe(&queue, LINE_READ, 0, false);
    souk_queue_describe(&queue, LINE_BATCH, 0, true);
    souk_queue_describe(&queue, LINE_OTHER_SERVICE, 1, false);
    memset(tickets, 0, sizeof(tickets));
    tickets_count = 0;
}

TestSuite(queue, .init = s_setup);

static souk_ticket_t *s_put(size_t line, int64_t deadline_us) {
    souk_ticket_t *ticket = &tickets[tickets_count++];
    ticket->method = line;
    ticket->deadline_us = deadline_us;
    souk_queue_put(&queue, ticket);
    return ticket;
}

static size_t s_take(uint64_t services, size_t batch_max, int64_t deadline_from_us) {
    souk_queue_pick_t pick = {
        .services = services, .batch_max = batch_max, .deadline_from_us = deadline_from_us};
    return souk_queue_take(&queue, &pick, taken, &late);
}

Test(queue, empty_gives_nothing) {
    cr_assert_eq(s_take(UINT64_MAX, 8, 0), 0);
    cr_assert_null(late);
}

Test(queue, oldest_call_goes_first_across_methods) {
    souk_ticket_t *a = s_put(LINE_OTHER_SERVICE, 100);
    souk_ticket_t *b = s_put(LINE_READ, 100);
    cr_assert_eq(s_take(UINT64_MAX, 8, 0), 1);
    cr_assert_eq(taken[0], a);
    cr_assert_eq(s_take(UINT64_MAX, 8, 0), 1);
    cr_assert_eq(taken[0], b);
    cr_assert_eq(queue.count, 0);
}

Test(queue, calls_that_cannot_be_batched_go_alone) {
    s_put(LINE_READ, 100);
    s_put(LINE_READ, 100);
    cr_assert_eq(s_take(UINT64_MAX, 8, 0), 1);
    cr_assert_eq(queue.count, 1);
}

Test(queue, a_batch_takes_what_waits_for_the_method_and_no_more_than_the_limit) {
    souk_ticket_t *first = s_put(LINE_BATCH, 100);
    s_put(LINE_READ, 100);
    souk_ticket_t *second = s_put(LINE_BATCH, 100);
    souk_ticket_t *third = s_put(LINE_BATCH, 100);
    cr_assert_eq(s_take(UINT64_MAX, 2, 0), 2);
    cr_assert_eq(taken[0], first);
    cr_assert_eq(taken[1], second);
    cr_assert_eq(s_take(UINT64_MAX, 2, 0), 1, "the read that came before the third");
    cr_assert_eq(taken[0]->method, LINE_READ);
    cr_assert_eq(s_take(UINT64_MAX, 2, 0), 1, "nobody waits for a batch to fill");
    cr_assert_eq(taken[0], third);
}

Test(queue, only_services_that_the_slot_can_run_are_taken) {
    s_put(LINE_READ, 100);
    souk_ticket_t *other = s_put(LINE_OTHER_SERVICE, 100);
    cr_assert_eq(s_take((uint64_t)1 << 1, 8, 0), 1);
    cr_assert_eq(taken[0], other);
    cr_assert_eq(s_take((uint64_t)1 << 1, 8, 0), 0);
    cr_assert_eq(queue.count, 1);
}

Test(queue, calls_near_their_deadline_are_set_aside_and_the_batch_goes_on) {
    souk_ticket_t *near_a = s_put(LINE_BATCH, 49);
    souk_ticket_t *good = s_put(LINE_BATCH, 50);
    souk_ticket_t *near_b = s_put(LINE_BATCH, 10);
    cr_assert_eq(s_take(UINT64_MAX, 8, 50), 1);
    cr_assert_eq(taken[0], good);
    cr_assert_eq(late, near_b);
    cr_assert_eq(late->next, near_a);
    cr_assert_null(late->next->next);
    cr_assert_eq(queue.count, 0);
}

Test(queue, a_line_of_late_calls_only_does_not_hide_the_next_line) {
    s_put(LINE_READ, 10);
    souk_ticket_t *good = s_put(LINE_OTHER_SERVICE, 100);
    cr_assert_eq(s_take(UINT64_MAX, 8, 50), 1);
    cr_assert_eq(taken[0], good);
    cr_assert_not_null(late);
}

static bool s_is_even(const souk_ticket_t *ticket, const void *arg) {
    (void)arg;
    return ticket->deadline_us % 2 == 0;
}

Test(queue, take_if_removes_from_the_middle_and_keeps_the_rest_linked) {
    for (int64_t i = 0; i < 10; i++) {
        s_put(i < 5 ? LINE_BATCH : LINE_READ, i);
    }
    size_t count = 0;
    for (souk_ticket_t *at = souk_queue_take_if(&queue, s_is_even, NULL); at != NULL;
         at = at->next) {
        cr_assert_eq(at->deadline_us % 2, 0);
        count++;
    }
    cr_assert_eq(count, 5);
    cr_assert_eq(queue.count, 5);
    s_put(LINE_BATCH, 11);
    cr_assert_eq(s_take(UINT64_MAX, 8, 0), 3, "1, 3 and the new one");
    cr_assert_eq(taken[0]->deadline_us, 1);
    cr_assert_eq(taken[1]->deadline_us, 3);
    cr_assert_eq(taken[2]->deadline_us, 11);
}
