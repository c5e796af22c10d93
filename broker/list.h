/* Intrusive doubly linked lists. In the broker a state is a list: an object is in exactly the lists
 * that its state says, and counts are kept where it enters and leaves. */
#ifndef SOUK_BROKER_LIST_H
#define SOUK_BROKER_LIST_H

#include "souk/base.h"

/* A link inside an object, or (as a ring) the head of a list. A link that is in no list points to
 * itself. */
typedef struct souk_link {
    struct souk_link *prev, *next;
} souk_link_t;

#define SOUK_OBJECT_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void souk_link_init(souk_link_t *self) {
    self->prev = self->next = self;
}

static inline bool souk_list_empty(const souk_link_t *head) {
    return head->next == head;
}

static inline void souk_link_remove(souk_link_t *self) {
    self->prev->next = self->next;
    self->next->prev = self->prev;
    souk_link_init(self);
}

static inline void souk_list_append(souk_link_t *head, souk_link_t *link) {
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void souk_list_prepend(souk_link_t *head, souk_link_t *link) {
    souk_list_append(head->next, link);
}

#endif
