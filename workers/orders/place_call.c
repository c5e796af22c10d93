#include "orders/place_call.h"

#include "orders/batch.h"
#include "runtime/fault_point.h"
#include "souk/id.h"

/* In the order of the function's parameters. */
static const souk_pg_stmt_t s_place = {
    .name = "orders_place",
    .sql = "SELECT i, outcome, at, remaining, reply FROM place_batch('place',"
           " $1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::boolean[],"
           " $6::text[], $7::bigint[], $8::text[], $9::bigint[], $10::text[],"
           " $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[],"
           " $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[],"
           " $21::boolean[], $22::text[], $23::text[], $24::bigint[],"
           " $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[], $29::bigint[],"
           " $30::bigint[], $31::bigint[], $32::bigint[],"
           " $33::text[], $34::bigint[], $35::text[], $36::text[], $37::text[], $38::text[],"
           " $39::bigint[],"
           " $40::text[], $41::bigint[], $42::bigint[], $43::text[],"
           " $44::text, $45::timestamptz, $46::timestamptz, $47::bigint,"
           " $48::text[], $49::bigint, $50::boolean, $51::bigint)"};

/* ---- arrays ---------------------------------------------------------------------------------- */

/* Columns are filled one by one, into one array of each kind that the arguments then copy. */
typedef struct {
    const orders_place_call_input_t *in;
    const orders_draft_input_t *inputs;
    const orders_draft_t *drafts;
    size_t count;
    /* Positions (from 1) of the SKUs, codes and (code, customer) pairs that the orders name. */
    size_t *skus, skus_count; /* by index in the ground: its position, 0 for none */
    int64_t *skus_wanted;     /* by position - 1: of all lines */
    size_t *codes, codes_count;
    size_t *use_codes, uses_count;
    souk_str_t *use_customers;
    size_t *order_use;
    size_t lines_count;
    /* Of count, or lines_count, elements; whichever is more. */
    souk_str_t *texts;
    int64_t *ints;
    bool *bools;
} columns_t;

static bool s_stands(const columns_t *self, size_t i) {
    return self->drafts[i].verdict.err == SOUK_OK;
}

static void s_number_skus(columns_t *self) {
    const orders_ground_t *ground = self->in->ground;
    for (size_t i = 0; i < self->count; i++) {
        const orders_draft_t *draft = &self->drafts[i];
        for (size_t l = 0; s_stands(self, i) && l < draft->record.lines_count; l++) {
            self->skus[draft->lines[l].sku - ground->skus] = 1;
            self->lines_count++;
        }
    }
    for (size_t i = 0; i < ground->skus_count; i++) { /* sorted, as they are locked */
        self->skus[i] = self->skus[i] != 0 ? ++self->skus_count : 0;
    }
    for (size_t i = 0; i < self->count; i++) {
        const orders_draft_t *draft = &self->drafts[i];
        for (size_t l = 0; s_stands(self, i) && l < draft->record.lines_count; l++) {
            size_t at = self->skus[draft->lines[l].sku - ground->skus] - 1;
            self->skus_wanted[at] += draft->lines[l].quantity;
        }
    }
}

/* As far as was seen. */
static bool s_is_plenty(const columns_t *self) {
    const orders_ground_t *ground = self->in->ground;
    for (size_t i = 0; i < ground->skus_count; i++) {
        if (self->skus[i] != 0 &&
            self->skus_wanted[self->skus[i] - 1] > ground->skus[i].remaining) {
            return false;
        }
    }
    return true;
}

static void s_number_uses(columns_t *self) {
    const orders_ground_t *ground = self->in->ground;
    for (size_t i = 0; i < self->count; i++) {
        if (s_stands(self, i) && self->drafts[i].discount != NULL) {
            self->codes[self->drafts[i].discount - ground->codes] = 1;
        }
    }
    for (size_t i = 0; i < ground->codes_count; i++) {
        self->codes[i] = self->codes[i] != 0 ? ++self->codes_count : 0;
    }
    for (size_t i = 0; i < self->count; i++) {
        const orders_draft_t *draft = &self->drafts[i];
        if (!s_stands(self, i) || draft->discount == NULL) {
            continue;
        }
        size_t code = self->codes[draft->discount - ground->codes];
        size_t at = 0;
        while (at < self->uses_count &&
               (self->use_codes[at] != code ||
                !souk_str_equal(self->use_customers[at], draft->customer))) {
            at++;
        }
        if (at == self->uses_count) {
            self->use_codes[at] = code;
            self->use_customers[at] = draft->customer;
            self->uses_count++;
        }
        self->order_use[i] = at + 1;
    }
}

static souk_err_t s_number(columns_t *self) {
    souk_arena_t *arena = self->in->arena;
    const orders_ground_t *ground = self->in->ground;
    self->skus = souk_arena_alloc_array(arena, ground->skus_count + 1, sizeof(*self->skus));
    self->skus_wanted =
        souk_arena_alloc_array(arena, ground->skus_count + 1, sizeof(*self->skus_wanted));
    self->codes = souk_arena_alloc_array(arena, ground->codes_count + 1, sizeof(*self->codes));
    self->use_codes = souk_arena_alloc_array(arena, self->count, sizeof(*self->use_codes));
    self->use_customers = souk_arena_alloc_array(arena, self->count, sizeof(*self->use_customers));
    self->order_use = souk_arena_alloc_array(arena, self->count, sizeof(*self->order_use));
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    s_number_skus(self);
    s_number_uses(self);
    size_t most = self->count > self->lines_count ? self->count : self->lines_count;
    most = most > ground->skus_count ? most : ground->skus_count;
    most = most > ground->codes_count ? most : ground->codes_count;
    self->texts = souk_arena_alloc_array(arena, most, sizeof(*self->texts));
    self->ints = souk_arena_alloc_array(arena, most, sizeof(*self->ints));
    self->bools = souk_arena_alloc_array(arena, most, sizeof(*self->bools));
    return souk_arena_overflowed(arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

/* A column of the orders, as an expression of one order's input, draft and record. */
#define PUT_STRS(put, expr)                                                                        \
    do {                                                                                           \
        for (size_t i = 0; i < self->count; i++) {                                                 \
            const orders_draft_input_t *input SOUK_UNUSED = &self->inputs[i];                      \
            const orders_draft_t *draft SOUK_UNUSED = &self->drafts[i];                            \
            const orders_record_t *record SOUK_UNUSED = &draft->record;                            \
            self->texts[i] = (expr);                                                               \
        }                                                                                          \
        put(args, self->texts, self->count);                                                       \
    } while (0)
#define PUT_INTS(expr)                                                                             \
    do {                                                                                           \
        for (size_t i = 0; i < self->count; i++) {                                                 \
            const orders_draft_t *draft SOUK_UNUSED = &self->drafts[i];                            \
            const orders_record_t *record SOUK_UNUSED = &draft->record;                            \
            self->ints[i] = (int64_t)(expr);                                                       \
        }                                                                                          \
        souk_pg_ints(args, self->ints, self->count);                                               \
    } while (0)

static souk_str_t s_event_id(souk_arena_t *arena) {
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("evt_", id);
    return souk_arena_copy(arena, (souk_str_t){.data = id, .size = size});
}

static void s_put_head(columns_t *self, souk_pg_args_t *args) {
    PUT_STRS(souk_pg_strs, input->subject);
    PUT_STRS(souk_pg_strs, souk_ctx_key(input->ctx));
    PUT_STRS(souk_pg_bytess, souk_ctx_key_hash(input->ctx));
    PUT_STRS(souk_pg_bytess, draft->reply);
    for (size_t i = 0; i < self->count; i++) {
        self->bools[i] = !s_stands(self, i);
    }
    souk_pg_bools(args, self->bools, self->count);
    PUT_STRS(souk_pg_strs, record->id);
    PUT_INTS(record->number);
    PUT_STRS(souk_pg_strs, record->cart_id);
    PUT_INTS(draft->cart_version);
    PUT_STRS(souk_pg_strs, record->email);
    PUT_INTS(self->order_use[i]);
    PUT_STRS(souk_pg_strs, record->shipping_method);
    PUT_STRS(souk_pg_strs, record->shipping_name);
    PUT_STRS(souk_pg_strs, draft->address_json);
    const souk_field_t *method = souk_type_field(&orders_order_type, SOUK_STR("payment_method"));
    PUT_STRS(souk_pg_strs, souk_str_of(method->enum_names[record->payment_method]));
}

static void s_put_totals(columns_t *self, souk_pg_args_t *args) {
    PUT_INTS(record->items_total);
    PUT_INTS(record->discount_total);
    PUT_INTS(record->shipping_total);
    PUT_INTS(record->tax_total);
    PUT_INTS(record->grand_total);
    for (size_t i = 0; i < self->count; i++) {
        self->bools[i] = self->drafts[i].record.taxes_included;
    }
    souk_pg_bools(args, self->bools, self->count);
    PUT_STRS(souk_pg_strs, s_event_id(self->in->arena));
    PUT_STRS(souk_pg_strs, souk_ctx_traceparent(input->ctx));
    PUT_INTS(s_stands(self, i) ? record->lines_count : 0);
}

/* A column of the lines of all orders that stand. */
#define PUT_LINES(expr)                                                                            \
    do {                                                                                           \
        size_t at = 0;                                                                             \
        for (size_t i = 0; i < self->count; i++) {                                                 \
            const orders_draft_t *draft = &self->drafts[i];                                        \
            for (size_t l = 0; s_stands(self, i) && l < draft->record.lines_count; l++) {          \
                const orders_record_line_t *line SOUK_UNUSED = &draft->record.lines[l];            \
                self->ints[at++] = (int64_t)(expr);                                                \
            }                                                                                      \
        }                                                                                          \
        souk_pg_ints(args, self->ints, self->lines_count);                                         \
    } while (0)

static void s_put_lines(columns_t *self, souk_pg_args_t *args) {
    PUT_LINES(i + 1);
    PUT_LINES(l + 1);
    PUT_LINES(self->skus[draft->lines[l].sku - self->in->ground->skus]);
    PUT_LINES(line->quantity);
    PUT_LINES(line->discount);
    PUT_LINES(line->tax);
    PUT_LINES(line->tax_rate_ppm);
    PUT_LINES(line->total);
}

/* Columns of the SKUs that are named; member is of orders_ground_sku_t. */
#define PUT_SKUS(put, array, member)                                                               \
    do {                                                                                           \
        for (size_t i = 0; i < self->in->ground->skus_count; i++) {                                \
            if (self->skus[i] != 0) {                                                              \
                (array)[self->skus[i] - 1] = self->in->ground->skus[i].member;                     \
            }                                                                                      \
        }                                                                                          \
        put(args, (array), self->skus_count);                                                      \
    } while (0)

static void s_put_skus(columns_t *self, souk_pg_args_t *args) {
    PUT_SKUS(souk_pg_strs, self->texts, sku);
    PUT_SKUS(souk_pg_ints, self->ints, price);
    PUT_SKUS(souk_pg_strs, self->texts, tax_category);
    PUT_SKUS(souk_pg_strs, self->texts, product_id);
    PUT_SKUS(souk_pg_strs, self->texts, name);
    PUT_SKUS(souk_pg_strs, self->texts, options_json);
    souk_pg_ints(args, self->skus_wanted, self->skus_count);
}

static void s_put_uses(columns_t *self, souk_pg_args_t *args) {
    const orders_ground_t *ground = self->in->ground;
    for (size_t i = 0; i < ground->codes_count; i++) {
        if (self->codes[i] != 0) {
            self->texts[self->codes[i] - 1] = ground->codes[i].code;
            self->ints[self->codes[i] - 1] = ground->codes[i].version;
        }
    }
    souk_pg_strs(args, self->texts, self->codes_count);
    souk_pg_ints(args, self->ints, self->codes_count);
    for (size_t i = 0; i < self->uses_count; i++) {
        self->ints[i] = (int64_t)self->use_codes[i];
    }
    souk_pg_ints(args, self->ints, self->uses_count);
    souk_pg_strs(args, self->use_customers, self->uses_count);
}

static void s_put_networks(columns_t *self, souk_pg_args_t *args) {
    PUT_STRS(souk_pg_strs, input->network);
}

/* ---- the call -------------------------------------------------------------------------------- */

static void s_take(const souk_pg_rows_t *rows, orders_outcome_t *ret_outcomes) {
    for (size_t row = 0; row < souk_pg_count(rows); row++) {
        ret_outcomes[souk_pg_get_int(rows, row, 0) - 1] = (orders_outcome_t){
            .kind = orders_outcome_of(souk_pg_get_str(rows, row, 1)),
            .at = souk_pg_get_int(rows, row, 2),
            .remaining = souk_pg_get_int(rows, row, 3),
            .reply = souk_pg_get_str(rows, row, 4),
        };
    }
}

/* BEGIN travels with the call, and COMMIT stands alone: a commit whose answer is lost is known for
 * what it is. */
static souk_err_t s_run(const orders_place_call_input_t *self, const souk_pg_args_t *args,
                        const souk_pg_rows_t **ret_rows) {
    SOUK_TRY(souk_pg_begin(self->pg, self->timeout_ms));
    souk_err_t err =
        souk_pg_exec(self->pg, self->timeout_ms, self->arena, &s_place, args, ret_rows);
    if (err != SOUK_OK) {
        err = orders_batch_key_error(self->pg, err);
        souk_pg_rollback(self->pg);
        return err;
    }
    souk_fault_point("orders.place.before_commit");
    SOUK_TRY(souk_pg_commit(self->pg));
    souk_fault_point("orders.place.after_commit_before_reply");
    return SOUK_OK;
}

souk_err_t orders_place_call(const orders_place_call_input_t *self,
                             const orders_draft_input_t *inputs, const orders_draft_t *drafts,
                             size_t count, orders_outcome_t *ret_outcomes) {
    columns_t columns = {.in = self, .inputs = inputs, .drafts = drafts, .count = count};
    SOUK_TRY(s_number(&columns));
    souk_pg_args_t args;
    souk_pg_args_init(&args, self->arena);
    s_put_head(&columns, &args);
    s_put_totals(&columns, &args);
    s_put_lines(&columns, &args);
    s_put_skus(&columns, &args);
    s_put_uses(&columns, &args);
    souk_pg_str(&args, self->currency);
    souk_pg_time(&args, self->at_us);
    souk_pg_time(&args, self->expires_at_us);
    souk_pg_int(&args, self->unpaid_max);
    s_put_networks(&columns, &args);
    souk_pg_int(&args, self->network_max);
    souk_pg_bool(&args, self->is_first && s_is_plenty(&columns));
    souk_pg_int(&args, self->key_wait_ms);
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(s_run(self, &args, &rows));
    for (size_t i = 0; i < count; i++) {
        ret_outcomes[i] = (orders_outcome_t){.kind = ORDERS_DONE}; /* others are told of */
    }
    s_take(rows, ret_outcomes);
    return SOUK_OK;
}
