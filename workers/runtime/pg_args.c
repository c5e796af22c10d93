/* Parameters in PostgreSQL's binary formats: big-endian numbers, texts as they are, arrays as in
 * array_recv (src/backend/utils/adt/arrayfuncs.c). */
#include <endian.h>
#include <limits.h>

#include "pg_impl.h"

#define ARRAY_HEAD_BYTES 12 /* dimensions, has nulls, element type */
#define ARRAY_DIM_BYTES 8   /* length, lower bound */

void souk_pg_args_init(souk_pg_args_t *self, souk_arena_t *arena) {
    self->arena = arena;
    self->count = 0;
    self->failed = false;
}

static void s_add(souk_pg_args_t *self, unsigned type, const char *value, size_t bytes) {
    souk_assert(self->count < SOUK_PG_ARGS_MAX);
    if (bytes > INT_MAX) {
        self->failed = true;
        value = NULL;
    }
    self->values[self->count] = value;
    self->sizes[self->count] = value != NULL ? (int)bytes : 0;
    self->types[self->count] = type;
    self->count++;
}

static void s_add_int(souk_pg_args_t *self, unsigned type, int64_t value) {
    souk_assert(self->count < SOUK_PG_ARGS_MAX);
    uint64_t wire = htobe64((uint64_t)value);
    char *number = self->numbers[self->count];
    memcpy(number, &wire, sizeof(wire));
    s_add(self, type, number, sizeof(wire));
}

static void s_add_str(souk_pg_args_t *self, unsigned type, souk_str_t value) {
    if (value.data == NULL) {
        s_add(self, type, NULL, 0);
        return;
    }
    souk_str_t copy = souk_arena_copy(self->arena, value);
    self->failed = self->failed || copy.data == NULL;
    s_add(self, type, copy.data, copy.size);
}

static int64_t s_time(int64_t unix_us) {
    return unix_us - SOUK_PG_EPOCH_US;
}

void souk_pg_null(souk_pg_args_t *self) {
    s_add(self, 0, NULL, 0);
}

void souk_pg_int(souk_pg_args_t *self, int64_t value) {
    s_add_int(self, SOUK_PG_INT8, value);
}

void souk_pg_bool(souk_pg_args_t *self, bool value) {
    souk_assert(self->count < SOUK_PG_ARGS_MAX);
    char *number = self->numbers[self->count];
    *number = value ? 1 : 0;
    s_add(self, SOUK_PG_BOOL, number, 1);
}

void souk_pg_str(souk_pg_args_t *self, souk_str_t value) {
    s_add_str(self, SOUK_PG_TEXT, value);
}

void souk_pg_bytes(souk_pg_args_t *self, souk_str_t value) {
    s_add_str(self, SOUK_PG_BYTEA, value);
}

void souk_pg_time(souk_pg_args_t *self, int64_t unix_us) {
    if (unix_us == INT64_MIN) {
        s_add(self, SOUK_PG_TIMESTAMPTZ, NULL, 0);
    } else {
        s_add_int(self, SOUK_PG_TIMESTAMPTZ, s_time(unix_us));
    }
}

/* ---- Arrays ---------------------------------------------------------------------------------- */

static char *s_put32(char *at, uint32_t value) {
    uint32_t wire = htobe32(value);
    memcpy(at, &wire, sizeof(wire));
    return at + sizeof(wire);
}

static char *s_put64(char *at, uint64_t value) {
    uint64_t wire = htobe64(value);
    memcpy(at, &wire, sizeof(wire));
    return at + sizeof(wire);
}

typedef struct {
    unsigned type, item_type;
    size_t count;
    size_t items_bytes; /* with the length in front of each */
    bool has_null;
} souk_pg_array_t;

/* Adds the parameter with its head; the place of its first item, NULL when there are none. */
static char *s_begin_array(souk_pg_args_t *self, const souk_pg_array_t *array) {
    size_t dims = array->count > 0 ? 1 : 0;
    size_t bytes = ARRAY_HEAD_BYTES + dims * ARRAY_DIM_BYTES + array->items_bytes;
    char *data = bytes <= INT_MAX ? souk_arena_alloc(self->arena, bytes) : NULL;
    self->failed = self->failed || data == NULL;
    s_add(self, array->type, data, data != NULL ? bytes : 0);
    if (data == NULL) {
        return NULL;
    }
    char *at = s_put32(data, (uint32_t)dims);
    at = s_put32(at, array->has_null);
    at = s_put32(at, array->item_type);
    if (dims == 0) {
        return NULL;
    }
    at = s_put32(at, (uint32_t)array->count);
    return s_put32(at, 1);
}

static char *s_put_null(char *at) {
    return s_put32(at, UINT32_MAX);
}

void souk_pg_ints(souk_pg_args_t *self, const int64_t *values, size_t count) {
    souk_pg_array_t array = {.type = SOUK_PG_INT8_ARRAY,
                             .item_type = SOUK_PG_INT8,
                             .count = count,
                             .items_bytes = count * (sizeof(uint32_t) + sizeof(int64_t))};
    char *at = s_begin_array(self, &array);
    for (size_t i = 0; at != NULL && i < count; i++) {
        at = s_put32(at, sizeof(int64_t));
        at = s_put64(at, (uint64_t)values[i]);
    }
}

void souk_pg_times(souk_pg_args_t *self, const int64_t *values, size_t count) {
    souk_pg_array_t array = {
        .type = SOUK_PG_TIMESTAMPTZ_ARRAY, .item_type = SOUK_PG_TIMESTAMPTZ, .count = count};
    for (size_t i = 0; i < count; i++) {
        array.has_null = array.has_null || values[i] == INT64_MIN;
        array.items_bytes += sizeof(uint32_t) + (values[i] == INT64_MIN ? 0 : sizeof(int64_t));
    }
    char *at = s_begin_array(self, &array);
    for (size_t i = 0; at != NULL && i < count; i++) {
        if (values[i] == INT64_MIN) {
            at = s_put_null(at);
            continue;
        }
        at = s_put32(at, sizeof(int64_t));
        at = s_put64(at, (uint64_t)s_time(values[i]));
    }
}

void souk_pg_bools(souk_pg_args_t *self, const bool *values, size_t count) {
    souk_pg_array_t array = {.type = SOUK_PG_BOOL_ARRAY,
                             .item_type = SOUK_PG_BOOL,
                             .count = count,
                             .items_bytes = count * (sizeof(uint32_t) + 1)};
    char *at = s_begin_array(self, &array);
    for (size_t i = 0; at != NULL && i < count; i++) {
        at = s_put32(at, 1);
        *at++ = values[i] ? 1 : 0;
    }
}

static void s_add_strs(souk_pg_args_t *self, souk_pg_array_t array, const souk_str_t *values) {
    for (size_t i = 0; i < array.count; i++) {
        array.has_null = array.has_null || values[i].data == NULL;
        array.items_bytes += sizeof(uint32_t) + values[i].size;
    }
    char *at = s_begin_array(self, &array);
    for (size_t i = 0; at != NULL && i < array.count; i++) {
        if (values[i].data == NULL) {
            at = s_put_null(at);
            continue;
        }
        at = s_put32(at, (uint32_t)values[i].size);
        memcpy(at, values[i].data, values[i].size);
        at += values[i].size;
    }
}

void souk_pg_strs(souk_pg_args_t *self, const souk_str_t *values, size_t count) {
    souk_pg_array_t array = {.type = SOUK_PG_TEXT_ARRAY, .item_type = SOUK_PG_TEXT, .count = count};
    s_add_strs(self, array, values);
}

void souk_pg_bytess(souk_pg_args_t *self, const souk_str_t *values, size_t count) {
    souk_pg_array_t array = {
        .type = SOUK_PG_BYTEA_ARRAY, .item_type = SOUK_PG_BYTEA, .count = count};
    s_add_strs(self, array, values);
}
