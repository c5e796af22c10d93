/* The schema decoder and encoder. The first byte chooses what the rest is: JSON or msgpack of a
 * type that has every kind, or of a product, or a parameter's text. Whatever is accepted encodes to
 * msgpack that is accepted and encodes to the same bytes; whatever is refused has issues whose
 * texts can be shown. */
#include "../unit/lib/schema_thing.h"
#include "gen/catalog.h"
#include "souk/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static souk_arena_t *s_arena;

typedef union {
    thing_t thing;
    catalog_products_create_req_t product;
} s_value_t;

static void s_check_issues(const souk_issues_t *issues, souk_err_t err) {
    souk_assert((err == SOUK_OK || err == SOUK_ERR_NO_MEMORY) || issues->err == err);
    souk_assert((issues->count > 0) == (issues->err != SOUK_OK));
    souk_assert(issues->count <= SOUK_ISSUES_MAX);
    for (size_t i = 0; i < issues->count; i++) {
        const souk_issue_t *issue = &issues->items[i];
        souk_assert(souk_utf8_valid(souk_str_of(issue->pointer)));
        souk_assert(souk_utf8_valid(souk_str_of(issue->reason)));
        souk_assert(issue->reason[0] != '\0');
    }
}

static void s_complete(thing_t *thing) {
    thing->id = SOUK_STR("prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B");
    thing->if_match = SOUK_STR("3");
    souk_bits_set(&thing->bits, THING_ID);
    souk_bits_set(&thing->bits, THING_IF_MATCH);
}

/* What was accepted goes through msgpack unchanged. */
static void s_round_trip(const souk_type_t *type, const s_value_t *value) {
    souk_buf_t first, second;
    souk_issues_t issues;
    s_value_t back = {0};
    souk_issues_init(&issues);
    souk_buf_init(&first, 1 << 20);
    souk_buf_init(&second, 1 << 20);
    souk_schema_to_mp(type, value, &first);
    souk_assert(!first.overflow);
    souk_err_t err = souk_schema_from_mp(type, souk_buf_str(&first), s_arena, &back, &issues);
    souk_assert(err == SOUK_OK || err == SOUK_ERR_NO_MEMORY);
    if (err == SOUK_OK) {
        souk_schema_to_mp(type, &back, &second);
        souk_assert(souk_str_equal(souk_buf_str(&first), souk_buf_str(&second)));
    }
    souk_buf_done(&first);
    souk_buf_done(&second);
}

static void s_json(const souk_type_t *type, souk_str_t text) {
    s_value_t value = {0};
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_err_t err = souk_schema_from_json(type, text, s_arena, &value, &issues);
    s_check_issues(&issues, err);
    if (err == SOUK_ERR_NO_MEMORY) {
        return;
    }
    if (type == &s_thing_type) {
        s_complete(&value.thing);
    }
    souk_err_t check_err = souk_schema_check(type, &value, &issues);
    s_check_issues(&issues, check_err);
    if (issues.err == SOUK_OK) {
        s_round_trip(type, &value);
    }
}

static void s_mp(const souk_type_t *type, souk_str_t bytes) {
    s_value_t value = {0};
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_err_t err = souk_schema_from_mp(type, bytes, s_arena, &value, &issues);
    s_check_issues(&issues, err);
    if (err == SOUK_OK) {
        s_round_trip(type, &value);
    }
}

/* Parameters: a field, then values that end at each line feed; of a MULTIMAP the first character is
 * the key. */
static void s_text(souk_str_t text) {
    s_value_t value = {0};
    souk_issues_t issues;
    souk_issues_init(&issues);
    if (text.size == 0) {
        return;
    }
    const souk_field_t *field = &s_thing_fields[(uint8_t)text.data[0] % THING_FIELDS];
    if (field->kind == SOUK_KIND_RECORD || field->kind == SOUK_KIND_MAP ||
        field->kind == SOUK_KIND_ANY || field->type != NULL) {
        return;
    }
    for (size_t at = 1; at < text.size;) {
        size_t end = at;
        while (end < text.size && text.data[end] != '\n') {
            end++;
        }
        souk_str_t one = {.data = text.data + at, .size = end - at}, key = {.data = one.data};
        if (field->kind == SOUK_KIND_MULTIMAP && one.size > 0) {
            key.size = 1;
            one = (souk_str_t){.data = one.data + 1, .size = one.size - 1};
        }
        souk_err_t err =
            souk_schema_from_text(&s_thing_type, field, key, one, s_arena, &value, &issues);
        s_check_issues(&issues, err);
        at = end + 1;
    }
    s_complete(&value.thing);
    souk_bits_set(&value.thing.bits, THING_COUNT); /* a body needs a field */
    if (issues.err == SOUK_OK && field->min == 0 && field->bit > THING_IF_MATCH) {
        s_round_trip(&s_thing_type, &value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    s_arena = souk_arena_new(1 << 16, 0);
    souk_str_t rest = {.data = (const char *)data + 1, .size = size - 1};
    switch (data[0] % 5) {
    case 0:
        s_json(&s_thing_type, rest);
        break;
    case 1:
        s_mp(&s_thing_type, rest);
        break;
    case 2:
        s_json(&catalog_products_create_req_type, rest);
        break;
    case 3:
        s_mp(&catalog_products_create_req_type, rest);
        break;
    default:
        s_text(rest);
    }
    souk_arena_destroy(&s_arena);
    return 0;
}
