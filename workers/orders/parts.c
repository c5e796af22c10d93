#include "orders/parts.h"

void orders_parts_init(orders_parts_t *self, size_t count) {
    *self = (orders_parts_t){.waiting = {{.from = 0, .count = count}}, .count = 1};
}

bool orders_parts_next(orders_parts_t *self, orders_part_t *ret_part) {
    if (self->count == 0) {
        return false;
    }
    *ret_part = self->waiting[--self->count];
    return true;
}

void orders_parts_halve(orders_parts_t *self, const orders_part_t *part) {
    souk_assert(part->count > 1 && self->count + 2 <= ORDERS_PARTS_MAX);
    size_t half = part->count / 2;
    self->waiting[self->count++] =
        (orders_part_t){.from = part->from + half, .count = part->count - half};
    self->waiting[self->count++] = (orders_part_t){.from = part->from, .count = half};
}
