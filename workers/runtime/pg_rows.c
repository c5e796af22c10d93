/* Results in binary. */
#include <endian.h>
#include <stdlib.h>

#include "pg_impl.h"

struct souk_pg_rows {
    PGresult *result;
    size_t count;
};

static void s_clear(void *result) {
    PQclear(result);
}

souk_err_t souk_pg_rows_new(souk_arena_t *arena, PGresult **result_p,
                            const souk_pg_rows_t **ret_rows) {
    PGresult *result = *result_p;
    *result_p = NULL;
    souk_pg_rows_t *self = souk_arena_alloc(arena, sizeof(*self));
    if (self == NULL || souk_arena_on_reset(arena, s_clear, result) != SOUK_OK) {
        PQclear(result);
        return SOUK_ERR_NO_MEMORY;
    }
    self->result = result;
    self->count = (size_t)PQntuples(result);
    *ret_rows = self;
    return SOUK_OK;
}

size_t souk_pg_count(const souk_pg_rows_t *rows) {
    return rows->count;
}

size_t souk_pg_affected(const souk_pg_rows_t *rows) {
    return (size_t)strtoull(PQcmdTuples(rows->result), NULL, 10); /* "" counts as 0 */
}

bool souk_pg_is_null(const souk_pg_rows_t *rows, size_t row, int column) {
    souk_assert(row < rows->count && column >= 0 && column < PQnfields(rows->result));
    return PQgetisnull(rows->result, (int)row, column) != 0;
}

static uint64_t s_read64(const char *value) {
    uint64_t wire;
    memcpy(&wire, value, sizeof(wire));
    return be64toh(wire);
}

int64_t souk_pg_get_int(const souk_pg_rows_t *rows, size_t row, int column) {
    if (souk_pg_is_null(rows, row, column)) {
        return 0;
    }
    const char *value = PQgetvalue(rows->result, (int)row, column);
    unsigned type = PQftype(rows->result, column);
    if (type == SOUK_PG_INT8) {
        return (int64_t)s_read64(value);
    }
    if (type == SOUK_PG_INT4) {
        uint32_t wire;
        memcpy(&wire, value, sizeof(wire));
        return (int32_t)be32toh(wire);
    }
    souk_assert(type == SOUK_PG_INT2);
    uint16_t wire;
    memcpy(&wire, value, sizeof(wire));
    return (int16_t)be16toh(wire);
}

bool souk_pg_get_bool(const souk_pg_rows_t *rows, size_t row, int column) {
    if (souk_pg_is_null(rows, row, column)) {
        return false;
    }
    souk_assert(PQftype(rows->result, column) == SOUK_PG_BOOL);
    return *PQgetvalue(rows->result, (int)row, column) != 0;
}

static bool s_is_text(unsigned type) {
    return type == SOUK_PG_TEXT || type == SOUK_PG_BYTEA || type == SOUK_PG_VARCHAR ||
           type == SOUK_PG_BPCHAR || type == SOUK_PG_JSON || type == SOUK_PG_JSONB;
}

souk_str_t souk_pg_get_str(const souk_pg_rows_t *rows, size_t row, int column) {
    if (souk_pg_is_null(rows, row, column)) {
        return (souk_str_t){.data = NULL, .size = 0};
    }
    unsigned type = PQftype(rows->result, column);
    souk_assert(s_is_text(type));
    souk_str_t value = {.data = PQgetvalue(rows->result, (int)row, column),
                        .size = (size_t)PQgetlength(rows->result, (int)row, column)};
    if (type == SOUK_PG_JSONB) { /* a version, then the text */
        souk_assert(value.size > 0 && value.data[0] == 1);
        value.data++;
        value.size--;
    }
    return value;
}

int64_t souk_pg_get_time(const souk_pg_rows_t *rows, size_t row, int column) {
    if (souk_pg_is_null(rows, row, column)) {
        return INT64_MIN;
    }
    souk_assert(PQftype(rows->result, column) == SOUK_PG_TIMESTAMPTZ);
    int64_t value = (int64_t)s_read64(PQgetvalue(rows->result, (int)row, column));
    if (value > INT64_MAX - SOUK_PG_EPOCH_US) {
        return INT64_MAX;
    }
    return value == INT64_MIN ? INT64_MIN + 1 : value + SOUK_PG_EPOCH_US;
}
