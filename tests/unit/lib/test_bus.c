/* The bus against raw libzmq sockets, which stand for strangers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "souk/bus.h"
#include "souk/envelope.h"

#define WAIT_US ((int64_t)20 * 1000 * 1000)
#define STRANGER_WAIT_MS 10000

static souk_loop_t *s_loop;
static void *s_context;

static void s_setup(void) {
    s_loop = souk_loop_new();
    s_context = zmq_ctx_new();
    zmq_ctx_set(s_context, ZMQ_BLOCKY, 0);
}

static void s_teardown(void) {
    souk_loop_destroy(&s_loop);
    zmq_ctx_term(s_context);
}

TestSuite(bus, .init = s_setup, .fini = s_teardown);

/* ---- Helpers -----------------------------------------------------------------------------------
 */

/* What a bus under test has seen. */
typedef struct {
    souk_bus_t *bus;
    size_t frames, bytes;
    souk_peer_t last_peer;
    char last[64];
    size_t gone;
    souk_peer_t last_gone;
    size_t stop_at_frames, stop_at_gone;
    void (*then)(void *arg, souk_peer_t peer);
} seen_t;

static void s_on_frame(void *arg, souk_peer_t peer, souk_str_t frame) {
    seen_t *seen = arg;
    seen->frames++;
    seen->bytes += frame.size;
    seen->last_peer = peer;
    snprintf(seen->last, sizeof(seen->last), "%.*s", (int)frame.size, frame.data);
    if (seen->then != NULL) {
        seen->then(seen, peer);
    }
    if (seen->frames == seen->stop_at_frames) {
        souk_loop_stop(s_loop);
    }
}

static void s_on_gone(void *arg, souk_peer_t peer) {
    seen_t *seen = arg;
    seen->gone++;
    seen->last_gone = peer;
    cr_assert_eq(souk_bus_pending_bytes(seen->bus, peer), 0);
    souk_buf_append_str(souk_bus_begin(seen->bus, peer), SOUK_STR("too late"));
    cr_assert_eq(souk_bus_commit(seen->bus), SOUK_ERR_CLOSED);
    if (seen->gone == seen->stop_at_gone) {
        souk_loop_stop(s_loop);
    }
}

static souk_bus_options_t s_options(seen_t *seen, const char *endpoint, bool bind) {
    return (souk_bus_options_t){.endpoint = endpoint,
                                .bind = bind,
                                .peers_max = 4,
                                .pending_bytes_max = 256 * 1024,
                                .frame_bytes_max = 1 << 20,
                                .linger_ms = 1000,
                                .on_frame = s_on_frame,
                                .on_gone = s_on_gone,
                                .arg = seen};
}

static void s_open(seen_t *seen, const souk_bus_options_t *options) {
    cr_assert_eq(souk_bus_open(s_loop, options, &seen->bus), SOUK_OK, "%s", zmq_strerror(errno));
}

static void s_open_router(seen_t *seen) {
    souk_bus_options_t options = s_options(seen, "tcp://127.0.0.1:0", true);
    s_open(seen, &options);
}

static void *s_stranger(int type, const char *endpoint, bool bind) {
    void *socket = zmq_socket(s_context, type);
    int wait = STRANGER_WAIT_MS, linger = 0;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait, sizeof(wait));
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
    cr_assert_eq(bind ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint), 0, "%s",
                 zmq_strerror(errno));
    return socket;
}

static void *s_dealer(const seen_t *seen) {
    return s_stranger(ZMQ_DEALER, souk_bus_endpoint(seen->bus), false);
}

static void s_send(void *socket, const char *text) {
    cr_assert_eq(zmq_send(socket, text, strlen(text), 0), (int)strlen(text));
}

static void s_commit(const seen_t *seen, souk_peer_t peer, const char *text) {
    souk_buf_append_str(souk_bus_begin(seen->bus, peer), souk_str_of(text));
    cr_assert_eq(souk_bus_commit(seen->bus), SOUK_OK);
}

static void s_assert_receives(void *socket, const char *text) {
    char got[256] = "";
    int size = zmq_recv(socket, got, sizeof(got) - 1, 0);
    cr_assert_geq(size, 0, "%s", zmq_strerror(errno));
    cr_assert_str_eq(got, text);
}

static void s_on_late(void *arg) {
    (void)arg;
    cr_assert_fail("the awaited thing did not happen");
}

static void s_run(void) {
    souk_timer_t *late = souk_timer_new(s_loop, s_on_late, NULL);
    souk_timer_set(late, WAIT_US);
    cr_assert_eq(souk_loop_run(s_loop), SOUK_OK);
    souk_timer_destroy(&late);
}

static void s_run_until_frames(seen_t *seen, size_t frames) {
    seen->stop_at_frames = frames;
    if (seen->frames < frames) {
        s_run();
    }
    cr_assert_geq(seen->frames, frames);
}

static void s_stop(void *arg) {
    (void)arg;
    souk_loop_stop(s_loop);
}

/* A few turns, for what must not happen. */
static void s_run_for_us(int64_t delay_us) {
    souk_timer_t *timer = souk_timer_new(s_loop, s_stop, NULL);
    souk_timer_set(timer, delay_us);
    cr_assert_eq(souk_loop_run(s_loop), SOUK_OK);
    souk_timer_destroy(&timer);
}

/* ---- Frames ------------------------------------------------------------------------------------
 */

Test(bus, envelopes_of_one_turn_leave_as_one_frame) {
    seen_t router = {0};
    s_open_router(&router);
    void *dealer = s_dealer(&router);
    s_send(dealer, "hello");
    s_run_until_frames(&router, 1);
    cr_assert_str_eq(router.last, "hello");
    s_commit(&router, router.last_peer, "one ");
    s_commit(&router, router.last_peer, "two ");
    s_commit(&router, router.last_peer, "three");
    cr_assert_eq(souk_bus_pending_bytes(router.bus, router.last_peer), 13);
    s_run_for_us(1000);
    s_assert_receives(dealer, "one two three");
    cr_assert_eq(souk_bus_pending_bytes(router.bus, router.last_peer), 0);
    souk_bus_stats_t stats;
    souk_bus_stats(router.bus, &stats);
    cr_assert_eq(stats.frames_in, 1);
    cr_assert_eq(stats.bytes_in, 5);
    cr_assert_eq(stats.frames_out, 1);
    cr_assert_eq(stats.bytes_out, 13);
    zmq_close(dealer);
    souk_bus_close(&router.bus);
    cr_assert_null(router.bus);
}

Test(bus, a_frame_ends_before_the_envelope_that_would_not_fit) {
    seen_t router = {0};
    s_open_router(&router);
    void *dealer = s_dealer(&router);
    s_send(dealer, "hello");
    s_run_until_frames(&router, 1);
    static char big[100000];
    const size_t sizes[] = {30000, 30000, 5536, 1, 100000, 10, 20};
    const int frames[] = {65536, 1, 100000, 30}; /* an envelope longer than a frame stands alone */
    for (size_t i = 0; i < SOUK_COUNT_OF(sizes); i++) {
        souk_buf_append(souk_bus_begin(router.bus, router.last_peer), big, sizes[i]);
        cr_assert_eq(souk_bus_commit(router.bus), SOUK_OK);
    }
    s_run_for_us(1000);
    for (size_t i = 0; i < SOUK_COUNT_OF(frames); i++) {
        cr_assert_eq(zmq_recv(dealer, big, sizeof(big), 0), frames[i], "frame %zu", i);
    }
    zmq_close(dealer);
    souk_bus_close(&router.bus);
}

Test(bus, what_is_too_long_is_not_queued_and_harms_nothing) {
    seen_t router = {0};
    souk_bus_options_t options = s_options(&router, "tcp://127.0.0.1:0", true);
    options.frame_bytes_max = 1000;
    s_open(&router, &options);
    void *dealer = s_dealer(&router);
    s_send(dealer, "hello");
    s_run_until_frames(&router, 1);
    static char big[1001];
    s_commit(&router, router.last_peer, "before ");
    souk_buf_append(souk_bus_begin(router.bus, router.last_peer), big, sizeof(big));
    cr_assert_eq(souk_bus_commit(router.bus), SOUK_ERR_OVERLOADED);
    souk_bus_begin(router.bus, router.last_peer); /* nothing appended: nothing sent */
    cr_assert_eq(souk_bus_commit(router.bus), SOUK_OK);
    s_commit(&router, router.last_peer, "after");
    s_run_for_us(1000);
    s_assert_receives(dealer, "before after");
    zmq_close(dealer);
    souk_bus_close(&router.bus);
}

static void s_echo(void *arg, souk_peer_t peer) {
    seen_t *seen = arg;
    s_commit(seen, peer, seen->last);
}

Test(bus, dealer_and_router_talk) {
    seen_t router = {.then = s_echo}, dealer = {0};
    s_open_router(&router);
    souk_bus_options_t options = s_options(&dealer, souk_bus_endpoint(router.bus), false);
    s_open(&dealer, &options);
    s_commit(&dealer, 0, "there and back"); /* before there is a connection */
    s_run_until_frames(&dealer, 1);
    cr_assert_str_eq(dealer.last, "there and back");
    cr_assert_eq(dealer.last_peer, 0);
    souk_bus_close(&dealer.bus);
    souk_bus_close(&router.bus);
}

Test(bus, a_dealer_keeps_what_is_pending_until_its_broker_is_there) {
    seen_t first = {0}, dealer = {0}, router = {0};
    s_open_router(&first); /* finds a free port */
    char endpoint[64];
    snprintf(endpoint, sizeof(endpoint), "%s", souk_bus_endpoint(first.bus));
    souk_bus_close(&first.bus);
    souk_bus_options_t options = s_options(&dealer, endpoint, false);
    s_open(&dealer, &options);
    s_commit(&dealer, 0, "early");
    s_run_for_us(20000);
    cr_assert_eq(souk_bus_pending_bytes(dealer.bus, 0), 5);
    souk_bus_options_t bound = s_options(&router, endpoint, true);
    s_open(&router, &bound);
    s_run_until_frames(&router, 1);
    cr_assert_str_eq(router.last, "early");
    souk_bus_close(&dealer.bus);
    souk_bus_close(&router.bus);
}

Test(bus, close_sends_what_is_pending) {
    seen_t router = {0};
    s_open_router(&router);
    void *dealer = s_dealer(&router);
    s_send(dealer, "hello");
    s_run_until_frames(&router, 1);
    s_commit(&router, router.last_peer, "farewell");
    souk_bus_close(&router.bus); /* without another turn */
    s_assert_receives(dealer, "farewell");
    zmq_close(dealer);
}

/* ---- Peers -------------------------------------------------------------------------------------
 */

Test(bus, peers_get_numbers_of_their_own_and_answers_find_them) {
    seen_t router = {.then = s_echo};
    s_open_router(&router);
    void *a = s_dealer(&router), *b = s_dealer(&router);
    s_send(a, "from a");
    s_run_until_frames(&router, 1);
    souk_peer_t number_a = router.last_peer;
    s_send(b, "from b");
    s_run_until_frames(&router, 2);
    cr_assert_neq(router.last_peer, number_a);
    s_send(a, "again a");
    s_run_until_frames(&router, 3);
    cr_assert_eq(router.last_peer, number_a);
    s_run_for_us(1000);
    s_assert_receives(a, "from a");
    s_assert_receives(a, "again a");
    s_assert_receives(b, "from b");
    zmq_close(a);
    zmq_close(b);
    souk_bus_close(&router.bus);
}

Test(bus, peers_beyond_the_bound_are_refused_until_a_number_is_free) {
    seen_t router = {0};
    s_open_router(&router);
    void *dealers[5];
    souk_peer_t numbers[4];
    bool taken[4] = {false};
    for (size_t i = 0; i < 4; i++) {
        dealers[i] = s_dealer(&router);
        s_send(dealers[i], "hello");
        s_run_until_frames(&router, i + 1);
        numbers[i] = router.last_peer;
        cr_assert_lt(numbers[i], 4);
        cr_assert(!taken[numbers[i]]);
        taken[numbers[i]] = true;
    }
    dealers[4] = s_dealer(&router);
    s_send(dealers[4], "one too many");
    souk_bus_stats_t stats = {0};
    for (int i = 0; i < 1000 && stats.peers_refused == 0; i++) {
        s_run_for_us(10000);
        souk_bus_stats(router.bus, &stats);
    }
    cr_assert_eq(stats.peers_refused, 1);
    cr_assert_eq(router.frames, 4);
    souk_bus_forget(router.bus, numbers[2]);
    souk_bus_forget(router.bus, numbers[2]); /* once is enough, twice no harm */
    s_send(dealers[4], "now");
    s_run_until_frames(&router, 5);
    cr_assert_str_eq(router.last, "now");
    cr_assert_eq(router.last_peer, numbers[2]);
    for (size_t i = 0; i < 5; i++) {
        zmq_close(dealers[i]);
    }
    souk_bus_close(&router.bus);
}

/* Connections that come and go, so that the ids of those that stay are far apart. */
static void s_pass_by(seen_t *router, size_t count) {
    for (size_t i = 0; i < count; i++) {
        void *dealer = s_dealer(router);
        s_send(dealer, "x");
        s_run_until_frames(router, router->frames + 1);
        souk_bus_forget(router->bus, router->last_peer);
        zmq_close(dealer);
    }
}

/* Numbers against a table of what should be, over many comings and goings: the map's removal is the
 * risk, so ids have to collide, which half a table of scattered ids does. */
Test(bus, numbers_stay_right_over_many_changes) {
    enum { PEERS = 64, ROUNDS = 3000 };
    seen_t router = {0};
    souk_bus_options_t options = s_options(&router, "tcp://127.0.0.1:0", true);
    options.peers_max = PEERS;
    s_open(&router, &options);
    void *dealers[PEERS];
    int64_t numbers[PEERS];
    uint32_t seed = 7;
    for (size_t i = 0; i < PEERS; i++) {
        seed = seed * 1664525u + 1013904223u;
        s_pass_by(&router, (seed >> 16) % 12);
        dealers[i] = s_dealer(&router);
        s_send(dealers[i], "x");
        s_run_until_frames(&router, router.frames + 1);
        numbers[i] = router.last_peer;
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        seed = seed * 1664525u + 1013904223u;
        size_t i = (seed >> 16) % PEERS;
        if (numbers[i] >= 0) { /* else it is forgotten and comes back */
            souk_bus_forget(router.bus, (souk_peer_t)numbers[i]);
            numbers[i] = -1;
            continue;
        }
        for (size_t k = 0; k < 4; k++, i = (i + 17) % PEERS) {
            s_send(dealers[i], "x");
            s_run_until_frames(&router, router.frames + 1);
            cr_assert(numbers[i] < 0 || numbers[i] == router.last_peer);
            numbers[i] = router.last_peer;
            for (size_t other = 0; other < PEERS; other++) {
                cr_assert(other == i || numbers[other] != numbers[i]);
            }
        }
    }
    for (size_t i = 0; i < PEERS; i++) {
        zmq_close(dealers[i]);
    }
    souk_bus_close(&router.bus);
}

Test(bus, a_peer_that_is_gone_is_told_by_the_send) {
    seen_t router = {0};
    s_open_router(&router);
    void *dealer = s_dealer(&router);
    s_send(dealer, "hello");
    s_run_until_frames(&router, 1);
    zmq_close(dealer);
    router.stop_at_gone = 1;
    for (int i = 0; i < 1000 && router.gone == 0; i++) { /* until the network has noticed */
        s_commit(&router, router.last_peer, "anybody?");
        s_run_for_us(10000);
    }
    cr_assert_eq(router.gone, 1);
    cr_assert_eq(router.last_gone, router.last_peer);
    souk_bus_close(&router.bus);
}

Test(bus, a_forgotten_peer_gets_nothing) {
    seen_t router = {0};
    s_open_router(&router);
    void *dealer = s_dealer(&router);
    s_send(dealer, "hello");
    s_run_until_frames(&router, 1);
    s_commit(&router, router.last_peer, "never sent");
    souk_bus_forget(router.bus, router.last_peer);
    cr_assert_eq(souk_bus_pending_bytes(router.bus, router.last_peer), 0);
    souk_buf_append_str(souk_bus_begin(router.bus, router.last_peer), SOUK_STR("nor this"));
    cr_assert_eq(souk_bus_commit(router.bus), SOUK_ERR_CLOSED);
    s_send(dealer, "hello again");
    s_run_until_frames(&router, 2);
    s_commit(&router, router.last_peer, "welcome");
    s_run_for_us(1000);
    s_assert_receives(dealer, "welcome");
    zmq_close(dealer);
    souk_bus_close(&router.bus);
}

Test(bus, a_dealer_forgets_what_is_pending_and_stays_usable) {
    seen_t router = {0}, dealer = {0};
    s_open_router(&router);
    souk_bus_options_t options = s_options(&dealer, souk_bus_endpoint(router.bus), false);
    s_open(&dealer, &options);
    s_commit(&dealer, 0, "stale");
    souk_bus_forget(dealer.bus, 0);
    s_commit(&dealer, 0, "fresh");
    s_run_until_frames(&router, 1);
    cr_assert_str_eq(router.last, "fresh");
    souk_bus_close(&dealer.bus);
    souk_bus_close(&router.bus);
}

/* ---- Strangers ---------------------------------------------------------------------------------
 */

Test(bus, messages_of_several_frames_are_dropped_and_counted) {
    seen_t router = {0};
    s_open_router(&router);
    void *request = s_stranger(ZMQ_REQ, souk_bus_endpoint(router.bus), false);
    void *dealer = s_dealer(&router);
    s_send(request, "a REQ socket puts an empty frame in front");
    cr_assert_eq(zmq_send(dealer, "a", 1, ZMQ_SNDMORE), 1);
    cr_assert_eq(zmq_send(dealer, "b", 1, ZMQ_SNDMORE), 1);
    cr_assert_eq(zmq_send(dealer, "c", 1, 0), 1);
    s_send(dealer, "good");
    s_run_until_frames(&router, 1);
    cr_assert_str_eq(router.last, "good");
    souk_bus_stats_t stats = {0};
    for (int i = 0; i < 1000 && stats.frames_malformed < 2; i++) {
        s_run_for_us(10000);
        souk_bus_stats(router.bus, &stats);
    }
    cr_assert_eq(stats.frames_malformed, 2);
    zmq_close(dealer);
    zmq_close(request);
    souk_bus_close(&router.bus);
}

Test(bus, a_peer_with_a_routing_id_of_its_own_is_not_served) {
    seen_t router = {0};
    s_open_router(&router);
    void *dealer = zmq_socket(s_context, ZMQ_DEALER);
    int linger = 0;
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(dealer, ZMQ_ROUTING_ID, "mine!", 5);
    zmq_connect(dealer, souk_bus_endpoint(router.bus));
    s_send(dealer, "let me in");
    souk_bus_stats_t stats = {0};
    for (int i = 0; i < 1000 && stats.frames_malformed == 0; i++) {
        s_run_for_us(10000);
        souk_bus_stats(router.bus, &stats);
    }
    cr_assert_eq(stats.frames_malformed, 1);
    cr_assert_eq(router.frames, 0);
    zmq_close(dealer);
    souk_bus_close(&router.bus);
}

Test(bus, an_address_in_use_is_an_error_with_errno) {
    seen_t router = {0}, second = {0};
    s_open_router(&router);
    souk_bus_options_t options = s_options(&second, souk_bus_endpoint(router.bus), true);
    cr_assert_eq(souk_bus_open(s_loop, &options, &second.bus), SOUK_ERR_IO);
    cr_assert_eq(errno, EADDRINUSE);
    cr_assert_null(second.bus);
    options.endpoint = "nonsense://x";
    cr_assert_eq(souk_bus_open(s_loop, &options, &second.bus), SOUK_ERR_IO);
    souk_bus_close(&router.bus);
}

/* ---- Backpressure ------------------------------------------------------------------------------
 */

typedef struct {
    seen_t router;
    souk_peer_t slow, quick;
    size_t slow_queued, quick_queued;
    bool full;
} pressure_t;

static void s_push_more(pressure_t *self) {
    static char body[8000];
    for (int i = 0; i < 8 && !self->full; i++) {
        souk_buf_append(souk_bus_begin(self->router.bus, self->slow), body, sizeof(body));
        self->full = souk_bus_commit(self->router.bus) == SOUK_ERR_OVERLOADED;
        self->slow_queued += self->full ? 0 : sizeof(body);
    }
}

/* One peer stops reading. Its queue fills to its bound and no further; others get what is theirs;
 * when it reads again, all that was accepted arrives, in order of frames and complete. */
Test(bus, a_peer_that_does_not_read_hits_its_bound_and_harms_nobody) {
    pressure_t self = {.router = {0}};
    s_open_router(&self.router);
    void *slow = s_dealer(&self.router), *quick = s_dealer(&self.router);
    int small = 64;
    zmq_setsockopt(slow, ZMQ_RCVHWM, &small, sizeof(small));
    s_send(slow, "slow");
    s_run_until_frames(&self.router, 1);
    self.slow = self.router.last_peer;
    s_send(quick, "quick");
    s_run_until_frames(&self.router, 2);
    self.quick = self.router.last_peer;
    for (int i = 0; i < 100000 && !self.full; i++) {
        s_push_more(&self);
        if (i % 100 == 0) {
            s_commit(&self.router, self.quick, "tick");
            s_run_for_us(200);
            s_assert_receives(quick, "tick");
        }
        s_run_for_us(1);
    }
    cr_assert(self.full, "the bound was never met");
    cr_assert_leq(souk_bus_pending_bytes(self.router.bus, self.slow), 256 * 1024);
    s_commit(&self.router, self.quick, "still here");
    s_run_for_us(1000);
    s_assert_receives(quick, "still here");
    static char frame[70000];
    size_t got = 0;
    int wait = 5;
    zmq_setsockopt(slow, ZMQ_RCVTIMEO, &wait, sizeof(wait));
    for (int idle = 0; got < self.slow_queued && idle < 2000;) {
        int size = zmq_recv(slow, frame, sizeof(frame), 0);
        if (size > 0) {
            cr_assert_eq(size % 8000, 0);
            got += (size_t)size;
            idle = 0;
        } else {
            idle++;
        }
        s_run_for_us(1);
    }
    cr_assert_eq(got, self.slow_queued);
    cr_assert_eq(souk_bus_pending_bytes(self.router.bus, self.slow), 0);
    zmq_close(slow);
    zmq_close(quick);
    souk_bus_close(&self.router.bus);
}

Test(bus, close_does_not_wait_longer_than_its_linger_for_a_peer_that_does_not_read) {
    pressure_t self = {.router = {0}};
    souk_bus_options_t options = s_options(&self.router, "tcp://127.0.0.1:0", true);
    options.linger_ms = 50;
    s_open(&self.router, &options);
    void *slow = s_dealer(&self.router);
    s_send(slow, "slow");
    s_run_until_frames(&self.router, 1);
    self.slow = self.router.last_peer;
    for (int i = 0; i < 100000 && !self.full; i++) {
        s_push_more(&self);
        s_run_for_us(1);
    }
    cr_assert(self.full);
    souk_bus_close(&self.router.bus); /* the test's time-out is the assertion */
    zmq_close(slow);
}
