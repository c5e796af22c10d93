/* Halving a batch until what fails in it stands alone: which part is next. */
#ifndef ORDERS_PARTS_H
#define ORDERS_PARTS_H

#include "souk/base.h"

typedef struct {
    size_t from, count;
} orders_part_t;

/* Each halving leaves one more that waits: at most log2 of the batch. */
#define ORDERS_PARTS_MAX 9

typedef struct {
    orders_part_t waiting[ORDERS_PARTS_MAX];
    size_t count;
} orders_parts_t;

/* One part: all of it. count at most 256. */
void orders_parts_init(orders_parts_t *self, size_t count);
/* In their order. False: none is left. */
bool orders_parts_next(orders_parts_t *self, orders_part_t *ret_part);
/* The part, of two or more, is next in halves. */
void orders_parts_halve(orders_parts_t *self, const orders_part_t *part);

#endif
