/* State machines of services, as tables: `machines:` in schemas/<service>.yaml. States and moves
 * are numbered by the constants of gen/<service>.h, in the order in which they are declared. */
#ifndef SOUK_MACHINE_H
#define SOUK_MACHINE_H

#include "souk/base.h"

typedef struct {
    const char *name;
    const char *const *states, *const *moves; /* names by number */
    size_t states_count, moves_count;
    int32_t initial;
    const int16_t *targets; /* [state * moves_count + move]: the state it leads to, -1: none */
} souk_machine_t;

/* Whether the machine may leave `from` by this move; then ret_to is where it arrives. */
SOUK_MUST_CHECK bool souk_machine_move(const souk_machine_t *self, int32_t from, int32_t by,
                                       int32_t *ret_to);
/* No move leads out of it. */
bool souk_machine_is_final(const souk_machine_t *self, int32_t state);
/* -1: it has no state of that name, which a database may hold that a newer program wrote. */
int32_t souk_machine_state_of(const souk_machine_t *self, souk_str_t name);
/* For texts and columns; never NULL. */
const char *souk_machine_state_name(const souk_machine_t *self, int32_t state);
const char *souk_machine_move_name(const souk_machine_t *self, int32_t by);

#endif
