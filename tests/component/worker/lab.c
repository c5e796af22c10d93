#include "lab.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "souk/clock.h"

#define PATH_BYTES 512
#define LOOK_NS 2000000

/* ---- Types, as the generator would write them ---------------------------------------------------
 */

enum { REQ_NAME_BIT, REQ_NUMBER_BIT };
typedef struct {
    souk_bits_t bits;
    souk_str_t name;
    int64_t number;
} lab_req_t;

static const souk_field_t s_req_fields[] = {
    {.name = "name",
     .min = 1,
     .max = 64,
     .offset = offsetof(lab_req_t, name),
     .flags = SOUK_FIELD_REQUIRED,
     .missing_err = SOUK_ERR_VALIDATION,
     .name_size = 4,
     .kind = SOUK_KIND_STR,
     .bit = REQ_NAME_BIT,
     .format = SOUK_FORMAT_TOKEN},
    {.name = "number",
     .min = 0,
     .max = 1000000,
     .offset = offsetof(lab_req_t, number),
     .missing_err = SOUK_ERR_VALIDATION,
     .name_size = 6,
     .kind = SOUK_KIND_INT,
     .bit = REQ_NUMBER_BIT},
};
static const souk_type_t s_req_type = {.name = "lab_req",
                                       .fields = s_req_fields,
                                       .required = 1u << REQ_NAME_BIT,
                                       .struct_bytes = sizeof(lab_req_t),
                                       .fields_count = SOUK_COUNT_OF(s_req_fields)};

enum { REP_NUMBER_BIT };
typedef struct {
    souk_bits_t bits;
    int64_t number;
} lab_rep_t;

static const souk_field_t s_rep_fields[] = {
    {.name = "number",
     .min = INT64_MIN,
     .max = INT64_MAX,
     .offset = offsetof(lab_rep_t, number),
     .name_size = 6,
     .kind = SOUK_KIND_INT,
     .bit = REP_NUMBER_BIT},
};
static const souk_type_t s_rep_type = {.name = "lab_rep",
                                       .fields = s_rep_fields,
                                       .struct_bytes = sizeof(lab_rep_t),
                                       .fields_count = SOUK_COUNT_OF(s_rep_fields)};

static void s_reply(lab_rep_t *rep, int64_t number) {
    rep->number = number;
    souk_bits_set(&rep->bits, REP_NUMBER_BIT);
}

/* ---- Switches
 * ------------------------------------------------------------------------------------ */

static void s_path(char path[PATH_BYTES], const char *prefix, souk_str_t name, const char *suffix) {
    const char *folder = getenv("LAB_DIR");
    (void)snprintf(path, PATH_BYTES, "%s/%s%.*s%s", folder != NULL ? folder : ".", prefix,
                   (int)name.size, name.data, suffix);
}

static bool s_is_on(const char *name) {
    char path[PATH_BYTES];
    s_path(path, "", souk_str_of(name), "");
    return access(path, F_OK) == 0;
}

/* ---- Handlers
 * ------------------------------------------------------------------------------------ */

/* Until the test lets go or the call is cancelled. */
static souk_err_t s_hold(souk_ctx_t *ctx, const void *request, void *reply) {
    const lab_req_t *req = request;
    char started[PATH_BYTES], path[PATH_BYTES];
    s_path(started, "hold_", req->name, ".started");
    s_path(path, "hold_", req->name, "");
    int fd = open(started, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        return SOUK_ERR_IO;
    }
    close(fd);
    while (access(path, F_OK) != 0) {
        if (souk_ctx_cancelled(ctx)) {
            return souk_ctx_fail(ctx, SOUK_ERR_CANCELLED, "the test cancelled it");
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    s_reply(reply, 1);
    return SOUK_OK;
}

/* Every call is told how many shared its batch; number 13 fails alone. */
static void s_gather(souk_batch_t *batch, souk_call_t *calls, size_t calls_count) {
    (void)batch;
    for (size_t i = 0; i < calls_count; i++) {
        const lab_req_t *req = calls[i].request;
        if (req->number == 13) {
            calls[i].err = SOUK_ERR_CONFLICT;
        } else {
            s_reply(calls[i].reply, (int64_t)calls_count);
        }
    }
}

/* Keeps the bus thread busy for number microseconds. */
static souk_err_t s_spin(souk_ctx_t *ctx, const void *request, void *reply) {
    (void)ctx;
    const lab_req_t *req = request;
    int64_t until_us = souk_clock_mono_us() + req->number;
    while (souk_clock_mono_us() < until_us) {
    }
    s_reply(reply, req->number);
    return SOUK_OK;
}

static souk_err_t s_fail(souk_ctx_t *ctx, const void *request, void *reply) {
    (void)request;
    (void)reply;
    return souk_ctx_fail(ctx, SOUK_ERR_IO, "a secret of the worker");
}

static souk_err_t s_big(souk_ctx_t *ctx, const void *request, void *reply) {
    (void)request;
    (void)reply;
    char text[2048];
    memset(text, 'x', sizeof(text));
    souk_buf_t map;
    souk_buf_init(&map, 2 * sizeof(text));
    souk_mp_write_map(&map, 1);
    souk_mp_write_str(&map, SOUK_STR("text"));
    souk_mp_write_str(&map, (souk_str_t){.data = text, .size = sizeof(text)});
    souk_ctx_reply_encoded(ctx, souk_buf_str(&map));
    souk_buf_done(&map);
    return SOUK_OK;
}

/* Does not look whether it got the memory, as a careless handler would. */
static souk_err_t s_hog(souk_ctx_t *ctx, const void *request, void *reply) {
    const lab_req_t *req = request;
    (void)souk_arena_alloc(souk_ctx_arena(ctx), (size_t)req->number);
    s_reply(reply, 1);
    return SOUK_OK;
}

#define LAB_METHOD(n, l, ...)                                                                      \
    {                                                                                              \
        .name = (n), .request = &s_req_type, .reply = &s_rep_type, .lane = (l),                    \
        .memory_bytes_max = 8192, .reply_bytes_max = 1024, __VA_ARGS__                             \
    }

static const souk_method_t s_methods[] = {
    LAB_METHOD("hold", SOUK_LANE_SLOT, .run = s_hold),
    LAB_METHOD("gather", SOUK_LANE_BATCH, .run_batch = s_gather),
    LAB_METHOD("spin", SOUK_LANE_INLINE, .run = s_spin),
    LAB_METHOD("fail", SOUK_LANE_INLINE, .run = s_fail),
    LAB_METHOD("big", SOUK_LANE_INLINE, .run = s_big),
    LAB_METHOD("hog", SOUK_LANE_INLINE, .run = s_hog),
    LAB_METHOD("write", SOUK_LANE_INLINE, .run = s_spin, .class_ = SOUK_CLASS_UNKEYED),
    LAB_METHOD("put", SOUK_LANE_INLINE, .run = s_spin, .class_ = SOUK_CLASS_KEYED),
    LAB_METHOD("place", SOUK_LANE_INLINE, .run = s_spin, .class_ = SOUK_CLASS_KEYED,
               .key_required = true),
};

/* ---- Life
 * ---------------------------------------------------------------------------------------- */

static souk_err_t s_slot_start(void *service, void **ret_slot) {
    (void)service;
    *ret_slot = NULL;
    return s_is_on("slot_down") ? SOUK_ERR_UNAVAILABLE : SOUK_OK;
}

static bool s_ready(void *service) {
    (void)service;
    return !s_is_on("not_ready");
}

static const char *s_degraded(void *service) {
    (void)service;
    return s_is_on("degraded") ? "the test says so" : NULL;
}

const souk_service_t lab_service = {
    .name = "lab",
    .methods = s_methods,
    .methods_count = SOUK_COUNT_OF(s_methods),
    .slot_start = s_slot_start,
    .ready = s_ready,
    .degraded = s_degraded,
};
