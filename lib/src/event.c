#include "souk/event.h"

const souk_event_kind_t *souk_event_kind_of(souk_str_t service, souk_str_t type) {
    for (size_t i = 0; i < souk_event_kinds_count; i++) {
        const souk_event_kind_t *kind = &souk_event_kinds[i];
        if (souk_str_equal(souk_str_of(kind->type), type) &&
            souk_str_equal(souk_str_of(kind->service), service)) {
            return kind;
        }
    }
    return NULL;
}
