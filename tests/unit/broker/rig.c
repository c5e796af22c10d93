#include "rig.h"

#include <criterion/criterion.h>
#include <stdio.h>

static souk_buf_t *s_begin(void *arg, souk_side_t side, souk_peer_t peer) {
    rig_t *self = arg;
    (void)side;
    (void)peer;
    souk_buf_clear(&self->envelope);
    return &self->envelope;
}

static souk_err_t s_commit(void *arg, souk_side_t side, souk_peer_t peer) {
    rig_t *self = arg;
    cr_assert_lt(peer, RIG_PEERS);
    cr_assert_not(self->envelope.overflow);
    if (self->clogged[side][peer]) {
        return SOUK_ERR_OVERLOADED;
    }
    souk_buf_append(&self->inbox[side][peer], self->envelope.data, self->envelope.size);
    return SOUK_OK;
}

static void s_forget(void *arg, souk_side_t side, souk_peer_t peer) {
    rig_t *self = arg;
    self->forgotten[side][peer]++;
}

static void s_note(void *arg, const souk_note_t *note) {
    rig_t *self = arg;
    self->notes[note->kind]++;
    self->last_note = *note;
    snprintf(self->last_text, sizeof(self->last_text), "%.*s", (int)note->request_id.size,
             note->request_id.data != NULL ? note->request_id.data : "");
}

static void s_waited(void *arg, uint32_t index, uint8_t priority, int64_t us) {
    rig_t *self = arg;
    (void)index;
    (void)priority;
    self->waited++;
    self->waited_us = us;
}

void rig_init(rig_t *self) {
    memset(self, 0, sizeof(*self));
    self->options = (souk_core_options_t){.name = "rig",
                                          .epoch = RIG_EPOCH,
                                          .hash_seed = 12345,
                                          .peers_max = 16,
                                          .services_max = 4,
                                          .flights_max = 4096,
                                          .queue_count_max = 100,
                                          .queue_bytes_max = 1 << 20,
                                          .bytes_max = 1 << 22,
                                          .envelope_bytes_max = 1 << 20,
                                          .heartbeat_min_ms = 100,
                                          .heartbeat_ms = 500,
                                          .heartbeat_max_ms = 5000,
                                          .cold_start_ms = 300,
                                          .reserve_ms = 2,
                                          .retry_after_ms = 1000,
                                          .refusals_max = 3,
                                          .deaths_max = 2,
                                          .floor = 16,
                                          .stop_ms = 2000};
    self->now_us = 1000000;
    self->out = (souk_out_t){.arg = self,
                             .begin = s_begin,
                             .commit = s_commit,
                             .forget = s_forget,
                             .note = s_note,
                             .waited = s_waited};
    souk_buf_init(&self->envelope, 1 << 21);
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        for (int i = 0; i < RIG_PEERS; i++) {
            souk_buf_init(&self->inbox[side][i], 1 << 26);
        }
    }
}

void rig_start(rig_t *self) {
    self->core = souk_core_new(&self->options, self->now_us);
}

void rig_done(rig_t *self) {
    if (self->core != NULL) {
        souk_core_check(self->core);
    }
    souk_core_destroy(&self->core);
    souk_buf_done(&self->envelope);
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        for (int i = 0; i < RIG_PEERS; i++) {
            souk_buf_done(&self->inbox[side][i]);
        }
    }
}

static souk_buf_t s_frame;

souk_buf_t *rig_begin(rig_t *self) {
    (void)self;
    if (s_frame.max == 0) {
        souk_buf_init(&s_frame, 1 << 21);
    }
    souk_buf_clear(&s_frame);
    return &s_frame;
}

void rig_send(rig_t *self, souk_side_t side, souk_peer_t peer) {
    /* A copy of exactly the right size, so that a read beyond the frame is seen by the sanitizer.
     */
    char *copy = malloc(s_frame.size + 1);
    memcpy(copy, s_frame.data, s_frame.size);
    souk_event_t event = {
        .kind = SOUK_EVENT_FRAME, .side = side, .peer = peer, .frame = {copy, s_frame.size}};
    souk_core_step(self->core, &event, self->now_us, &self->out);
    free(copy);
}

void rig_tick(rig_t *self, int64_t pass_us) {
    self->now_us += pass_us;
    souk_event_t event = {.kind = SOUK_EVENT_TICK};
    souk_core_step(self->core, &event, self->now_us, &self->out);
}

static void s_answer_pings(rig_t *self);

void rig_pass(rig_t *self, int64_t pass_us) {
    int64_t end_us = self->now_us + pass_us;
    int64_t wake_us;
    while ((wake_us = souk_core_next_wake_us(self->core)) <= end_us) {
        rig_tick(self, wake_us > self->now_us ? wake_us - self->now_us : 0);
        s_answer_pings(self);
    }
    rig_tick(self, end_us - self->now_us);
}

void rig_gone(rig_t *self, souk_side_t side, souk_peer_t peer) {
    souk_event_t event = {.kind = SOUK_EVENT_GONE, .side = side, .peer = peer};
    souk_core_step(self->core, &event, self->now_us, &self->out);
}

static bool s_peek(rig_t *self, souk_side_t side, souk_peer_t peer, souk_envelope_t *ret,
                   size_t *ret_size) {
    souk_buf_t *inbox = &self->inbox[side][peer];
    size_t *read = &self->read[side][peer];
    if (*read == inbox->size) {
        return false;
    }
    souk_mp_cursor_t at;
    souk_mp_cursor_init(&at, inbox->data + *read, inbox->size - *read);
    const uint8_t *start = at.at;
    cr_assert(souk_envelope_read(&at, ret) == SOUK_OK,
              "the core wrote an envelope that cannot be read");
    *ret_size = (size_t)(at.at - start);
    return true;
}

bool rig_take(rig_t *self, souk_side_t side, souk_peer_t peer, souk_envelope_t *ret) {
    size_t size = 0;
    while (s_peek(self, side, peer, ret, &size)) {
        self->read[side][peer] += size;
        if (ret->type != SOUK_MSG_PING) {
            return true;
        }
        if (self->mute[side][peer]) {
            continue;
        }
        souk_envelope_pong(rig_begin(self), ret->as.ping.token);
        rig_send(self, side, peer);
    }
    return false;
}

static void s_answer_pings(rig_t *self) {
    souk_envelope_t envelope;
    size_t size = 0;
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        for (souk_peer_t peer = 0; peer < RIG_PEERS; peer++) {
            while (s_peek(self, side, peer, &envelope, &size) && envelope.type == SOUK_MSG_PING) {
                self->read[side][peer] += size;
                if (self->mute[side][peer]) {
                    continue;
                }
                souk_envelope_pong(rig_begin(self), envelope.as.ping.token);
                rig_send(self, side, peer);
            }
        }
    }
}

void rig_forget_inboxes(rig_t *self) {
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        for (souk_peer_t peer = 0; peer < RIG_PEERS; peer++) {
            souk_buf_clear(&self->inbox[side][peer]);
            self->read[side][peer] = 0;
        }
    }
}

int rig_next(rig_t *self, souk_side_t side, souk_peer_t peer) {
    souk_envelope_t envelope;
    return rig_take(self, side, peer, &envelope) ? (int)envelope.type : 0;
}

void rig_hello(rig_t *self, souk_side_t side, souk_peer_t peer) {
    char name[16];
    snprintf(name, sizeof(name), "%s-%u", side == SOUK_SIDE_FRONT ? "client" : "worker", peer);
    souk_envelope_hello(rig_begin(self),
                        side == SOUK_SIDE_FRONT ? SOUK_ROLE_CLIENT : SOUK_ROLE_WORKER,
                        souk_str_of(name), 0);
    rig_send(self, side, peer);
    cr_assert_eq(rig_next(self, side, peer), SOUK_MSG_WELCOME);
}

void rig_credit(rig_t *self, souk_peer_t peer, souk_lane_t lane, uint32_t window) {
    souk_credit_row_t row = {.service = SOUK_STR("shop"), .lane = lane, .window = window};
    souk_envelope_credit(rig_begin(self), &row, 1);
    rig_send(self, SOUK_SIDE_BACK, peer);
}

void rig_worker(rig_t *self, souk_peer_t peer, uint32_t window) {
    static const souk_ready_row_t rows[] = {
        {{"shop", 4}, {"get", 3}, SOUK_LANE_SLOT},
        {{"shop", 4}, {"put", 3}, SOUK_LANE_SLOT},
        {{"shop", 4}, {"peek", 4}, SOUK_LANE_INLINE},
        {{"shop", 4}, {"many", 4}, SOUK_LANE_BATCH},
    };
    rig_hello(self, SOUK_SIDE_BACK, peer);
    souk_envelope_ready(rig_begin(self), rows, SOUK_COUNT_OF(rows));
    rig_send(self, SOUK_SIDE_BACK, peer);
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        rig_credit(self, peer, (souk_lane_t)lane, window);
    }
}

void rig_req(rig_t *self, souk_peer_t client, rig_req_t req) {
    static char body[1 << 20];
    souk_req_t wire = {.corr = souk_str_of(req.corr),
                       .timeout_ms = req.timeout_ms != 0 ? req.timeout_ms : 1000,
                       .class_ = (uint8_t)req.class_,
                       .priority = (uint8_t)req.priority,
                       .service = souk_str_of(req.service != NULL ? req.service : "shop"),
                       .method = souk_str_of(req.method != NULL ? req.method : "get"),
                       .key = req.class_ == SOUK_CLASS_KEYED ? SOUK_STR("key-1") : (souk_str_t){0},
                       .body = {body, req.body_bytes},
                       .request_id = souk_str_of(req.request_id)};
    souk_envelope_req(rig_begin(self), &wire);
    rig_send(self, SOUK_SIDE_FRONT, client);
}

void rig_cancel(rig_t *self, souk_peer_t client, const char *corr) {
    souk_envelope_cancel(rig_begin(self), souk_str_of(corr));
    rig_send(self, SOUK_SIDE_FRONT, client);
}

bool rig_work(rig_t *self, souk_peer_t worker, rig_work_t *ret) {
    souk_envelope_t envelope;
    if (!rig_take(self, SOUK_SIDE_BACK, worker, &envelope)) {
        return false;
    }
    cr_assert_eq(envelope.type, SOUK_MSG_REQ, "worker %u got %d", worker, envelope.type);
    cr_assert_eq(envelope.as.req.corr.size, SOUK_CORR_BYTES);
    memcpy(ret->corr, envelope.as.req.corr.data, SOUK_CORR_BYTES);
    snprintf(ret->method, sizeof(ret->method), "%.*s", (int)envelope.as.req.method.size,
             envelope.as.req.method.data);
    ret->timeout_ms = envelope.as.req.timeout_ms;
    ret->attempt = envelope.as.req.attempt;
    ret->flags = envelope.as.req.flags;
    ret->body = envelope.as.req.body;
    return true;
}

void rig_reply(rig_t *self, souk_peer_t worker, const rig_work_t *work) {
    souk_envelope_rep(rig_begin(self), (souk_str_t){(const char *)work->corr, SOUK_CORR_BYTES}, 0,
                      5, SOUK_STR("\x80"));
    rig_send(self, SOUK_SIDE_BACK, worker);
}

void rig_refuse(rig_t *self, souk_peer_t worker, const rig_work_t *work, souk_refused_t reason) {
    souk_envelope_refused(rig_begin(self), (souk_str_t){(const char *)work->corr, SOUK_CORR_BYTES},
                          reason);
    rig_send(self, SOUK_SIDE_BACK, worker);
}

void rig_drain(rig_t *self, souk_peer_t worker) {
    souk_envelope_drain(rig_begin(self));
    rig_send(self, SOUK_SIDE_BACK, worker);
}

souk_err_t rig_answer(rig_t *self, souk_peer_t client, const char *corr) {
    souk_envelope_t envelope;
    if (!rig_take(self, SOUK_SIDE_FRONT, client, &envelope)) {
        return SOUK_ERR_RETRY;
    }
    cr_assert(envelope.type == SOUK_MSG_REP || envelope.type == SOUK_MSG_ERR, "client got %d",
              envelope.type);
    cr_assert(souk_str_equal(envelope.as.rep.corr, souk_str_of(corr)),
              "answer for %.*s instead of %s", (int)envelope.as.rep.corr.size,
              envelope.as.rep.corr.data, corr);
    if (envelope.type == SOUK_MSG_REP) {
        return SOUK_OK;
    }
    souk_fault_t fault;
    cr_assert(souk_fault_read(envelope.as.rep.body, &fault) == SOUK_OK);
    return fault.err;
}

souk_service_view_t rig_service(rig_t *self, const char *name) {
    souk_service_view_t views[16];
    size_t count = souk_core_services(self->core, self->now_us, views, 16);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(views[i].name, name) == 0) {
            return views[i];
        }
    }
    return (souk_service_view_t){.index = UINT32_MAX};
}

souk_core_view_t rig_view(rig_t *self) {
    souk_core_view_t view;
    souk_core_view(self->core, &view);
    return view;
}

uint64_t rig_count(rig_t *self, souk_priority_t priority, souk_count_t count) {
    return rig_service(self, "shop").queues[priority].counts[count];
}
