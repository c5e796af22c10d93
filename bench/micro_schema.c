/* What the gateway does to one request and one reply, by the schema engine and by jansson and
 * msgpack-c: JSON -> struct -> msgpack, then msgpack -> JSON. Both sides fill the same structs by
 * the same descriptors, check lengths, bounds and unknown keys, and their outputs are compared
 * first. msgpack-c's objects are printed by our own JSON writer, because jansson's dump of them is
 * many times slower.
 *
 * Prints ns per step (the median of the rounds), the sums and their ratio. */
#include <jansson.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gen/catalog.h"
#include "souk/clock.h"
#include "souk/json.h"
#include "souk/mp.h"
#include "souk/transcode.h"

#define S_ROUNDS 15
#define S_CALLS 4000

static const char s_request[] =
    "{\"slug\":\"walnut-serving-board\",\"name\":\"Walnut serving board\",\"status\":\"active\","
    "\"category_ids\":[\"kitchen\"],\"tags\":[\"wood\",\"gift\"],\"attributes\":{\"material\":"
    "\"walnut\"},"
    "\"options\":[\"size\"],\"variants\":[{\"sku\":\"WSB-S\",\"price\":{\"amount\":1999,"
    "\"currency\":\"EUR\"},"
    "\"option_values\":{\"size\":\"small\"},\"weight_g\":450},{\"sku\":\"WSB-L\",\"price\":{"
    "\"amount\":2999,"
    "\"currency\":\"EUR\"},\"option_values\":{\"size\":\"large\"},\"weight_g\":900}]}";

#define S_VARIANT(n)                                                                               \
    "{\"id\":\"var_01JD3YV4M8Q6T0R7ZK5N2X9W1" n "\",\"sku\":\"WSB-" n                              \
    "\",\"price\":{\"amount\":1999,\"currency\":\"EUR\"},\"compare_at_price\":null,"               \
    "\"option_values\":{\"size\":\"large\",\"finish\":\"oiled\"},\"weight_g\":900,"                \
    "\"barcode\":\"4006381333931\"}"

static const char s_product[] =
    "{\"id\":\"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B\",\"version\":3,\"revision\":1042,"
    "\"slug\":\"walnut-serving-board\",\"name\":\"Walnut serving board\","
    "\"description\":\"Oiled walnut with a routed edge.\\nWipe clean.\",\"status\":\"active\","
    "\"category_ids\":[\"cat_01JD3YV4M8Q6T0R7ZK5N2X9W1B\"],\"tags\":[\"wood\",\"gift\"],"
    "\"attributes\":{\"material\":\"walnut\",\"care\":\"wipe\"},"
    "\"media\":[{\"url\":\"/media/walnut-serving-board.svg\",\"alt\":\"A board with bread\"}],"
    "\"options\":[\"size\",\"finish\"],\"variants\":[" S_VARIANT("A") "," S_VARIANT(
        "B") "," S_VARIANT("C") "," S_VARIANT("D") "," S_VARIANT("E") "],"
                                                                      "\"price_min\":{\"amount\":"
                                                                      "1999,\"currency\":\"EUR\"},"
                                                                      "\"price_max\":{\"amount\":"
                                                                      "1999,\"currency\":\"EUR\"},"
                                                                      "\"created_at\":\"2026-11-"
                                                                      "24T10:00:00Z\",\"updated_"
                                                                      "at\":\"2026-11-24T10:00:00."
                                                                      "250Z\"}";

typedef struct {
    souk_arena_t *arena;
    catalog_products_create_req_t request;
    json_t *root; /* theirs: the strings of request are in it */
    souk_buf_t packed, printed;
    msgpack_sbuffer theirs_packed;
    souk_str_t reply; /* msgpack */
} s_bench_t;

static void s_require(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "souk-bench-schema: %s\n", what);
        _Exit(1);
    }
}

/* ---- ours
 * -----------------------------------------------------------------------------------------------------------
 */

static void s_decode(s_bench_t *self) {
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_arena_reset(self->arena);
    memset(&self->request, 0, sizeof(self->request));
    souk_err_t err = souk_schema_from_json(&catalog_products_create_req_type, SOUK_STR(s_request),
                                           self->arena, &self->request, &issues);
    s_require(err == SOUK_OK, "the request is refused");
    err = souk_schema_check(&catalog_products_create_req_type, &self->request, &issues);
    s_require(err == SOUK_OK, "the request is not complete");
}

static void s_encode(s_bench_t *self) {
    souk_buf_clear(&self->packed);
    souk_schema_to_mp(&catalog_products_create_req_type, &self->request, &self->packed);
}

static void s_transcode(s_bench_t *self) {
    souk_buf_clear(&self->printed);
    souk_err_t err = souk_transcode(self->reply, &self->printed, NULL, 0);
    s_require(err == SOUK_OK, "the reply is refused");
}

/* ---- jansson and msgpack-c
 * ------------------------------------------------------------------------------------------ */

static bool s_fits(const char *text, size_t size, int64_t min, int64_t max) {
    int64_t count = (int64_t)souk_utf8_count((souk_str_t){.data = text, .size = size});
    return count >= min && count <= max;
}

static void s_theirs_record(const souk_type_t *type, json_t *object, souk_arena_t *arena,
                            void *record);

static void s_theirs_str(const json_t *value, int64_t min, int64_t max, souk_str_t *ret_text) {
    *ret_text = (souk_str_t){.data = json_string_value(value), .size = json_string_length(value)};
    s_require(ret_text->data != NULL && s_fits(ret_text->data, ret_text->size, min, max),
              "a string");
}

static void s_theirs_list(const souk_field_t *field, json_t *array, souk_arena_t *arena,
                          souk_list_t *list) {
    list->count = json_array_size(array);
    s_require(json_is_array(array) && list->count <= (size_t)field->max, "a list");
    size_t item_bytes = field->type != NULL ? field->type->struct_bytes : sizeof(souk_str_t);
    char *items = souk_arena_alloc_array(arena, list->count, item_bytes);
    list->items = items;
    for (size_t i = 0; i < list->count; i++) {
        json_t *item = json_array_get(array, i);
        void *at = items + i * item_bytes;
        if (field->type != NULL) {
            s_theirs_record(field->type, item, arena, at);
        } else {
            s_theirs_str(item, field->item_min, field->item_max, at);
        }
    }
}

static void s_theirs_map(const souk_field_t *field, json_t *object, souk_arena_t *arena,
                         souk_pairs_t *pairs) {
    size_t count = json_object_size(object);
    s_require(json_is_object(object) && count <= (size_t)field->max, "a map");
    souk_pair_t *items = souk_arena_alloc_array(arena, count, sizeof(*items)), *at = items;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        at->name = souk_str_of(name);
        s_theirs_str(value, field->item_min, field->item_max, &at->value);
        at++;
    }
    *pairs = (souk_pairs_t){.items = items, .count = count};
}

static void s_theirs_enum(const souk_field_t *field, const json_t *value, int32_t *member) {
    const char *text = json_string_value(value);
    for (int32_t i = 0; text != NULL && i < field->enum_count; i++) {
        if (strcmp(field->enum_names[i], text) == 0) {
            *member = i;
            return;
        }
    }
    s_require(false, "an enum");
}

static void s_theirs_field(const souk_field_t *field, json_t *value, souk_arena_t *arena,
                           void *member) {
    switch (field->kind) {
    case SOUK_KIND_INT:
        *(int64_t *)member = json_integer_value(value);
        s_require(json_is_integer(value) && *(int64_t *)member >= field->min &&
                      *(int64_t *)member <= field->max,
                  "an integer");
        break;
    case SOUK_KIND_STR:
        s_theirs_str(value, field->min, field->max, member);
        break;
    case SOUK_KIND_ENUM:
        s_theirs_enum(field, value, member);
        break;
    case SOUK_KIND_RECORD:
        s_theirs_record(field->type, value, arena, member);
        break;
    case SOUK_KIND_LIST:
        s_theirs_list(field, value, arena, member);
        break;
    case SOUK_KIND_MAP:
        s_theirs_map(field, value, arena, member);
        break;
    default:
        s_require(false, "a kind that the request has not");
    }
}

static void s_theirs_record(const souk_type_t *type, json_t *object, souk_arena_t *arena,
                            void *record) {
    souk_bits_t *bits = record;
    size_t known = 0;
    for (size_t i = 0; i < type->fields_count; i++) {
        const souk_field_t *field = &type->fields[i];
        json_t *value = json_object_get(object, field->name);
        if (value != NULL) {
            known++;
            souk_bits_set(bits, field->bit);
            s_theirs_field(field, value, arena, (char *)record + field->offset);
        }
    }
    s_require(known == json_object_size(object), "an unknown key");
    s_require((type->required & ~bits->has) == 0, "a missing field");
}

static void s_theirs_decode(s_bench_t *self) {
    json_decref(self->root);
    souk_arena_reset(self->arena);
    memset(&self->request, 0, sizeof(self->request));
    self->root = json_loadb(s_request, sizeof(s_request) - 1, JSON_REJECT_DUPLICATES, NULL);
    s_theirs_record(&catalog_products_create_req_type, self->root, self->arena, &self->request);
}

static void s_pack_str(msgpack_packer *packer, const char *data, size_t size) {
    msgpack_pack_str(packer, size);
    msgpack_pack_str_body(packer, data, size);
}

static void s_pack_record(const souk_type_t *type, const void *record, msgpack_packer *packer);

static void s_pack_list(const souk_field_t *field, const souk_list_t *list,
                        msgpack_packer *packer) {
    msgpack_pack_array(packer, list->count);
    const souk_str_t *texts = list->items;
    for (size_t i = 0; i < list->count; i++) {
        if (field->type != NULL) {
            const char *items = list->items;
            s_pack_record(field->type, items + i * field->type->struct_bytes, packer);
        } else {
            s_pack_str(packer, texts[i].data, texts[i].size);
        }
    }
}

static void s_pack_field(const souk_field_t *field, const void *member, msgpack_packer *packer) {
    const souk_str_t *text = member;
    const souk_pairs_t *pairs = member;
    switch (field->kind) {
    case SOUK_KIND_INT:
        msgpack_pack_int64(packer, *(const int64_t *)member);
        break;
    case SOUK_KIND_STR:
        s_pack_str(packer, text->data, text->size);
        break;
    case SOUK_KIND_ENUM: {
        const char *name = field->enum_names[*(const int32_t *)member];
        s_pack_str(packer, name, strlen(name));
        break;
    }
    case SOUK_KIND_RECORD:
        s_pack_record(field->type, member, packer);
        break;
    case SOUK_KIND_LIST:
        s_pack_list(field, member, packer);
        break;
    default:
        msgpack_pack_map(packer, pairs->count);
        for (size_t i = 0; i < pairs->count; i++) {
            s_pack_str(packer, pairs->items[i].name.data, pairs->items[i].name.size);
            s_pack_str(packer, pairs->items[i].value.data, pairs->items[i].value.size);
        }
    }
}

static void s_pack_record(const souk_type_t *type, const void *record, msgpack_packer *packer) {
    const souk_bits_t *bits = record;
    msgpack_pack_map(packer, (size_t)__builtin_popcountll(bits->has));
    for (size_t i = 0; i < type->fields_count; i++) {
        const souk_field_t *field = &type->fields[i];
        if (souk_bits_has(bits, field->bit)) {
            s_pack_str(packer, field->name, field->name_size);
            s_pack_field(field, (const char *)record + field->offset, packer);
        }
    }
}

static void s_theirs_encode(s_bench_t *self) {
    msgpack_packer packer;
    msgpack_sbuffer_clear(&self->theirs_packed);
    msgpack_packer_init(&packer, &self->theirs_packed, msgpack_sbuffer_write);
    s_pack_record(&catalog_products_create_req_type, &self->request, &packer);
}

static void s_print_ext(const msgpack_object *object, souk_buf_t *buf) {
    souk_mp_token_t token = {
        .kind = SOUK_MP_EXT,
        .ext_type = object->via.ext.type,
        .as.bytes = {.data = object->via.ext.ptr, .size = object->via.ext.size}};
    int64_t unix_us;
    char text[SOUK_TIME_TEXT_BYTES];
    s_require(souk_mp_time_of(&token, &unix_us) == SOUK_OK, "an extension");
    souk_json_write_str(buf, (souk_str_t){.data = text, .size = souk_time_format(unix_us, text)});
}

static void s_print(const msgpack_object *object, souk_buf_t *buf) {
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        souk_buf_append(buf, "null", 4);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        souk_json_write_int(buf, object->via.i64);
        break;
    case MSGPACK_OBJECT_STR:
        souk_json_write_str(
            buf, (souk_str_t){.data = object->via.str.ptr, .size = object->via.str.size});
        break;
    case MSGPACK_OBJECT_EXT:
        s_print_ext(object, buf);
        break;
    case MSGPACK_OBJECT_ARRAY:
        souk_buf_append_byte(buf, '[');
        for (uint32_t i = 0; i < object->via.array.size; i++) {
            if (i > 0) {
                souk_buf_append_byte(buf, ',');
            }
            s_print(&object->via.array.ptr[i], buf);
        }
        souk_buf_append_byte(buf, ']');
        break;
    case MSGPACK_OBJECT_MAP:
        souk_buf_append_byte(buf, '{');
        for (uint32_t i = 0; i < object->via.map.size; i++) {
            if (i > 0) {
                souk_buf_append_byte(buf, ',');
            }
            s_print(&object->via.map.ptr[i].key, buf);
            souk_buf_append_byte(buf, ':');
            s_print(&object->via.map.ptr[i].val, buf);
        }
        souk_buf_append_byte(buf, '}');
        break;
    default:
        s_require(false, "a kind that the reply has not");
    }
}

static void s_theirs_transcode(s_bench_t *self) {
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    souk_buf_clear(&self->printed);
    s_require(msgpack_unpack_next(&unpacked, self->reply.data, self->reply.size, NULL) ==
                  MSGPACK_UNPACK_SUCCESS,
              "msgpack-c refuses the reply");
    s_print(&unpacked.data, &self->printed);
    msgpack_unpacked_destroy(&unpacked);
}

/* ---- measuring
 * ------------------------------------------------------------------------------------------------------
 */

static int s_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Time of this process's own work: other programs on the machine do not count. */
static int64_t s_cpu_us(void) {
    struct timespec now;
    s_require(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0, "no clock");
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The median of the rounds, in ns per call. */
static double s_measure(void (*step)(s_bench_t *self), s_bench_t *bench) {
    double rounds[S_ROUNDS];
    for (size_t round = 0; round < S_ROUNDS; round++) {
        int64_t start_us = s_cpu_us();
        for (size_t call = 0; call < S_CALLS; call++) {
            step(bench);
        }
        rounds[round] = (double)(s_cpu_us() - start_us) * 1000 / S_CALLS;
    }
    qsort(rounds, S_ROUNDS, sizeof(rounds[0]), s_compare);
    return rounds[S_ROUNDS / 2];
}

/* Both sides have to make the same bytes of the same input. */
static void s_verify(s_bench_t *bench) {
    s_decode(bench);
    s_encode(bench);
    s_theirs_decode(bench);
    s_theirs_encode(bench);
    souk_str_t theirs = {.data = bench->theirs_packed.data, .size = bench->theirs_packed.size};
    s_require(souk_str_equal(souk_buf_str(&bench->packed), theirs), "the requests differ");
    s_transcode(bench);
    char *ours = strndup((const char *)bench->printed.data, bench->printed.size);
    s_theirs_transcode(bench);
    s_require(ours != NULL && souk_str_equal(souk_buf_str(&bench->printed), souk_str_of(ours)),
              "the replies differ");
    s_require(strcmp(ours, s_product) == 0, "the reply is not the product");
    free(ours);
}

int main(void) {
    static const struct {
        const char *name;
        void (*theirs)(s_bench_t *self);
        void (*ours)(s_bench_t *self);
    } steps[] = {
        {"JSON -> struct, request", s_theirs_decode, s_decode},
        {"struct -> msgpack, request", s_theirs_encode, s_encode},
        {"msgpack -> JSON, reply", s_theirs_transcode, s_transcode},
    };
    s_bench_t bench = {.arena = souk_arena_new(1 << 20, 1 << 16)};
    souk_arena_t *product_arena = souk_arena_new(1 << 16, 0);
    catalog_product_t product = {0};
    souk_issues_t issues;
    souk_buf_t reply;
    souk_buf_init(&reply, 1 << 16);
    souk_buf_init(&bench.packed, 1 << 16);
    souk_buf_init(&bench.printed, 1 << 16);
    msgpack_sbuffer_init(&bench.theirs_packed);
    souk_issues_init(&issues);
    s_require(souk_schema_from_json(&catalog_product_type, SOUK_STR(s_product), product_arena,
                                    &product, &issues) == SOUK_OK,
              "the product is refused");
    souk_schema_to_mp(&catalog_product_type, &product, &reply);
    bench.reply = souk_buf_str(&reply);
    s_verify(&bench);

    printf("request %zu B of JSON, reply %zu B of msgpack; ns per step\n\n", sizeof(s_request) - 1,
           reply.size);
    printf("%-28s %20s %10s\n", "step", "jansson + msgpack-c", "ours");
    double sums[2] = {0, 0};
    for (size_t i = 0; i < SOUK_COUNT_OF(steps); i++) {
        double theirs = s_measure(steps[i].theirs, &bench), ours = s_measure(steps[i].ours, &bench);
        printf("%-28s %20.0f %10.0f\n", steps[i].name, theirs, ours);
        sums[0] += theirs;
        sums[1] += ours;
    }
    printf("%-28s %20.0f %10.0f\n\nratio %.3f (the aim is at most 0.4)\n", "sum", sums[0], sums[1],
           sums[1] / sums[0]);

    json_decref(bench.root);
    msgpack_sbuffer_destroy(&bench.theirs_packed);
    souk_buf_done(&bench.packed);
    souk_buf_done(&bench.printed);
    souk_buf_done(&reply);
    souk_arena_destroy(&product_arena);
    souk_arena_destroy(&bench.arena);
    return 0;
}
