/* Handing orders over, whole or in parts: never more than was ordered, and when nothing is left the
 * order is completed. */
#include <stdio.h>

#include "gen/orders_handlers.h"
#include "orders/record.h"
#include "orders/service.h"
#include "orders/verdict.h"
#include "runtime/fault_point.h"
#include "souk/clock.h"
#include "souk/id.h"
#include "souk/machine.h"

#define LINES_MAX 100
#define PARTS_MAX 1000 /* as the reply's fulfilments */
#define POINTER_BYTES 40

static const souk_pg_stmt_t s_lock = {
    .name = "orders_fulfil_lock", .sql = "SELECT 1 FROM orders WHERE id = $1 FOR NO KEY UPDATE"};
static const souk_pg_stmt_t s_take = {
    .name = "orders_fulfil_take",
    .sql = "UPDATE order_lines SET fulfilled = fulfilled + a.quantity"
           " FROM unnest($2::bigint[], $3::bigint[]) AS a(line, quantity)"
           " WHERE order_id = $1 AND order_lines.line = a.line"};
static const souk_pg_stmt_t s_part = {
    .name = "orders_fulfil_part",
    .sql = "INSERT INTO fulfilments (id, order_id, carrier, tracking, created_at, actor)"
           " VALUES ($1, $2, $3, $4, $5, $6)"};
static const souk_pg_stmt_t s_part_lines = {
    .name = "orders_fulfil_part_lines",
    .sql = "INSERT INTO fulfilment_lines (fulfilment_id, line, quantity)"
           " SELECT $1, a.line::integer, a.quantity"
           " FROM unnest($2::bigint[], $3::bigint[]) AS a(line, quantity)"};
static const souk_pg_stmt_t s_order = {
    .name = "orders_fulfil_order",
    .sql = "UPDATE orders SET status = $2, fulfilment_status = $3, version = version + 1,"
           " updated_at = $4 WHERE id = $1"};
static const souk_pg_stmt_t s_record = {
    .name = "orders_fulfil_record",
    .sql = "SELECT count(*) FROM record_order_events('fulfilled', ARRAY[$1::text],"
           " ARRAY[$2::text], ARRAY[$3::text], ARRAY[$4::text],"
           " ARRAY[jsonb_build_object('fulfilment_id', $5::text)], $6::timestamptz)"};

typedef struct {
    souk_ctx_t *ctx;
    const orders_admin_fulfil_req_t *req;
    orders_record_t record;
    int64_t numbers[LINES_MAX], quantities[LINES_MAX]; /* of the lines that it holds */
    size_t count;
    bool completes;
    souk_str_t id; /* the fulfilment's */
    int64_t at_us;
} fulfil_t;

/* ---- what it holds --------------------------------------------------------------------------- */

static int64_t s_left(const orders_record_line_t *line) {
    return line->quantity - line->fulfilled;
}

/* Takes from the record's line; one that is named twice is one line. */
static void s_take_from(fulfil_t *self, size_t line, int64_t quantity) {
    self->record.lines[line].fulfilled += quantity;
    size_t at = 0;
    while (at < self->count && self->numbers[at] != (int64_t)line + 1) {
        at++;
    }
    if (at == self->count) {
        self->numbers[self->count++] = (int64_t)line + 1;
    }
    self->quantities[at] += quantity;
}

static souk_err_t s_choose_given(fulfil_t *self) {
    size_t count = 0;
    const orders_fulfilment_line_t *given = orders_admin_fulfil_req_lines(self->req, &count);
    for (size_t i = 0; i < count; i++) {
        char pointer[POINTER_BYTES];
        if ((size_t)given[i].line > self->record.lines_count) {
            (void)snprintf(pointer, sizeof(pointer), "/lines/%zu/line", i);
            return souk_ctx_fail_field(self->ctx, pointer, "the order has %zu lines",
                                       self->record.lines_count);
        }
        size_t line = (size_t)given[i].line - 1;
        int64_t left = s_left(&self->record.lines[line]);
        if (given[i].quantity > left) {
            (void)snprintf(pointer, sizeof(pointer), "/lines/%zu/quantity", i);
            (void)souk_ctx_fail_field(self->ctx, pointer, "%lld left of line %lld", (long long)left,
                                      (long long)given[i].line);
            return souk_ctx_fail(self->ctx, SOUK_ERR_OVER_FULFILMENT,
                                 "Of line %lld there are %lld left to hand over, not %lld.",
                                 (long long)given[i].line, (long long)left,
                                 (long long)given[i].quantity);
        }
        s_take_from(self, line, given[i].quantity);
    }
    return SOUK_OK;
}

static souk_err_t s_choose(fulfil_t *self) {
    souk_assert(self->record.lines_count <= LINES_MAX);
    if (souk_bits_has(&self->req->bits, ORDERS_ADMIN_FULFIL_REQ_LINES_BIT)) {
        SOUK_TRY(s_choose_given(self));
    } else {
        for (size_t i = 0; i < self->record.lines_count; i++) {
            int64_t left = s_left(&self->record.lines[i]);
            if (left > 0) {
                s_take_from(self, i, left);
            }
        }
    }
    self->completes = true;
    for (size_t i = 0; i < self->record.lines_count; i++) {
        self->completes = self->completes && s_left(&self->record.lines[i]) == 0;
    }
    return SOUK_OK;
}

static souk_err_t s_illegal(const fulfil_t *self, const souk_machine_t *machine, int32_t by,
                            int32_t state) {
    return souk_ctx_fail(
        self->ctx, SOUK_ERR_ILLEGAL_TRANSITION, "%s: no move %s from the state %s.", machine->name,
        souk_machine_move_name(machine, by), souk_machine_state_name(machine, state));
}

/* Before anything is chosen: an order that is not paid, or has nothing left, is refused by name. */
static souk_err_t s_require_moves(const fulfil_t *self) {
    int32_t to;
    if (!souk_machine_move(&orders_order_machine, self->record.status, ORDERS_ORDER_BY_FULFIL,
                           &to)) {
        return s_illegal(self, &orders_order_machine, ORDERS_ORDER_BY_FULFIL, self->record.status);
    }
    if (!souk_machine_move(&orders_fulfilment_machine, self->record.fulfilment_status,
                           ORDERS_FULFILMENT_BY_FULFIL, &to)) {
        return s_illegal(self, &orders_fulfilment_machine, ORDERS_FULFILMENT_BY_FULFIL,
                         self->record.fulfilment_status);
    }
    if (self->record.parts_count >= PARTS_MAX) {
        return souk_ctx_fail(self->ctx, SOUK_ERR_CONFLICT, "An order has at most %d fulfilments.",
                             PARTS_MAX);
    }
    return SOUK_OK;
}

static void s_move(fulfil_t *self) {
    orders_record_t *record = &self->record;
    bool moved =
        souk_machine_move(&orders_order_machine, record->status,
                          self->completes ? ORDERS_ORDER_BY_COMPLETE : ORDERS_ORDER_BY_FULFIL,
                          &record->status) &&
        souk_machine_move(&orders_fulfilment_machine, record->fulfilment_status,
                          self->completes ? ORDERS_FULFILMENT_BY_COMPLETE
                                          : ORDERS_FULFILMENT_BY_FULFIL,
                          &record->fulfilment_status);
    souk_assert(moved); /* s_require_moves has looked; both moves leave the same states */
    record->version++;
    record->updated_at = self->at_us;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static souk_str_t s_given(const fulfil_t *self, unsigned bit, souk_str_t text) {
    return souk_bits_has(&self->req->bits, bit) ? text : (souk_str_t){0};
}

static souk_err_t s_write_part(const fulfil_t *self) {
    souk_arena_t *arena = souk_ctx_arena(self->ctx);
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, self->record.id);
    souk_pg_ints(&args, self->numbers, self->count);
    souk_pg_ints(&args, self->quantities, self->count);
    SOUK_TRY(souk_pg_run(self->ctx, &s_take, &args, NULL));
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, self->id);
    souk_pg_str(&args, self->record.id);
    souk_pg_str(&args, s_given(self, ORDERS_ADMIN_FULFIL_REQ_CARRIER_BIT, self->req->carrier));
    souk_pg_str(&args, s_given(self, ORDERS_ADMIN_FULFIL_REQ_TRACKING_BIT, self->req->tracking));
    souk_pg_time(&args, self->at_us);
    souk_pg_str(&args, souk_ctx_subject(self->ctx));
    SOUK_TRY(souk_pg_run(self->ctx, &s_part, &args, NULL));
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, self->id);
    souk_pg_ints(&args, self->numbers, self->count);
    souk_pg_ints(&args, self->quantities, self->count);
    return souk_pg_run(self->ctx, &s_part_lines, &args, NULL);
}

static souk_err_t s_write_order(const fulfil_t *self) {
    souk_arena_t *arena = souk_ctx_arena(self->ctx);
    const orders_record_t *record = &self->record;
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, record->id);
    souk_pg_str(&args, souk_str_of(souk_machine_state_name(&orders_order_machine, record->status)));
    souk_pg_str(&args, souk_str_of(souk_machine_state_name(&orders_fulfilment_machine,
                                                           record->fulfilment_status)));
    souk_pg_time(&args, self->at_us);
    SOUK_TRY(souk_pg_run(self->ctx, &s_order, &args, NULL));
    char event[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("evt_", event);
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, record->id);
    souk_pg_str(&args, souk_ctx_subject(self->ctx));
    souk_pg_str(&args, (souk_str_t){.data = event, .size = size});
    souk_pg_str(&args, souk_ctx_traceparent(self->ctx));
    souk_pg_str(&args, self->id);
    souk_pg_time(&args, self->at_us);
    SOUK_TRY(souk_pg_run(self->ctx, &s_record, &args, NULL));
    souk_str_t after = souk_arena_printf(
        arena, "{\"fulfilment_id\": \"%.*s\", \"fulfilment_status\": \"%s\"}", (int)self->id.size,
        self->id.data,
        souk_machine_state_name(&orders_fulfilment_machine, record->fulfilment_status));
    return souk_pg_audit(self->ctx, "orders.fulfil", record->id, (souk_str_t){0}, after);
}

/* The new part behind those that were read. */
static souk_err_t s_add_part(fulfil_t *self) {
    souk_arena_t *arena = souk_ctx_arena(self->ctx);
    orders_record_t *record = &self->record;
    orders_record_part_t *parts =
        souk_arena_alloc_array(arena, record->parts_count + 1, sizeof(*parts));
    orders_fulfilment_line_t *lines = souk_arena_alloc_array(arena, self->count, sizeof(*lines));
    if (parts == NULL || lines == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < record->parts_count; i++) {
        parts[i] = record->parts[i];
    }
    for (size_t i = 0; i < self->count; i++) {
        orders_fulfilment_line_set_line(&lines[i], self->numbers[i]);
        orders_fulfilment_line_set_quantity(&lines[i], self->quantities[i]);
    }
    parts[record->parts_count++] = (orders_record_part_t){
        .id = self->id,
        .carrier = s_given(self, ORDERS_ADMIN_FULFIL_REQ_CARRIER_BIT, self->req->carrier),
        .tracking = s_given(self, ORDERS_ADMIN_FULFIL_REQ_TRACKING_BIT, self->req->tracking),
        .created_at = self->at_us,
        .lines = lines,
        .lines_count = self->count,
    };
    record->parts = parts;
    return SOUK_OK;
}

/* ---- the write ------------------------------------------------------------------------------- */

static souk_err_t s_fulfil(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    fulfil_t *self = souk_arena_alloc(arena, sizeof(*self));
    if (self == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *self = (fulfil_t){.ctx = ctx, .req = req, .at_us = souk_clock_unix_us()};
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("ful_", id);
    self->id = souk_arena_copy(arena, (souk_str_t){.data = id, .size = size});
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, self->req->id);
    SOUK_TRY(souk_pg_run(ctx, &s_lock, &args, NULL));
    const souk_str_t owner = {0};
    const orders_records_ask_t ask = {
        .pg = souk_ctx_slot(ctx), .timeout_ms = souk_ctx_remaining_ms(ctx), .arena = arena};
    SOUK_TRY(orders_records_read(&ask, &self->req->id, &owner, 1, &self->record));
    if (self->record.id.data == NULL) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "No order %.*s", (int)self->req->id.size,
                             self->req->id.data);
    }
    SOUK_TRY(s_require_moves(self));
    SOUK_TRY(s_choose(self));
    s_move(self);
    SOUK_TRY(s_write_part(self));
    SOUK_TRY(s_write_order(self));
    SOUK_TRY(s_add_part(self));
    souk_fault_point("orders.fulfil.before_commit");
    return orders_record_reply(&self->record, arena, ret_rep);
}

souk_err_t orders_admin_fulfil(souk_ctx_t *ctx, const orders_admin_fulfil_req_t *req,
                               orders_admin_fulfil_rep_t *ret_rep) {
    SOUK_TRY(souk_pg_write(ctx, s_fulfil, req, ret_rep));
    souk_fault_point("orders.fulfil.after_commit_before_reply");
    return SOUK_OK;
}
