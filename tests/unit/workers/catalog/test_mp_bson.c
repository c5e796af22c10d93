#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "catalog/mp_bson.h"
#include "souk/mp.h"

static souk_err_t s_there_and_back(const souk_buf_t *mp, souk_buf_t *ret) {
    bson_t bson = BSON_INITIALIZER;
    souk_err_t err = catalog_mp_to_bson(souk_buf_str(mp), &bson);
    if (err == SOUK_OK) {
        err = catalog_mp_from_bson(
            (souk_str_t){.data = (const char *)bson_get_data(&bson), .size = bson.len}, ret);
    }
    bson_destroy(&bson);
    return err;
}

Test(mp_bson, every_kind_comes_back_byte_for_byte) {
    souk_buf_t mp, back;
    souk_buf_init(&mp, 4096);
    souk_buf_init(&back, 4096);
    souk_mp_write_map(&mp, 8);
    souk_mp_write_str(&mp, SOUK_STR("nil"));
    souk_mp_write_nil(&mp);
    souk_mp_write_str(&mp, SOUK_STR("yes"));
    souk_mp_write_bool(&mp, true);
    souk_mp_write_str(&mp, SOUK_STR("int"));
    souk_mp_write_int(&mp, INT64_MIN);
    souk_mp_write_str(&mp, SOUK_STR("float"));
    souk_mp_write_float(&mp, 0.1);
    souk_mp_write_str(&mp, SOUK_STR("text"));
    souk_mp_write_str(&mp, SOUK_STR("caf\xc3\xa9"));
    souk_mp_write_str(&mp, SOUK_STR("time"));
    souk_mp_write_time(&mp, INT64_C(1764000000123000));
    souk_mp_write_str(&mp, SOUK_STR("list"));
    souk_mp_write_array(&mp, 3);
    souk_mp_write_int(&mp, 1);
    souk_mp_write_array(&mp, 0);
    souk_mp_write_map(&mp, 0);
    souk_mp_write_str(&mp, SOUK_STR("map"));
    souk_mp_write_map(&mp, 1);
    souk_mp_write_str(&mp, SOUK_STR("a"));
    souk_mp_write_str(&mp, SOUK_STR(""));
    cr_assert_eq(s_there_and_back(&mp, &back), SOUK_OK);
    cr_assert_eq(back.size, mp.size);
    cr_assert_arr_eq(back.data, mp.data, mp.size);
    souk_buf_done(&mp);
    souk_buf_done(&back);
}

Test(mp_bson, keys_that_servers_refuse_come_back) {
    static const char *const keys[] = {"", "a.b", "$set", "100%", "%2E", "%", "."};
    souk_buf_t mp, back;
    souk_buf_init(&mp, 4096);
    souk_buf_init(&back, 4096);
    souk_mp_write_map(&mp, SOUK_COUNT_OF(keys));
    for (size_t i = 0; i < SOUK_COUNT_OF(keys); i++) {
        souk_mp_write_str(&mp, souk_str_of(keys[i]));
        souk_mp_write_int(&mp, (int64_t)i);
    }
    bson_t bson = BSON_INITIALIZER;
    bson_iter_t iter;
    cr_assert_eq(catalog_mp_to_bson(souk_buf_str(&mp), &bson), SOUK_OK);
    cr_assert(bson_iter_init(&iter, &bson));
    while (bson_iter_next(&iter)) {
        const char *key = bson_iter_key(&iter);
        cr_assert(key[0] != '\0' && strpbrk(key, ".$") == NULL, "%s", key);
    }
    bson_destroy(&bson);
    cr_assert_eq(s_there_and_back(&mp, &back), SOUK_OK);
    cr_assert_eq(back.size, mp.size);
    cr_assert_arr_eq(back.data, mp.data, mp.size);
    souk_buf_done(&mp);
    souk_buf_done(&back);
}

Test(mp_bson, what_has_no_place_is_refused) {
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x01", 1},         /* no map */
        {"\x81\x01\x01", 3}, /* a key that is no string */
        {"\x81\xa1"
         "a\xc4\x01x",
         6}, /* bin */
        {"\x81\xa1"
         "a\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
         12}, /* above int64 */
        {"\x81\xa1"
         "a",
         3},             /* truncated */
        {"\x80\x80", 2}, /* trailing */
        {"\x81\xa3"
         "a\0b\x01",
         6}, /* NUL in a key */
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        bson_t bson = BSON_INITIALIZER;
        souk_err_t err =
            catalog_mp_to_bson((souk_str_t){.data = bad[i].bytes, .size = bad[i].size}, &bson);
        cr_assert_eq(err, SOUK_ERR_MALFORMED, "case %zu", i);
        bson_destroy(&bson);
    }
}

Test(mp_bson, depth_is_bounded) {
    souk_buf_t mp;
    souk_buf_init(&mp, 4096);
    for (int i = 0; i < SOUK_MP_DEPTH_MAX + 1; i++) {
        souk_mp_write_map(&mp, 1);
        souk_mp_write_str(&mp, SOUK_STR("k"));
    }
    souk_mp_write_nil(&mp);
    bson_t bson = BSON_INITIALIZER;
    cr_assert_eq(catalog_mp_to_bson(souk_buf_str(&mp), &bson), SOUK_ERR_MALFORMED);
    bson_destroy(&bson);
    souk_buf_done(&mp);
}
