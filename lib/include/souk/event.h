/* Kinds of events: the table of schemas/events.yaml. */
#ifndef SOUK_EVENT_H
#define SOUK_EVENT_H

#include "souk/base.h"

typedef struct {
    const char *type;      /* such as order.placed */
    const char *service;   /* whose outbox it stands in */
    const char *aggregate; /* what it is about, such as order */
} souk_event_kind_t;

/* Generated; gen/events.h has the indexes as constants. */
extern const souk_event_kind_t souk_event_kinds[];
extern const size_t souk_event_kinds_count;

/* The kind that the service declares by this name; NULL: it declares none. */
const souk_event_kind_t *souk_event_kind_of(souk_str_t service, souk_str_t type);

#endif
