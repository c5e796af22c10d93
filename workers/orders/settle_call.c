#include "orders/settle.h"

#include "orders/batch.h"
#include "runtime/fault_point.h"
#include "souk/id.h"
#include "souk/machine.h"

/* In the order of the function's parameters. */
static const souk_pg_stmt_t s_settle = {
    .name = "orders_settle",
    .sql = "SELECT i, outcome, reply FROM settle_orders($1::text, $2::text,"
           " $3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::boolean[],"
           " $8::text[], array_replace($9::bigint[], 0, NULL), $10::text[], $11::text[], "
           "$12::text[], $13::text[],"
           " $14::text[], $15::text[], $16::timestamptz, $17::bigint)"};

/* ---- machines -------------------------------------------------------------------------------- */

_Static_assert((int)ORDERS_ORDER_IS_PLACED == (int)ORDERS_ORDER_STATUS_PLACED &&
                   (int)ORDERS_ORDER_IS_EXPIRED == (int)ORDERS_ORDER_STATUS_EXPIRED &&
                   (int)ORDERS_PAYMENT_IS_PENDING == (int)ORDERS_ORDER_PAYMENT_STATUS_PENDING &&
                   (int)ORDERS_PAYMENT_IS_VOIDED == (int)ORDERS_ORDER_PAYMENT_STATUS_VOIDED &&
                   (int)ORDERS_FULFILMENT_IS_UNFULFILLED ==
                       (int)ORDERS_ORDER_FULFILMENT_STATUS_UNFULFILLED &&
                   (int)ORDERS_FULFILMENT_IS_VOID == (int)ORDERS_ORDER_FULFILMENT_STATUS_VOID,
               "the machines' states stand in the order of the reply's enums");

/* What a move is to each machine; -1: nothing. */
static const struct {
    int32_t order, payment, fulfilment;
} s_moves[] = {
    [ORDERS_MOVE_PAY] = {ORDERS_ORDER_BY_PAY, ORDERS_PAYMENT_BY_PAY, -1},
    [ORDERS_MOVE_CANCEL] = {ORDERS_ORDER_BY_CANCEL, ORDERS_PAYMENT_BY_CANCEL,
                            ORDERS_FULFILMENT_BY_CANCEL},
    [ORDERS_MOVE_EXPIRE] = {ORDERS_ORDER_BY_EXPIRE, ORDERS_PAYMENT_BY_EXPIRE,
                            ORDERS_FULFILMENT_BY_EXPIRE},
};

void orders_record_move(orders_record_t *self, orders_move_t move, int64_t at_us,
                        souk_arena_t *arena, orders_verdict_t *verdict) {
    const struct {
        const souk_machine_t *machine;
        int32_t by;
        int32_t *state;
        const char *pointer;
    } steps[] = {
        {&orders_order_machine, s_moves[move].order, &self->status, "/status"},
        {&orders_payment_machine, s_moves[move].payment, &self->payment_status, "/payment_status"},
        {&orders_fulfilment_machine, s_moves[move].fulfilment, &self->fulfilment_status,
         "/fulfilment_status"},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(steps); i++) {
        int32_t from = *steps[i].state;
        if (steps[i].by < 0 ||
            souk_machine_move(steps[i].machine, from, steps[i].by, steps[i].state)) {
            continue;
        }
        const char *state = souk_machine_state_name(steps[i].machine, from);
        (void)orders_verdict_refuse(verdict, arena, SOUK_ERR_ILLEGAL_TRANSITION,
                                    "%s: no move %s from the state %s.", steps[i].machine->name,
                                    souk_machine_move_name(steps[i].machine, steps[i].by), state);
        orders_verdict_field(verdict, arena, steps[i].pointer, "is %s", state);
        return;
    }
    self->version++;
    self->updated_at = at_us;
    self->expires_at = move == ORDERS_MOVE_EXPIRE ? self->expires_at : ORDERS_NO_TIME;
    self->paid_at = move == ORDERS_MOVE_PAY ? at_us : self->paid_at;
    self->cancelled_at = move == ORDERS_MOVE_CANCEL ? at_us : self->cancelled_at;
}

/* ---- the call -------------------------------------------------------------------------------- */

static const char *const s_names[] = {
    [ORDERS_MOVE_PAY] = "pay", [ORDERS_MOVE_CANCEL] = "cancel", [ORDERS_MOVE_EXPIRE] = "expire"};

typedef struct {
    const orders_settling_t *settlings;
    size_t count;
    souk_arena_t *arena;
    souk_str_t *texts;
} columns_t;

/* A member of orders_settling_t as a column. */
static void s_put(const columns_t *self, souk_pg_args_t *args, size_t offset, bool is_bytes) {
    for (size_t i = 0; i < self->count; i++) {
        memcpy(&self->texts[i], (const char *)&self->settlings[i] + offset, sizeof(souk_str_t));
    }
    (is_bytes ? souk_pg_bytess : souk_pg_strs)(args, self->texts, self->count);
}

/* New ids; for audit only where it is wanted. */
static void s_put_ids(const columns_t *self, souk_pg_args_t *args, const char *prefix,
                      bool audited) {
    for (size_t i = 0; i < self->count; i++) {
        self->texts[i] = (souk_str_t){0};
        if (!audited || self->settlings[i].audited) {
            char id[SOUK_ID_BYTES_MAX];
            size_t size = souk_id_new(prefix, id);
            self->texts[i] = souk_arena_copy(self->arena, (souk_str_t){.data = id, .size = size});
        }
    }
    souk_pg_strs(args, self->texts, self->count);
}

static souk_err_t s_args(const orders_settle_input_t *self, const orders_settling_t *settlings,
                         size_t count, souk_pg_args_t *args) {
    columns_t columns = {
        .settlings = settlings,
        .count = count,
        .arena = self->arena,
        .texts = souk_arena_alloc_array(self->arena, count, sizeof(souk_str_t)),
    };
    bool *refused = souk_arena_alloc_array(self->arena, count, sizeof(*refused));
    int64_t *versions = souk_arena_alloc_array(self->arena, count, sizeof(*versions));
    if (souk_arena_overflowed(self->arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        refused[i] = settlings[i].refused;
        versions[i] = settlings[i].version;
    }
    souk_pg_args_init(args, self->arena);
    souk_pg_str(args, souk_str_of(s_names[self->move]));
    souk_pg_str(args, souk_str_of(self->method));
    s_put(&columns, args, offsetof(orders_settling_t, subject), false);
    s_put(&columns, args, offsetof(orders_settling_t, key), false);
    s_put(&columns, args, offsetof(orders_settling_t, key_hash), true);
    s_put(&columns, args, offsetof(orders_settling_t, reply), true);
    souk_pg_bools(args, refused, count);
    s_put(&columns, args, offsetof(orders_settling_t, id), false);
    souk_pg_ints(args, versions, count);
    s_put(&columns, args, offsetof(orders_settling_t, owner), false);
    s_put(&columns, args, offsetof(orders_settling_t, actor), false);
    s_put_ids(&columns, args, "evt_", false);
    s_put(&columns, args, offsetof(orders_settling_t, traceparent), false);
    s_put_ids(&columns, args, "aud_", true);
    s_put(&columns, args, offsetof(orders_settling_t, request_id), false);
    souk_pg_time(args, self->at_us);
    souk_pg_int(args, self->key_wait_ms);
    return SOUK_OK;
}

/* Names of places, whole, as tests give them. */
static void s_fault(orders_move_t move, bool committed) {
    (void)move;
    (void)committed;
#ifdef SOUK_FAULT_POINTS
    static const char *const places[][2] = {
        [ORDERS_MOVE_PAY] = {"orders.pay.before_commit", "orders.pay.after_commit_before_reply"},
        [ORDERS_MOVE_CANCEL] = {"orders.cancel.before_commit",
                                "orders.cancel.after_commit_before_reply"},
        [ORDERS_MOVE_EXPIRE] = {"orders.expire.before_commit",
                                "orders.expire.after_commit_before_reply"},
    };
    souk_fault_point(places[move][committed ? 1 : 0]);
#endif
}

souk_err_t orders_settle_call(const orders_settle_input_t *self, const orders_settling_t *settlings,
                              size_t count, orders_outcome_t *ret_outcomes) {
    souk_pg_args_t args;
    SOUK_TRY(s_args(self, settlings, count, &args));
    SOUK_TRY(souk_pg_begin(self->pg, self->timeout_ms));
    const souk_pg_rows_t *rows = NULL;
    souk_err_t err = souk_pg_exec(self->pg, self->timeout_ms, self->arena, &s_settle, &args, &rows);
    if (err != SOUK_OK) {
        err = orders_batch_key_error(self->pg, err);
        souk_pg_rollback(self->pg);
        return err;
    }
    s_fault(self->move, false);
    SOUK_TRY(souk_pg_commit(self->pg));
    s_fault(self->move, true);
    for (size_t i = 0; i < count; i++) {
        ret_outcomes[i] = (orders_outcome_t){.kind = ORDERS_STALE};
    }
    for (size_t row = 0; row < souk_pg_count(rows); row++) {
        ret_outcomes[souk_pg_get_int(rows, row, 0) - 1] = (orders_outcome_t){
            .kind = orders_outcome_of(souk_pg_get_str(rows, row, 1)),
            .reply = souk_pg_get_str(rows, row, 2),
        };
    }
    return SOUK_OK;
}
