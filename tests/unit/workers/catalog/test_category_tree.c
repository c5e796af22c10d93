/* The tree against brute force: random moves, deletions, products coming and going, and every order
 * of arrival. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "index_impl.h"
#include "model.h"

#define NODES 12
#define PRODUCTS 60

static const char *const s_ids[NODES] = {"cat_0", "cat_1", "cat_2", "cat_3", "cat_4", "cat_5",
                                         "cat_6", "cat_7", "cat_8", "cat_9", "cat_a", "cat_b"};

typedef struct {
    catalog_index_t *index;
    bool there[NODES];
    int parent[NODES];
    int64_t version[NODES];
    model_product_t products[PRODUCTS];
    uint64_t random;
} s_world_t;

static int s_random(s_world_t *self, int below) {
    self->random = self->random * 6364136223846793005u + 1442695040888963407u;
    return (int)((self->random >> 33) % (uint64_t)below);
}

static bool s_below(const s_world_t *self, int node, int ancestor) {
    for (; node >= 0 && self->there[node]; node = self->parent[node]) {
        if (node == ancestor) {
            return true;
        }
    }
    return false;
}

static void s_check_node(const s_world_t *self, int node, uint32_t at) {
    int64_t expected = 0, depth = 0;
    for (int i = 0; i < PRODUCTS; i++) {
        const model_product_t *product = &self->products[i];
        bool in = false;
        for (int c = 0; c < 3 && product->categories[c] != NULL; c++) {
            for (int n = 0; n < NODES; n++) {
                in =
                    in || (strcmp(product->categories[c], s_ids[n]) == 0 && s_below(self, n, node));
            }
        }
        expected += in && !product->deleted && product->status == CATALOG_PRODUCT_STATUS_ACTIVE;
    }
    for (int up = self->parent[node]; up >= 0 && self->there[up]; up = self->parent[up]) {
        depth++;
    }
    souk_arena_t *arena = souk_arena_new(1 << 16, 0);
    catalog_category_t category = {0};
    souk_issues_t issues;
    souk_issues_init(&issues);
    cr_assert_eq(souk_schema_from_mp(&catalog_category_type,
                                     catalog_tree_encoded(&self->index->tree, at), arena, &category,
                                     &issues),
                 SOUK_OK);
    cr_assert_eq(category.products_count, expected, "%s: %d, not %d", s_ids[node],
                 (int)category.products_count, (int)expected);
    cr_assert_eq(category.depth, depth, "%s: depth %d, not %d", s_ids[node], (int)category.depth,
                 (int)depth);
    cr_assert_eq(category.version, self->version[node]);
    souk_arena_destroy(&arena);
}

static void s_check(const s_world_t *self) {
    const catalog_tree_t *tree = &self->index->tree;
    uint32_t walked[NODES + 1];
    size_t count = catalog_tree_walk(tree, walked, SOUK_COUNT_OF(walked)), there = 0;
    for (int i = 0; i < NODES; i++) {
        there += self->there[i];
        uint32_t at = catalog_tree_find(tree, souk_str_of(s_ids[i]));
        cr_assert_eq(at != CATALOG_NONE && catalog_tree_is_there(tree, at), self->there[i]);
        if (self->there[i]) {
            s_check_node(self, i, at);
        }
    }
    cr_assert_eq(count, there);
    for (size_t i = 0; i < count; i++) { /* parents before children */
        uint32_t parent = catalog_tree_parent(tree, walked[i]);
        bool before = parent == CATALOG_NONE;
        for (size_t j = 0; j < i; j++) {
            before = before || walked[j] == parent;
        }
        cr_assert(before);
    }
}

static void s_change_category(s_world_t *self) {
    int node = s_random(self, NODES), parent = s_random(self, NODES + 3) - 3;
    if (self->there[node] && s_random(self, 5) == 0) {
        self->there[node] = false;
        model_category_delete(self->index, s_ids[node], ++self->version[node]);
        return;
    }
    if (parent >= 0 &&
        (parent == node || s_below(self, parent, node) || self->parent[parent] == node)) {
        return;
    }
    int up = parent; /* nor below itself through one that is not there */
    for (int steps = 0; up >= 0 && steps < NODES; steps++, up = self->parent[up]) {
        if (up == node) {
            return;
        }
    }
    self->there[node] = true;
    self->parent[node] = parent < 0 ? -1 : parent;
    model_category(self->index, s_ids[node], parent < 0 ? NULL : s_ids[parent],
                   ++self->version[node], s_random(self, 3));
}

static void s_change_product(s_world_t *self) {
    int number = s_random(self, PRODUCTS);
    model_product_t *product = &self->products[number];
    int64_t version = product->version;
    *product = model_product(number);
    product->version = version;
    product->deleted = version > 0 && s_random(self, 4) == 0;
    product->status = s_random(self, 3);
    for (int i = 0, count = s_random(self, 4); i < count; i++) {
        product->categories[i] = s_ids[s_random(self, NODES)];
    }
    model_put(self->index, product);
}

Test(category_tree, counts_depths_and_order_are_those_of_brute_force) {
    static s_world_t world;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        world = (s_world_t){.index = catalog_index_new("EUR"), .random = seed};
        for (int i = 0; i < NODES; i++) {
            world.parent[i] = -1;
        }
        for (int i = 0; i < PRODUCTS; i++) {
            world.products[i].deleted = true;
        }
        for (int i = 0; i < 300; i++) {
            if (s_random(&world, 3) == 0) {
                s_change_category(&world);
            } else {
                s_change_product(&world);
            }
            s_check(&world);
        }
        catalog_index_destroy(&world.index);
    }
}

static int64_t s_products_count(const catalog_index_t *index, const char *id) {
    return index->tree.nodes[catalog_tree_find(&index->tree, souk_str_of(id))].products_count;
}

Test(category_tree, children_and_products_may_come_before_the_category) {
    catalog_index_t *index = catalog_index_new("EUR");
    model_product_t product = model_product(1);
    product.categories[0] = "cat_leaf";
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    cr_assert_eq(catalog_index_category_id(index, SOUK_STR("cat_leaf")).size, 0);
    cr_assert_eq(catalog_index_entities(index), 1);
    model_category(index, "cat_leaf", "cat_middle", 1, 1);
    cr_assert_eq(catalog_index_category_depth(index, SOUK_STR("cat_leaf")), 0);
    model_category(index, "cat_top", NULL, 1, 1);
    model_category(index, "cat_middle", "cat_top", 1, 1);
    cr_assert_eq(catalog_index_category_depth(index, SOUK_STR("cat_leaf")), 2);
    cr_assert_eq(catalog_index_category_height(index, SOUK_STR("cat_top")), 2);
    cr_assert_eq(s_products_count(index, "cat_top"), 1);
    cr_assert(catalog_index_category_below(index, SOUK_STR("cat_leaf"), SOUK_STR("cat_top")));
    cr_assert_not(catalog_index_category_below(index, SOUK_STR("cat_top"), SOUK_STR("cat_leaf")));
    cr_assert_not(catalog_index_category_empty(index, SOUK_STR("cat_top")));
    cr_assert_not(catalog_index_category_empty(index, SOUK_STR("cat_leaf")));
    product.deleted = true;
    model_put(index, &product);
    cr_assert(catalog_index_category_empty(index, SOUK_STR("cat_leaf")));
    cr_assert(souk_str_equal(catalog_index_category_id(index, SOUK_STR("slug-cat_leaf")),
                             SOUK_STR("cat_leaf")));
    catalog_index_destroy(&index);
}

Test(category_tree, a_ring_of_different_times_opens_again) {
    catalog_index_t *index = catalog_index_new("EUR");
    model_product_t product = model_product(1);
    product.categories[0] = "cat_a";
    model_category(index, "cat_a", "cat_b", 2, 1); /* its newest; the others' are yet to come */
    model_category(index, "cat_b", "cat_c", 1, 1);
    model_category(index, "cat_c", "cat_a", 1, 1);
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    uint32_t walked[4];
    cr_assert_eq(catalog_tree_walk(&index->tree, walked, 4), 0);
    cr_assert_leq(catalog_index_category_height(index, SOUK_STR("cat_a")), 64);
    model_category(index, "cat_b", NULL, 2, 1);
    cr_assert_eq(catalog_tree_walk(&index->tree, walked, 4), 3);
    cr_assert_eq(catalog_index_category_depth(index, SOUK_STR("cat_c")), 2);
    cr_assert_eq(s_products_count(index, "cat_b"), 1);
    cr_assert_eq(s_products_count(index, "cat_a"), 1);
    cr_assert_eq(s_products_count(index, "cat_c"), 0);
    catalog_index_destroy(&index);
}

Test(category_tree, siblings_stand_by_position_then_name) {
    catalog_index_t *index = catalog_index_new("EUR");
    model_category(index, "cat_b", NULL, 1, 5);
    model_category(index, "cat_a", NULL, 1, 5);
    model_category(index, "cat_z", NULL, 1, 1);
    model_category(index, "cat_c", "cat_z", 1, 9);
    uint32_t walked[4];
    cr_assert_eq(catalog_tree_walk(&index->tree, walked, 4), 4);
    const char *const expected[] = {"cat_z", "cat_c", "cat_a", "cat_b"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert(
            souk_str_equal(catalog_tree_id(&index->tree, walked[i]), souk_str_of(expected[i])));
    }
    catalog_index_destroy(&index);
}
