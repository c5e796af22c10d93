/* Seeded simulations: clients and workers that send, answer, refuse, cancel, die, freeze, drain and
 * lie at random, beside a model that knows what may happen. What it asserts:
 *  - every admitted request gets exactly one answer, at the latest one tick after its deadline,
 * unless its client cancelled it or died;
 *  - no worker ever has more in hand than its window;
 *  - a request is dispatched again only after REFUSED or after its worker died, and an unkeyed one
 * only after REFUSED;
 *  - a request whose worker died is tried alone;
 *  - lists and counts agree, nothing waits that could run, and in the end nothing is left.
 * A failure prints its seed: SOUK_SIM_SEED=n runs that one. */
#include "rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS = 4, WORKERS = 5, REQUESTS = 20000, STEPS = 4000 };

typedef enum { UNUSED, WAITING, OVER } fate_t;

typedef struct {
    fate_t fate;
    souk_peer_t client;
    souk_class_t class_;
    souk_lane_t lane;
    int64_t deadline_us;
    bool held;          /* a worker has it */
    souk_peer_t worker; /* that has it */
    bool may_repeat;    /* refused since its last dispatch, or (not unkeyed) its worker died */
    bool died;          /* with a worker, once */
    bool poison;        /* it kills its worker instead of being answered */
    uint8_t corr[SOUK_CORR_BYTES];
} request_t;

typedef struct {
    bool up, drained;
    uint32_t windows[SOUK_LANES_COUNT];
    uint32_t held[SOUK_LANES_COUNT];
} worker_t;

static rig_t rig;
static request_t requests[REQUESTS];
static uint32_t requests_count;
static worker_t workers[WORKERS];
static bool clients[CLIENTS];
static unsigned forgotten[SOUK_SIDES_COUNT][RIG_PEERS];
static uint64_t state;
static unsigned answered, redelivered;
static uint64_t totals[SOUK_COUNTS];
static uint32_t refuse_rate;

static uint32_t chance(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

static const char *const methods[] = {"peek", "get", "many"};

static void worker_died(souk_peer_t peer) {
    for (uint32_t i = 0; i < requests_count; i++) {
        request_t *request = &requests[i];
        if (request->held && request->worker == peer) {
            request->held = false;
            request->may_repeat = request->class_ != SOUK_CLASS_UNKEYED;
            request->died = true;
        }
    }
    memset(&workers[peer], 0, sizeof(workers[peer]));
}

static void client_died(souk_peer_t peer) {
    for (uint32_t i = 0; i < requests_count; i++) {
        if (requests[i].client == peer && requests[i].fate == WAITING) {
            requests[i].fate = OVER;
        }
    }
    clients[peer] = false;
}

static void dispatched(souk_peer_t peer, const souk_req_t *req) {
    uint32_t id = 0;
    memcpy(&id, req->body.data, sizeof(id));
    cr_assert_lt(id, requests_count);
    request_t *request = &requests[id];
    worker_t *worker = &workers[peer];
    cr_assert_not(worker->drained, "worker %u got work after its drain", peer);
    cr_assert_eq(request->fate, WAITING, "%u was dispatched though nobody waits", id);
    cr_assert(request->may_repeat && !request->held, "%u was dispatched twice", id);
    cr_assert_lt(rig.now_us, request->deadline_us, "%u was dispatched after its deadline", id);
    cr_assert_lt(worker->held[request->lane], worker->windows[request->lane], "window exceeded");
    uint32_t others = 0;
    for (uint32_t i = 0; i < requests_count; i++) {
        if (requests[i].held && requests[i].worker == peer) {
            others++;
            cr_assert_not(requests[i].died, "%u shares a worker with the suspect %u", id, i);
        }
    }
    cr_assert(!request->died || others == 0, "the suspect %u is not alone", id);
    cr_assert_eq(req->attempt > 0, request->died);
    redelivered += req->attempt > 0 ? 1 : 0;
    request->held = true;
    request->worker = peer;
    request->may_repeat = false;
    memcpy(request->corr, req->corr.data, SOUK_CORR_BYTES);
    worker->held[request->lane]++;
}

static void answer_came(souk_peer_t peer, const souk_rep_t *rep, bool is_err) {
    uint32_t id = 0;
    memcpy(&id, rep->corr.data, sizeof(id));
    cr_assert(id < requests_count && requests[id].client == peer, "an answer for somebody else");
    cr_assert_eq(requests[id].fate, WAITING, "%u got a second answer", id);
    if (is_err) {
        souk_fault_t fault;
        cr_assert(souk_fault_read(rep->body, &fault) == SOUK_OK);
        bool unkeyed = requests[id].class_ == SOUK_CLASS_UNKEYED;
        cr_assert(fault.err != SOUK_ERR_UNKNOWN_OUTCOME || unkeyed);
        cr_assert(fault.err != SOUK_ERR_WORKER_LOST || !unkeyed);
        cr_assert(fault.err != SOUK_ERR_DEADLINE_EXCEEDED || !requests[id].held,
                  "it is in a worker");
    }
    requests[id].fate = OVER;
    answered++;
}

/* True when the core forgot the peer in the last step. */
static bool was_forgotten(souk_side_t side, souk_peer_t peer) {
    if (rig.forgotten[side][peer] == forgotten[side][peer]) {
        return false;
    }
    forgotten[side][peer] = rig.forgotten[side][peer];
    souk_buf_clear(&rig.inbox[side][peer]);
    rig.read[side][peer] = 0;
    return true;
}

/* Everybody reads everything that has come. Dead workers first: their work may have been given to
 * others in the same step. Dead clients after the workers: their work may have been given away
 * before they died. */
static void settle(void) {
    souk_envelope_t envelope;
    for (souk_peer_t peer = 0; peer < WORKERS; peer++) {
        if (was_forgotten(SOUK_SIDE_BACK, peer)) {
            worker_died(peer);
        }
    }
    for (souk_peer_t peer = 0; peer < WORKERS; peer++) {
        while (rig_take(&rig, SOUK_SIDE_BACK, peer, &envelope)) {
            if (envelope.type == SOUK_MSG_REQ) {
                dispatched(peer, &envelope.as.req);
            }
        }
    }
    for (souk_peer_t peer = 0; peer < CLIENTS; peer++) {
        if (was_forgotten(SOUK_SIDE_FRONT, peer)) {
            client_died(peer);
        }
        while (rig_take(&rig, SOUK_SIDE_FRONT, peer, &envelope)) {
            if (envelope.type == SOUK_MSG_REP || envelope.type == SOUK_MSG_ERR) {
                answer_came(peer, &envelope.as.rep, envelope.type == SOUK_MSG_ERR);
            }
        }
    }
}

static void send_request(souk_peer_t client) {
    if (requests_count == REQUESTS) {
        return;
    }
    uint32_t id = requests_count++;
    static const uint32_t timeouts[] = {20, 200, 1000, 5000};
    uint32_t timeout_ms = timeouts[chance(4)] + chance(20);
    request_t *request = &requests[id];
    *request = (request_t){.fate = WAITING,
                           .client = client,
                           .class_ = (souk_class_t)chance(SOUK_CLASSES_COUNT),
                           .lane = (souk_lane_t)chance(SOUK_LANES_COUNT),
                           .deadline_us = rig.now_us + (int64_t)timeout_ms * 1000,
                           .may_repeat = true,
                           .poison = chance(100) == 0};
    souk_req_t wire = {.corr = {(const char *)&id, sizeof(id)},
                       .timeout_ms = timeout_ms,
                       .class_ = (uint8_t)request->class_,
                       .priority = (uint8_t)chance(SOUK_PRIORITIES_COUNT),
                       .service = SOUK_STR("shop"),
                       .method = souk_str_of(methods[request->lane]),
                       .key = request->class_ == SOUK_CLASS_KEYED ? SOUK_STR("k") : (souk_str_t){0},
                       .body = {(const char *)&id, sizeof(id)}};
    souk_envelope_req(rig_begin(&rig), &wire);
    rig_send(&rig, SOUK_SIDE_FRONT, client);
}

static request_t *some_request(bool held) {
    for (uint32_t i = 0, at = chance(requests_count + 1); i < requests_count; i++) {
        request_t *request = &requests[(at + i) % requests_count];
        if (held ? request->held : request->fate == WAITING) {
            return request;
        }
    }
    return NULL;
}

static void let_go(request_t *request) {
    request->held = false;
    workers[request->worker].held[request->lane]--;
}

static void answer(void) {
    request_t *request = some_request(true);
    if (request == NULL) {
        return;
    }
    souk_str_t corr = {(const char *)request->corr, SOUK_CORR_BYTES};
    souk_peer_t worker = request->worker;
    if (chance(10) == 0) { /* a liar first */
        souk_envelope_rep(rig_begin(&rig), corr, 0, -1, SOUK_STR("\x80"));
        rig_send(&rig, SOUK_SIDE_BACK, (worker + 1) % WORKERS);
        settle();
        if (!request->held) {
            return;
        }
    }
    if (request->poison) {
        worker_died(worker);
        rig_gone(&rig, SOUK_SIDE_BACK, worker);
        return;
    }
    bool refuse = chance(refuse_rate) == 0;
    let_go(request);
    request->may_repeat = refuse;
    souk_buf_t *frame = rig_begin(&rig);
    if (refuse) {
        souk_envelope_refused(frame, corr, (souk_refused_t)(1 + chance(3)));
    } else {
        souk_envelope_rep(frame, corr, 0, 1, SOUK_STR("\x80"));
    }
    if (!refuse && chance(10) == 0) { /* twice */
        souk_envelope_rep(frame, corr, 0, 1, SOUK_STR("\x80"));
    }
    rig_send(&rig, SOUK_SIDE_BACK, worker);
}

static void cancel(void) {
    request_t *request = some_request(false);
    if (request != NULL) {
        uint32_t id = (uint32_t)(request - requests);
        request->fate = OVER;
        souk_envelope_cancel(rig_begin(&rig), (souk_str_t){(const char *)&id, sizeof(id)});
        rig_send(&rig, SOUK_SIDE_FRONT, request->client);
    }
}

static void credit(souk_peer_t peer) {
    souk_lane_t lane = (souk_lane_t)chance(SOUK_LANES_COUNT);
    workers[peer].windows[lane] = chance(6);
    rig_credit(&rig, peer, lane, workers[peer].windows[lane]);
}

static void ready(souk_peer_t peer) {
    static const souk_ready_row_t rows[] = {{{"shop", 4}, {"peek", 4}, SOUK_LANE_INLINE},
                                            {{"shop", 4}, {"get", 3}, SOUK_LANE_SLOT},
                                            {{"shop", 4}, {"many", 4}, SOUK_LANE_BATCH}};
    workers[peer].drained = false;
    souk_envelope_ready(rig_begin(&rig), rows, SOUK_COUNT_OF(rows));
    rig_send(&rig, SOUK_SIDE_BACK, peer);
    settle();
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        workers[peer].windows[lane] = 1 + chance(5);
        rig_credit(&rig, peer, (souk_lane_t)lane, workers[peer].windows[lane]);
        settle();
    }
}

static void hello(souk_side_t side, souk_peer_t peer) {
    souk_envelope_hello(rig_begin(&rig),
                        side == SOUK_SIDE_FRONT ? SOUK_ROLE_CLIENT : SOUK_ROLE_WORKER,
                        SOUK_STR("x"), 0);
    rig_send(&rig, side, peer);
}

static void worker_acts(void) {
    souk_peer_t peer = chance(WORKERS);
    worker_t *worker = &workers[peer];
    uint32_t what = chance(100);
    if (!worker->up) {
        rig.mute[SOUK_SIDE_BACK][peer] = rig.clogged[SOUK_SIDE_BACK][peer] = false;
        hello(SOUK_SIDE_BACK, peer);
        settle();
        worker->up = true;
        ready(peer);
    } else if (what < 4) {
        worker_died(peer);
        rig_gone(&rig, SOUK_SIDE_BACK, peer);
    } else if (what < 6) { /* a new process behind the same connection; PING ends the freshness of
                              the session */
        souk_envelope_ping(rig_begin(&rig), 1);
        rig_send(&rig, SOUK_SIDE_BACK, peer);
        settle();
        worker_died(peer);
        hello(SOUK_SIDE_BACK, peer);
    } else if (what < 8) {
        rig.mute[SOUK_SIDE_BACK][peer] = true;
    } else if (what < 12) {
        worker->drained = true;
        rig_drain(&rig, peer);
    } else if (what < 16) {
        ready(peer);
    } else if (what < 18) {
        rig.clogged[SOUK_SIDE_BACK][peer] = !rig.clogged[SOUK_SIDE_BACK][peer];
    } else {
        credit(peer);
    }
}

static void client_acts(void) {
    souk_peer_t peer = chance(CLIENTS);
    uint32_t what = chance(200);
    if (!clients[peer]) {
        rig.clogged[SOUK_SIDE_FRONT][peer] = false;
        hello(SOUK_SIDE_FRONT, peer);
        clients[peer] = true;
    } else if (what == 0) {
        client_died(peer);
        rig_gone(&rig, SOUK_SIDE_FRONT, peer);
    } else if (what == 1) {
        rig.clogged[SOUK_SIDE_FRONT][peer] = true;
    } else if (what < 20) {
        cancel();
    } else {
        for (uint32_t i = chance(6); i > 0; i--) {
            send_request(peer);
            settle();
            if (!clients[peer]) {
                break;
            }
        }
    }
}

static void pass(int64_t us) {
    int64_t end_us = rig.now_us + us;
    int64_t wake_us;
    while ((wake_us = souk_core_next_wake_us(rig.core)) <= end_us) {
        rig_tick(&rig, wake_us > rig.now_us ? wake_us - rig.now_us : 0);
        settle();
    }
    rig_tick(&rig, end_us - rig.now_us);
    settle();
}

static void check_deadlines(void) {
    for (uint32_t i = 0; i < requests_count; i++) {
        cr_assert(requests[i].fate != WAITING || rig.now_us <= requests[i].deadline_us + 1000,
                  "%u is %ld us late", i, (long)(rig.now_us - requests[i].deadline_us));
    }
}

static void finish(void) {
    pass(8000000);
    check_deadlines();
    for (souk_peer_t peer = 0; peer < WORKERS; peer++) {
        if (workers[peer].up) {
            worker_died(peer);
            rig_gone(&rig, SOUK_SIDE_BACK, peer);
            settle();
        }
    }
    souk_core_check(rig.core);
    cr_assert_eq(rig_view(&rig).flights, 0);
    cr_assert_eq(rig_view(&rig).bytes, 0);
    souk_service_view_t view = rig_service(&rig, "shop");
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        const uint64_t *counts = view.queues[priority].counts;
        uint64_t ended = 0;
        for (int count = SOUK_COUNT_REPLIED; count <= SOUK_COUNT_STOPPED; count++) {
            ended += counts[count];
        }
        for (int count = 0; count < SOUK_COUNTS; count++) {
            totals[count] += counts[count];
        }
        cr_assert_eq(counts[SOUK_COUNT_ADMITTED], ended, "priority %d: %lu admitted, %lu ended",
                     priority, (unsigned long)counts[SOUK_COUNT_ADMITTED], (unsigned long)ended);
    }
}

static void run(uint64_t seed) {
    memset(requests, 0, sizeof(requests));
    memset(workers, 0, sizeof(workers));
    memset(clients, 0, sizeof(clients));
    memset(forgotten, 0, sizeof(forgotten));
    requests_count = 0;
    state = seed * 0x9E3779B97F4A7C15ULL + 1;
    rig_init(&rig);
    rig.options.queue_count_max = 20 + chance(60);
    rig.options.flights_max = 100 + chance(200);
    rig.options.floor = 1 + chance(20);
    rig.options.refusals_max = chance(4);
    refuse_rate = 2 + chance(10);
    rig.options.cold_start_ms = 50 + chance(500);
    rig_start(&rig);
    for (int step = 0; step < STEPS; step++) {
        uint32_t what = chance(100);
        if (what < 35) {
            client_acts();
        } else if (what < 80) {
            answer();
        } else if (what < 88) {
            worker_acts();
        } else {
            static const int64_t passes[] = {100, 1000, 10000, 200000};
            pass(passes[chance(4)]);
        }
        settle();
        check_deadlines();
        if (step % 16 == 0) {
            souk_core_check(rig.core);
        }
    }
    finish();
    rig_done(&rig);
}

Test(sim, random_worlds_keep_every_promise) {
    const char *one = getenv("SOUK_SIM_SEED"), *many = getenv("SOUK_SIM_SEEDS");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : 12;
    for (uint64_t seed = first; seed < first + count; seed++) {
        fprintf(stderr, "seed %lu\n", (unsigned long)seed);
        run(seed);
    }
    cr_assert_gt(answered, 1000 * count, "%u", answered);
    cr_assert_gt(redelivered, 10 * count, "%u", redelivered);
    for (int what = 0; what < SOUK_COUNTS;
         what++) { /* the worlds are rich enough: everything happens */
        bool elsewhere = what == SOUK_COUNT_FAILED || what == SOUK_COUNT_STOPPED ||
                         what == SOUK_COUNT_REJECTED || what == SOUK_COUNT_UNKNOWN_METHOD;
        fprintf(stderr, "%s %lu\n", souk_count_name((souk_count_t)what),
                (unsigned long)totals[what]);
        cr_assert(elsewhere || one != NULL || totals[what] > 0, "%s never happened",
                  souk_count_name((souk_count_t)what));
    }
}
