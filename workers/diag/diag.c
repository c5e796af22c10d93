#include "diag/diag.h"

#include <stdlib.h>

#include "gen/config.h"
#include "gen/diag_handlers.h"

#define FIXED_BYTES_MAX ((size_t)4096)

typedef struct {
    souk_str_t worker; /* borrowed from the configuration */
    souk_buf_t fixed;  /* the fixed reply, encoded */
} diag_t;

/* ---- Handlers -------------------------------------------------------------------------------- */

souk_err_t diag_echo(souk_ctx_t *ctx, const diag_echo_req_t *req, diag_echo_rep_t *ret_rep) {
    const diag_t *diag = souk_ctx_service(ctx);
    diag_echo_rep_set_text(ret_rep, req->text);
    if (souk_bits_has(&req->bits, DIAG_ECHO_REQ_NUMBER_BIT)) {
        diag_echo_rep_set_number(ret_rep, req->number);
    }
    diag_echo_rep_set_worker(ret_rep, diag->worker);
    return SOUK_OK;
}

souk_err_t diag_echo_inline(souk_ctx_t *ctx, const diag_echo_inline_req_t *req,
                            diag_echo_inline_rep_t *ret_rep) {
    const diag_t *diag = souk_ctx_service(ctx);
    diag_echo_inline_rep_set_text(ret_rep, req->text);
    if (souk_bits_has(&req->bits, DIAG_ECHO_INLINE_REQ_NUMBER_BIT)) {
        diag_echo_inline_rep_set_number(ret_rep, req->number);
    }
    diag_echo_inline_rep_set_worker(ret_rep, diag->worker);
    return SOUK_OK;
}

static souk_err_t s_reply_fixed(souk_ctx_t *ctx) {
    const diag_t *diag = souk_ctx_service(ctx);
    souk_ctx_reply_encoded(ctx, souk_buf_str(&diag->fixed));
    return SOUK_OK;
}

souk_err_t diag_fixed(souk_ctx_t *ctx, const diag_fixed_req_t *req, diag_fixed_rep_t *ret_rep) {
    (void)req;
    (void)ret_rep;
    return s_reply_fixed(ctx);
}

souk_err_t diag_fixed_slot(souk_ctx_t *ctx, const diag_fixed_slot_req_t *req,
                           diag_fixed_slot_rep_t *ret_rep) {
    (void)req;
    (void)ret_rep;
    return s_reply_fixed(ctx);
}

/* ---- Life ------------------------------------------------------------------------------------ */

typedef struct {
    const char *id, *name;
    int64_t amount;
    const char *tags[4];
} diag_item_t;

/* Eight lines of a shop's list: about what a page of a catalogue holds, 1.3 kB of JSON. */
static const diag_item_t s_items[] = {
    {"item_walnut_board",
     "Walnut serving board with handle",
     3490,
     {"kitchen", "wood", "gift", "maple-oil"}},
    {"item_linen_apron",
     "Washed linen apron, charcoal grey",
     4200,
     {"kitchen", "linen", "workwear", "kitchenware"}},
    {"item_enamel_pot",
     "Enamel coffee pot, one litre",
     2950,
     {"kitchen", "enamel", "camping", "stovetop"}},
    {"item_wool_throw",
     "Lambswool throw in heather check",
     8900,
     {"home", "wool", "bedroom", "handwoven"}},
    {"item_brass_lamp",
     "Brass reading lamp with linen shade",
     12900,
     {"home", "lighting", "brass", "reading"}},
    {"item_oak_stool",
     "Three-legged stool of oiled oak",
     9400,
     {"home", "wood", "furniture", "stackable"}},
    {"item_field_notes",
     "Pocket notebooks, set of three, dotted",
     1150,
     {"office", "paper", "gift", "stationery"}},
    {"item_canvas_bag",
     "Waxed canvas rucksack, twenty litres",
     13900,
     {"travel", "canvas", "bags", "waterproof"}},
};

static bool s_fill_item(diag_fixed_item_t *item, const diag_item_t *from, souk_arena_t *arena) {
    diag_fixed_item_set_id(item, souk_str_of(from->id));
    diag_fixed_item_set_name(item, souk_str_of(from->name));
    souk_money_set_amount(&item->price, from->amount);
    souk_money_set_currency(&item->price, SOUK_STR("EUR"));
    souk_bits_set(&item->bits, DIAG_FIXED_ITEM_PRICE_BIT);
    souk_str_t *tags = diag_fixed_item_new_tags(item, arena, SOUK_COUNT_OF(from->tags));
    for (size_t i = 0; tags != NULL && i < SOUK_COUNT_OF(from->tags); i++) {
        tags[i] = souk_str_of(from->tags[i]);
    }
    return tags != NULL;
}

static void s_encode_fixed(souk_buf_t *buf) {
    souk_arena_t *arena = souk_arena_new(FIXED_BYTES_MAX, 0);
    diag_fixed_rep_t reply = {0};
    diag_fixed_item_t *items = diag_fixed_rep_new_items(&reply, arena, SOUK_COUNT_OF(s_items));
    bool filled = items != NULL;
    for (size_t i = 0; filled && i < SOUK_COUNT_OF(s_items); i++) {
        filled = s_fill_item(&items[i], &s_items[i], arena);
    }
    souk_assert(filled);
    souk_schema_to_mp(&diag_fixed_rep_type, &reply, buf);
    souk_assert(!buf->overflow);
    souk_arena_destroy(&arena);
}

static souk_err_t s_start(const souk_worker_config_t *config, souk_loop_t *loop,
                          void **ret_service) {
    (void)loop;
    diag_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->worker = souk_str_of(config->name);
    souk_buf_init(&self->fixed, FIXED_BYTES_MAX);
    s_encode_fixed(&self->fixed);
    *ret_service = self;
    return SOUK_OK;
}

static void s_stop(void *service) {
    diag_t *self = service;
    souk_buf_done(&self->fixed);
    free(self);
}

const souk_service_t diag_service = {
    .name = "diag",
    .methods = diag_methods,
    .methods_count = DIAG_METHODS_COUNT,
    .start = s_start,
    .stop = s_stop,
};
