#include "queue.h"

#include <stdlib.h>

void souk_queue_init(souk_queue_t *self, size_t lines_count) {
    *self = (souk_queue_t){.lines_count = lines_count};
    self->lines = calloc(lines_count, sizeof(*self->lines));
    souk_assert(self->lines != NULL);
}

void souk_queue_done(souk_queue_t *self) {
    souk_assert(self->count == 0);
    free(self->lines);
    *self = (souk_queue_t){0};
}

void souk_queue_describe(souk_queue_t *self, size_t line, uint32_t service, bool is_batch) {
    souk_assert(line < self->lines_count);
    self->lines[line].service = service;
    self->lines[line].is_batch = is_batch;
}

void souk_queue_put(souk_queue_t *self, souk_ticket_t *ticket) {
    souk_assert(ticket->method < self->lines_count);
    souk_queue_line_t *line = &self->lines[ticket->method];
    ticket->number = self->number++;
    ticket->next = NULL;
    ticket->previous = line->tail;
    if (line->tail != NULL) {
        line->tail->next = ticket;
    } else {
        line->head = ticket;
    }
    line->tail = ticket;
    self->count++;
}

static void s_remove(souk_queue_t *self, souk_ticket_t *ticket) {
    souk_queue_line_t *line = &self->lines[ticket->method];
    *(ticket->previous != NULL ? &ticket->previous->next : &line->head) = ticket->next;
    *(ticket->next != NULL ? &ticket->next->previous : &line->tail) = ticket->previous;
    ticket->next = ticket->previous = NULL;
    self->count--;
}

/* The line whose first call has waited longest. A worker has a few dozen methods: a scan is cheap
 * beside a call that needs a slot. */
static souk_queue_line_t *s_oldest_line(souk_queue_t *self, uint64_t services) {
    souk_queue_line_t *oldest = NULL;
    for (size_t i = 0; i < self->lines_count && self->count > 0; i++) {
        souk_queue_line_t *line = &self->lines[i];
        if (line->head == NULL || (services >> line->service & 1) == 0) {
            continue;
        }
        if (oldest == NULL || line->head->number < oldest->head->number) {
            oldest = line;
        }
    }
    return oldest;
}

size_t souk_queue_take(souk_queue_t *self, const souk_queue_pick_t *pick,
                       souk_ticket_t **ret_tickets, souk_ticket_t **ret_late) {
    *ret_late = NULL;
    for (;;) {
        souk_queue_line_t *line = s_oldest_line(self, pick->services);
        if (line == NULL) {
            return 0;
        }
        size_t max = line->is_batch ? pick->batch_max : 1;
        size_t count = 0;
        while (count < max && line->head != NULL) {
            souk_ticket_t *ticket = line->head;
            s_remove(self, ticket);
            if (ticket->deadline_us < pick->deadline_from_us) {
                ticket->next = *ret_late;
                *ret_late = ticket;
            } else {
                ret_tickets[count++] = ticket;
            }
        }
        if (count > 0) {
            return count;
        }
    }
}

souk_ticket_t *souk_queue_take_if(souk_queue_t *self,
                                  bool (*match)(const souk_ticket_t *ticket, const void *arg),
                                  const void *arg) {
    souk_ticket_t *first = NULL;
    souk_ticket_t **end = &first;
    for (size_t i = 0; i < self->lines_count; i++) {
        souk_ticket_t *next;
        for (souk_ticket_t *ticket = self->lines[i].head; ticket != NULL; ticket = next) {
            next = ticket->next;
            if (match(ticket, arg)) {
                s_remove(self, ticket);
                *end = ticket;
                end = &ticket->next;
            }
        }
    }
    return first;
}
