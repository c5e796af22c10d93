#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "catalog/snapshot.h"
#include "gen/catalog.h"
#include "model.h"
#include "souk/schema.h"

#define IDENTITY "0123456789abcdef0123456789abcdef"

static char s_directory[] = "/tmp/souk-snapshot-XXXXXX";

static void s_make_directory(void) {
    cr_assert(mkdtemp(s_directory) != NULL);
}

static void s_remove_directory(void) {
    static const char *const names[] = {"one.snap", "two.snap", "one.part"};
    char path[128];
    for (size_t i = 0; i < SOUK_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", s_directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(s_directory);
}

/* A category, deleted or not, as revision and version. */
static void s_apply(catalog_index_t *index, const char *id, int64_t revision, bool deleted) {
    souk_buf_t document;
    souk_buf_init(&document, 4096);
    catalog_category_record_t record = {0};
    catalog_category_record_set_id(&record, souk_str_of(id));
    catalog_category_record_set_version(&record, revision);
    catalog_category_record_set_slug(&record, souk_str_of("kitchen"));
    catalog_category_record_set_name(&record, souk_str_of("Kitchen"));
    souk_bits_set_nil(&record.bits, CATALOG_CATEGORY_RECORD_PARENT_ID_BIT);
    catalog_category_record_set_position(&record, 0);
    catalog_category_record_set_created_at(&record, 1000000);
    catalog_category_record_set_updated_at(&record, 1000000);
    souk_schema_to_mp(&catalog_category_record_type, &record, &document);
    const catalog_change_t change = {
        .revision = revision,
        .kind = CATALOG_CATEGORY,
        .entity_id = souk_str_of(id),
        .version = revision,
        .deleted = deleted,
        .document = deleted ? (souk_str_t){0} : souk_buf_str(&document),
    };
    cr_assert_eq(catalog_index_apply(index, &change), SOUK_OK);
    souk_buf_done(&document);
}

static void s_write(const char *name, int64_t revision) {
    catalog_index_t *index = catalog_index_new("EUR");
    s_apply(index, "cat_00000000000000000000000001", revision, false);
    s_apply(index, "cat_00000000000000000000000002", revision + 1, true);
    catalog_snapshot_t *snapshot = catalog_snapshot_collect(index, IDENTITY);
    cr_assert_eq(catalog_snapshot_write(snapshot, s_directory, name), SOUK_OK);
    catalog_snapshot_destroy(&snapshot);
    catalog_index_destroy(&index);
}

static souk_err_t s_load(catalog_index_t **ret_index) {
    char identity[CATALOG_IDENTITY_CHARS + 1];
    souk_err_t err = catalog_snapshot_load(s_directory, "EUR", ret_index, identity);
    if (err == SOUK_OK) {
        cr_assert_str_eq(identity, IDENTITY);
    }
    return err;
}

static void s_flip(const char *name, off_t at) {
    char path[128];
    uint8_t byte = 0;
    snprintf(path, sizeof path, "%s/%s", s_directory, name);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 1;
    cr_assert(pwrite(fd, &byte, 1, at) == 1);
    close(fd);
}

TestSuite(snapshot, .init = s_make_directory, .fini = s_remove_directory);

Test(snapshot, what_was_written_is_read) {
    catalog_index_t *index = NULL;
    catalog_entity_t entity;
    s_write("one", 7);
    cr_assert_eq(s_load(&index), SOUK_OK);
    cr_assert_eq(catalog_index_revision(index), 8);
    cr_assert(catalog_index_entity(index, CATALOG_CATEGORY,
                                   SOUK_STR("cat_00000000000000000000000001"), &entity));
    cr_assert(!entity.deleted && entity.version == 7);
    cr_assert_eq(
        catalog_index_version(index, CATALOG_CATEGORY, SOUK_STR("cat_00000000000000000000000002")),
        8);
    catalog_index_destroy(&index);
}

Test(snapshot, a_dropped_sku_stays_bound) {
    catalog_index_t *index = catalog_index_new("EUR"), *loaded = NULL;
    model_product_t product = model_product(1);
    cr_assert_eq(model_apply(index, &product), SOUK_OK);
    snprintf(product.variants[0].sku, sizeof product.variants[0].sku, "NEW-1");
    model_put(index, &product);
    catalog_snapshot_t *snapshot = catalog_snapshot_collect(index, IDENTITY);
    cr_assert_eq(catalog_snapshot_write(snapshot, s_directory, "one"), SOUK_OK);
    cr_assert_eq(s_load(&loaded), SOUK_OK);
    souk_str_t id = souk_str_of(product.id);
    cr_assert(souk_str_equal(catalog_index_sku_owner(loaded, SOUK_STR("SKU-1")), id));
    cr_assert(souk_str_equal(catalog_index_sku_owner(loaded, SOUK_STR("NEW-1")), id));
    catalog_snapshot_destroy(&snapshot);
    catalog_index_destroy(&loaded);
    catalog_index_destroy(&index);
}

Test(snapshot, an_empty_directory_has_none) {
    catalog_index_t *index = NULL;
    cr_assert_eq(s_load(&index), SOUK_ERR_NOT_FOUND);
    cr_assert_eq(
        catalog_snapshot_load("/nonexistent", "EUR", &index, (char[CATALOG_IDENTITY_CHARS + 1]){0}),
        SOUK_ERR_NOT_FOUND);
}

Test(snapshot, the_newest_is_taken_and_a_damaged_one_passed_over) {
    catalog_index_t *index = NULL;
    s_write("one", 7);
    s_write("two", 20);
    cr_assert_eq(s_load(&index), SOUK_OK);
    cr_assert_eq(catalog_index_revision(index), 21);
    catalog_index_destroy(&index);
    s_flip("two.snap", 100);
    cr_assert_eq(s_load(&index), SOUK_OK);
    cr_assert_eq(catalog_index_revision(index), 8);
    catalog_index_destroy(&index);
}

Test(snapshot, damage_anywhere_is_noticed) {
    catalog_index_t *index = NULL;
    char path[128];
    s_write("one", 7);
    snprintf(path, sizeof path, "%s/one.snap", s_directory);
    FILE *file = fopen(path, "r");
    cr_assert(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    fclose(file);
    for (long at = 0; at < size; at += 7) {
        s_flip("one.snap", at);
        cr_assert_neq(s_load(&index), SOUK_OK, "byte %ld", at);
        s_flip("one.snap", at);
    }
    cr_assert_eq(truncate(path, size / 2), 0);
    cr_assert_neq(s_load(&index), SOUK_OK);
}
