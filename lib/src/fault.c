#include "souk/envelope.h"

void souk_fault_write(souk_buf_t *buf, const souk_fault_t *fault) {
    const souk_err_info_t *info = souk_err_info(fault->err);
    if (!info->is_public) {
        info = souk_err_info(SOUK_ERR_INTERNAL);
    }
    uint32_t fields =
        1u + (fault->detail.size > 0) + (fault->items_count > 0) + (fault->retry_after_ms > 0);
    souk_mp_write_map(buf, fields);
    souk_mp_write_str(buf, SOUK_STR("code"));
    souk_mp_write_str(buf, souk_str_of(info->code));
    if (fault->detail.size > 0) {
        souk_mp_write_str(buf, SOUK_STR("detail"));
        souk_mp_write_str(buf, fault->detail);
    }
    if (fault->items_count > 0) {
        souk_assert(fault->items_count <= SOUK_COUNT_OF(fault->items));
        souk_mp_write_str(buf, SOUK_STR("errors"));
        souk_mp_write_array(buf, (uint32_t)fault->items_count);
        for (size_t i = 0; i < fault->items_count; i++) {
            souk_mp_write_map(buf, 3);
            souk_mp_write_str(buf, SOUK_STR("pointer"));
            souk_mp_write_str(buf, fault->items[i].pointer);
            souk_mp_write_str(buf, SOUK_STR("reason"));
            souk_mp_write_str(buf, fault->items[i].reason);
            souk_mp_write_str(buf, SOUK_STR("in"));
            souk_mp_write_str(buf, fault->items[i].in);
        }
    }
    if (fault->retry_after_ms > 0) {
        souk_mp_write_str(buf, SOUK_STR("retry_after_ms"));
        souk_mp_write_uint(buf, fault->retry_after_ms);
    }
}

static souk_err_t s_read_item(souk_mp_cursor_t *at, souk_fault_item_t *ret_item) {
    uint32_t fields;
    *ret_item = (souk_fault_item_t){.in = SOUK_STR("body")};
    SOUK_TRY(souk_mp_read_map(at, &fields));
    for (uint32_t i = 0; i < fields; i++) {
        souk_str_t name;
        SOUK_TRY(souk_mp_read_str(at, &name));
        if (souk_str_equal(name, SOUK_STR("pointer"))) {
            SOUK_TRY(souk_mp_read_str(at, &ret_item->pointer));
        } else if (souk_str_equal(name, SOUK_STR("reason"))) {
            SOUK_TRY(souk_mp_read_str(at, &ret_item->reason));
        } else if (souk_str_equal(name, SOUK_STR("in"))) {
            SOUK_TRY(souk_mp_read_str(at, &ret_item->in));
        } else {
            SOUK_TRY(souk_mp_skip(at));
        }
    }
    return SOUK_OK;
}

/* Items beyond those that fit are skipped: the first ones are what a caller mends first. */
static souk_err_t s_read_items(souk_mp_cursor_t *at, souk_fault_t *fault) {
    uint32_t count;
    SOUK_TRY(souk_mp_read_array(at, &count));
    fault->items_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (fault->items_count < SOUK_COUNT_OF(fault->items)) {
            SOUK_TRY(s_read_item(at, &fault->items[fault->items_count]));
            fault->items_count++;
        } else {
            SOUK_TRY(souk_mp_skip(at));
        }
    }
    return SOUK_OK;
}

static souk_err_t s_read_code(souk_mp_cursor_t *at, souk_fault_t *fault) {
    souk_str_t code;
    SOUK_TRY(souk_mp_read_str(at, &code));
    fault->err = souk_err_of_code(code.data, code.size);
    /* What is not meant for others has no business on the wire; who sends it has a bug. */
    if (fault->err == SOUK_OK || !souk_err_info(fault->err)->is_public) {
        fault->err = SOUK_ERR_INTERNAL;
    }
    return SOUK_OK;
}

souk_err_t souk_fault_read(souk_str_t body, souk_fault_t *ret) {
    souk_mp_cursor_t at;
    souk_mp_cursor_init(&at, body.data, body.size);
    souk_fault_t fault = {0};
    uint32_t fields;
    SOUK_TRY(souk_mp_read_map(&at, &fields));
    for (uint32_t i = 0; i < fields; i++) {
        souk_str_t name;
        SOUK_TRY(souk_mp_read_str(&at, &name));
        if (souk_str_equal(name, SOUK_STR("code"))) {
            SOUK_TRY(s_read_code(&at, &fault));
        } else if (souk_str_equal(name, SOUK_STR("detail"))) {
            SOUK_TRY(souk_mp_read_str(&at, &fault.detail));
        } else if (souk_str_equal(name, SOUK_STR("errors"))) {
            SOUK_TRY(s_read_items(&at, &fault));
        } else if (souk_str_equal(name, SOUK_STR("retry_after_ms"))) {
            uint64_t value;
            SOUK_TRY(souk_mp_read_uint(&at, UINT32_MAX, &value));
            fault.retry_after_ms = (uint32_t)value;
        } else {
            SOUK_TRY(souk_mp_skip(&at));
        }
    }
    if (fault.err == SOUK_OK || !souk_mp_at_end(&at)) { /* no code, or something behind the map */
        return SOUK_ERR_MALFORMED;
    }
    *ret = fault;
    return SOUK_OK;
}
