#include "souk/machine.h"

static int16_t s_target(const souk_machine_t *self, int32_t from, int32_t by) {
    souk_assert(from >= 0 && (size_t)from < self->states_count);
    souk_assert(by >= 0 && (size_t)by < self->moves_count);
    return self->targets[(size_t)from * self->moves_count + (size_t)by];
}

bool souk_machine_move(const souk_machine_t *self, int32_t from, int32_t by, int32_t *ret_to) {
    int16_t to = s_target(self, from, by);
    if (to < 0) {
        return false;
    }
    *ret_to = to;
    return true;
}

bool souk_machine_is_final(const souk_machine_t *self, int32_t state) {
    for (size_t by = 0; by < self->moves_count; by++) {
        if (s_target(self, state, (int32_t)by) >= 0) {
            return false;
        }
    }
    return true;
}

int32_t souk_machine_state_of(const souk_machine_t *self, souk_str_t name) {
    for (size_t i = 0; i < self->states_count; i++) {
        if (souk_str_equal(souk_str_of(self->states[i]), name)) {
            return (int32_t)i;
        }
    }
    return -1;
}

const char *souk_machine_state_name(const souk_machine_t *self, int32_t state) {
    souk_assert(state >= 0 && (size_t)state < self->states_count);
    return self->states[state];
}

const char *souk_machine_move_name(const souk_machine_t *self, int32_t by) {
    souk_assert(by >= 0 && (size_t)by < self->moves_count);
    return self->moves[by];
}
