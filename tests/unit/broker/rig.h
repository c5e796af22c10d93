/* A broker core between scripted peers and a scripted clock. */
#ifndef RIG_H
#define RIG_H

#include "core.h"

#define RIG_PEERS 64
#define RIG_EPOCH 77

typedef struct {
    souk_core_t *core;
    souk_core_options_t options;
    souk_out_t out;
    int64_t now_us;
    souk_buf_t envelope;                           /* being written by the core */
    souk_buf_t inbox[SOUK_SIDES_COUNT][RIG_PEERS]; /* what a peer has not read yet */
    size_t read[SOUK_SIDES_COUNT][RIG_PEERS];
    bool clogged[SOUK_SIDES_COUNT][RIG_PEERS]; /* commits for it fail */
    bool mute[SOUK_SIDES_COUNT][RIG_PEERS];    /* it does not answer pings */
    unsigned forgotten[SOUK_SIDES_COUNT][RIG_PEERS];
    unsigned notes[32];
    souk_note_t last_note;
    char last_text[64]; /* request_id of the last note */
    unsigned waited;
    int64_t waited_us;
} rig_t;

/* Small bounds; change rig->options between rig_init and rig_start. */
void rig_init(rig_t *self);
void rig_start(rig_t *self);
void rig_done(rig_t *self);

/* Something to send: write envelopes to rig_begin's buffer, then rig_send. */
souk_buf_t *rig_begin(rig_t *self);
void rig_send(rig_t *self, souk_side_t side, souk_peer_t peer);
void rig_tick(rig_t *self, int64_t pass_us);
/* Lets the time pass in the steps that the core asks for. */
void rig_pass(rig_t *self, int64_t pass_us);
void rig_gone(rig_t *self, souk_side_t side, souk_peer_t peer);

/* The next envelope that the core sent to the peer; false when there is none. PINGs are answered by
 * PONG and not shown. */
bool rig_take(rig_t *self, souk_side_t side, souk_peer_t peer, souk_envelope_t *ret);
void rig_forget_inboxes(rig_t *self);

void rig_hello(rig_t *self, souk_side_t side, souk_peer_t peer);
/* HELLO, READY (methods of service "shop": "get" "put" in the slot lane, "peek" inline, "many"
 * batch) and CREDIT of window for each lane. */
void rig_worker(rig_t *self, souk_peer_t peer, uint32_t window);
void rig_credit(rig_t *self, souk_peer_t peer, souk_lane_t lane, uint32_t window);

typedef struct {
    const char *corr, *service, *method;
    souk_class_t class_;
    souk_priority_t priority;
    uint32_t timeout_ms;
    const char *request_id;
    size_t body_bytes;
} rig_req_t;
/* Defaults: service shop, method get, timeout 1000 ms, browse priority when 0 is not what you want:
 * set it. */
void rig_req(rig_t *self, souk_peer_t client, rig_req_t req);
void rig_cancel(rig_t *self, souk_peer_t client, const char *corr);

/* The next REQ at the worker, its broker corr copied; false when none. */
typedef struct {
    uint8_t corr[SOUK_CORR_BYTES];
    char method[SOUK_NAME_BYTES_MAX + 1];
    uint32_t timeout_ms, attempt, flags;
    souk_str_t body;
} rig_work_t;
bool rig_work(rig_t *self, souk_peer_t worker, rig_work_t *ret);
void rig_reply(rig_t *self, souk_peer_t worker, const rig_work_t *work);
void rig_refuse(rig_t *self, souk_peer_t worker, const rig_work_t *work, souk_refused_t reason);
/* A message with nothing but the type behind it: DRAIN. */
void rig_drain(rig_t *self, souk_peer_t worker);

/* The client's next answer: SOUK_OK for REP, else the error; SOUK_ERR_RETRY when there is none.
 * corr must be as given. */
souk_err_t rig_answer(rig_t *self, souk_peer_t client, const char *corr);
/* The type of the next envelope at the peer (0: none). */
int rig_next(rig_t *self, souk_side_t side, souk_peer_t peer);

souk_service_view_t rig_service(rig_t *self, const char *name);
souk_core_view_t rig_view(rig_t *self);
uint64_t rig_count(rig_t *self, souk_priority_t priority, souk_count_t count);

#endif
