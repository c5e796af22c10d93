/* The map and the order against plain arrays, under random changes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "map.h"
#include "order.h"

#define KEYS 5000

static uint64_t s_seed = 3;

static uint32_t s_random(uint32_t below) {
    s_seed = s_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s_seed >> 33) % below;
}

static void s_count_value(void *arg, uint32_t value) {
    (void)value;
    ++*(int *)arg;
}

Test(map, finds_what_was_put_and_not_removed_while_it_grows_and_shrinks) {
    static char names[KEYS][16];
    static uint32_t values[KEYS];
    catalog_map_t map;
    catalog_map_init(&map);
    size_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "Key-%u", i);
        values[i] = CATALOG_NONE;
    }
    for (uint32_t round = 0; round < 200000; round++) {
        uint32_t i = s_random(round < 100000 ? KEYS : KEYS / 10);
        souk_str_t key = souk_str_of(names[i]);
        if (values[i] == CATALOG_NONE) {
            catalog_map_put(&map, key, values[i] = round);
            count++;
        } else if (s_random(3) == 0) {
            catalog_map_set(&map, key, values[i], round);
            values[i] = round;
        } else {
            catalog_map_remove(&map, key, values[i]);
            values[i] = CATALOG_NONE;
            count--;
        }
        cr_assert_eq(catalog_map_find(&map, key), values[i]);
        cr_assert_eq(map.count, count);
        uint32_t other = s_random(KEYS);
        cr_assert_eq(catalog_map_find(&map, souk_str_of(names[other])), values[other]);
    }
    int found = 0;
    catalog_map_put(&map, SOUK_STR("KEY-x"), 1);
    catalog_map_put(&map, SOUK_STR("key-X"), 2);
    catalog_map_find_any_case(&map, SOUK_STR("keY-x"), s_count_value, &found);
    cr_assert_eq(found, 2);
    cr_assert_eq(catalog_map_find(&map, SOUK_STR("keY-x")), CATALOG_NONE);
    catalog_map_done(&map);
}

Test(map, a_key_may_have_several_values_that_go_one_by_one) {
    catalog_map_t map;
    catalog_map_init(&map);
    catalog_map_put(&map, SOUK_STR("slug"), 1);
    catalog_map_put(&map, SOUK_STR("slug"), 2);
    catalog_map_remove(&map, SOUK_STR("slug"), 1);
    cr_assert_eq(catalog_map_find(&map, SOUK_STR("slug")), 2);
    catalog_map_remove(&map, SOUK_STR("slug"), 2);
    cr_assert_eq(catalog_map_find(&map, SOUK_STR("slug")), CATALOG_NONE);
    catalog_map_done(&map);
}

static catalog_sort_key_t s_key_of(const void *owner, uint32_t item) {
    return (catalog_sort_key_t){.number = ((const int64_t *)owner)[item]};
}

static void s_check_order(const catalog_order_t *order, const bool *in, uint32_t items) {
    catalog_order_pos_t pos = catalog_order_begin(order);
    uint32_t item = 0;
    size_t count = 0;
    int64_t last = INT64_MIN;
    while (catalog_order_next(order, &pos, &item)) {
        cr_assert(in[item] && s_key_of(order->owner, item).number > last);
        last = s_key_of(order->owner, item).number;
        count++;
    }
    size_t expected = 0;
    for (uint32_t i = 0; i < items; i++) {
        expected += in[i];
    }
    cr_assert(count == expected && order->count == expected);
    pos = catalog_order_end(order);
    while (catalog_order_prev(order, &pos, &item)) {
        cr_assert_leq(s_key_of(order->owner, item).number, last);
        last = s_key_of(order->owner, item).number;
        count--;
    }
    cr_assert_eq(count, 0);
}

Test(order, stays_sorted_and_whole_and_seeks_right) {
    static int64_t keys[KEYS];
    static bool in[KEYS];
    catalog_order_t order;
    catalog_order_init(&order, s_key_of, keys);
    for (uint32_t i = 0; i < KEYS; i++) {
        keys[i] = (int64_t)((i * 7919) % KEYS) * 2;
    }
    for (uint32_t round = 0; round < 60000; round++) {
        uint32_t i = round < KEYS ? round : s_random(KEYS);
        bool shrink = round > 40000;
        if (in[i]) {
            catalog_order_remove(&order, i);
            in[i] = false;
        } else if (!shrink) {
            catalog_order_insert(&order, i);
            in[i] = true;
        }
        if (round % 5000 == 0) {
            s_check_order(&order, in, KEYS);
        }
        const catalog_sort_key_t key = {.number = (int64_t)s_random(KEYS * 2)};
        catalog_order_pos_t pos = catalog_order_seek(&order, &key, round % 2 == 0);
        uint32_t item = 0;
        catalog_order_pos_t back = pos;
        cr_assert(!catalog_order_next(&order, &pos, &item) || keys[item] > key.number ||
                  (round % 2 != 0 && keys[item] == key.number));
        cr_assert(!catalog_order_prev(&order, &back, &item) || keys[item] < key.number ||
                  (round % 2 == 0 && keys[item] == key.number));
    }
    s_check_order(&order, in, KEYS);
    cr_assert_leq(order.chunks_count, 1 + order.count / (CATALOG_ORDER_CHUNK / 8));
    catalog_order_done(&order);
}
