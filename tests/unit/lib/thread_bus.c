/* The bus over real sockets: no wake-up is lost however the two ends take turns, on one loop and
 * between threads; also under TSan. Prints the rates that it met. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "souk/bus.h"
#include "souk/clock.h"

#ifdef __SANITIZE_THREAD__
#define MESSAGES 40000 /* each is many times as slow */
#else
#define MESSAGES 200000
#endif
#define BODY_BYTES 200
#define WATCHDOG_S 150

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expr);                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* A message is a 32-bit number and filling; several may stand in one frame. */
#define MESSAGE_BYTES (sizeof(uint32_t) + BODY_BYTES)

static void s_send(souk_bus_t *bus, souk_peer_t peer, uint32_t number) {
    static const char body[BODY_BYTES];
    souk_buf_t *buf = souk_bus_begin(bus, peer);
    souk_buf_append(buf, &number, sizeof(number));
    souk_buf_append(buf, body, sizeof(body));
    CHECK(souk_bus_commit(bus) == SOUK_OK);
}

typedef struct {
    souk_loop_t *loop;
    souk_bus_t *bus;
} server_t;

static uint32_t s_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* A participant that keeps the thread busy for up to 200 microseconds after the sockets were read
 * and before they are flushed: what arrives meanwhile raises the edge that the send then eats. */
static size_t s_dawdle(void *arg, size_t burst) {
    (void)burst;
    int64_t until_us = souk_clock_mono_us() + s_random(arg) % 200;
    while (souk_clock_mono_us() < until_us) {
    }
    return 0;
}

static size_t s_nothing(void *arg) {
    (void)arg;
    return 0;
}

static void s_join_dawdler(souk_loop_t *loop, uint32_t *seed) {
    souk_turn_t turn = {.fd = -1, .drain = s_dawdle, .flush = s_nothing, .arg = seed};
    CHECK(souk_loop_join(loop, &turn) == SOUK_OK);
}

static void s_echo(void *arg, souk_peer_t peer, souk_str_t frame) {
    server_t *self = arg;
    CHECK(frame.size % MESSAGE_BYTES == 0);
    for (size_t at = 0; at < frame.size; at += MESSAGE_BYTES) {
        uint32_t number;
        memcpy(&number, frame.data + at, sizeof(number));
        s_send(self->bus, peer, number);
    }
}

static souk_bus_options_t s_options(const char *endpoint, bool bind) {
    return (souk_bus_options_t){.endpoint = endpoint,
                                .bind = bind,
                                .peers_max = 16,
                                .pending_bytes_max = 1 << 20,
                                .frame_bytes_max = 1 << 20,
                                .heartbeat_ms = 1000,
                                .linger_ms = 100};
}

static void s_server_open(server_t *self, souk_loop_t *loop) {
    souk_bus_options_t options = s_options("tcp://127.0.0.1:0", true);
    options.on_frame = s_echo;
    options.arg = self;
    self->loop = loop;
    CHECK(souk_bus_open(loop, &options, &self->bus) == SOUK_OK);
}

/* Keeps `outstanding` messages on the way; the window changes all the time, so that the ends meet
 * in every order. */
typedef struct {
    souk_loop_t *loop;
    souk_bus_t *bus;
    uint32_t sent, got, wanted, outstanding;
    bool varies;
    uint32_t seed;
} client_t;

static void s_fill(client_t *self) {
    uint32_t window = self->outstanding;
    if (self->varies) {
        window = 1 + s_random(&self->seed) % self->outstanding;
    }
    while (self->sent < self->wanted && self->sent - self->got < window) {
        s_send(self->bus, 0, self->sent++);
    }
}

static void s_on_reply(void *arg, souk_peer_t peer, souk_str_t frame) {
    client_t *self = arg;
    CHECK(peer == 0);
    for (size_t at = 0; at < frame.size; at += MESSAGE_BYTES) {
        uint32_t number;
        memcpy(&number, frame.data + at, sizeof(number));
        CHECK(number == self->got); /* in order, none lost, none twice */
        self->got++;
    }
    if (self->got == self->wanted) {
        souk_loop_stop(self->loop);
    }
    s_fill(self);
}

static void s_client_open(client_t *self, souk_loop_t *loop, const char *endpoint) {
    souk_bus_options_t options = s_options(endpoint, false);
    options.on_frame = s_on_reply;
    options.arg = self;
    self->loop = loop;
    CHECK(souk_bus_open(loop, &options, &self->bus) == SOUK_OK);
}

static void s_run(client_t *client, const char *what) {
    int64_t start_us = souk_clock_mono_us();
    s_fill(client);
    CHECK(souk_loop_run(client->loop) == SOUK_OK);
    int64_t took_us = souk_clock_mono_us() - start_us;
    souk_bus_stats_t stats;
    souk_bus_stats(client->bus, &stats);
    CHECK(client->got == client->wanted);
    printf("%-40s %8.0f messages/s, %.1f messages a frame\n", what,
           (double)client->wanted * 1e6 / (double)took_us,
           (double)client->wanted / (double)stats.frames_out);
}

static void s_both_on_one_loop(uint32_t outstanding, uint32_t wanted, const char *what) {
    souk_loop_t *loop = souk_loop_new();
    CHECK(loop != NULL);
    server_t server = {0};
    client_t client = {.wanted = wanted, .outstanding = outstanding, .varies = true};
    s_server_open(&server, loop);
    s_client_open(&client, loop, souk_bus_endpoint(server.bus));
    s_run(&client, what);
    souk_bus_close(&client.bus);
    souk_bus_close(&server.bus);
    souk_loop_destroy(&loop);
}

static void *s_serve(void *arg) {
    server_t *server = arg;
    CHECK(souk_loop_run(server->loop) == SOUK_OK);
    souk_bus_close(&server->bus);
    return NULL;
}

/* A server with a loop and a thread of its own. */
typedef struct {
    server_t server;
    pthread_t thread;
    char endpoint[64];
} other_t;

static void s_other_start(other_t *self) {
    souk_loop_t *loop = souk_loop_new();
    CHECK(loop != NULL);
    s_server_open(&self->server, loop);
    snprintf(self->endpoint, sizeof(self->endpoint), "%s", souk_bus_endpoint(self->server.bus));
    CHECK(pthread_create(&self->thread, NULL, s_serve, &self->server) == 0);
}

static void s_other_end(other_t *self) {
    souk_loop_stop(self->server.loop);
    CHECK(pthread_join(self->thread, NULL) == 0);
    souk_loop_destroy(&self->server.loop);
}

static void s_between_threads(uint32_t outstanding, uint32_t wanted, const char *what) {
    other_t other = {0};
    s_other_start(&other);
    souk_loop_t *loop = souk_loop_new();
    CHECK(loop != NULL);
    client_t client = {.wanted = wanted, .outstanding = outstanding};
    s_client_open(&client, loop, other.endpoint);
    s_run(&client, what);
    souk_bus_close(&client.bus);
    souk_loop_destroy(&loop);
    s_other_end(&other);
}

/* The trap itself: a round is two messages, the second sent about when the reply to the first
 * comes, and then nothing but waiting. Sending the second eats the edge of that reply in a part of
 * the rounds; who then sleeps, sleeps for ever. */
typedef struct {
    souk_loop_t *loop;
    souk_bus_t *bus;
    souk_timer_t *second;
    uint32_t seed, rounds_left, replies;
} rounds_t;

static void s_begin_round(rounds_t *self) {
    self->replies = 0;
    s_send(self->bus, 0, 1);
    souk_timer_set(self->second, s_random(&self->seed) % 150);
}

static void s_on_second(void *arg) {
    rounds_t *self = arg;
    s_send(self->bus, 0, 2);
}

static void s_on_round_reply(void *arg, souk_peer_t peer, souk_str_t frame) {
    (void)peer;
    rounds_t *self = arg;
    self->replies += (uint32_t)(frame.size / MESSAGE_BYTES);
    if (self->replies < 2) {
        return;
    }
    if (--self->rounds_left == 0) {
        souk_loop_stop(self->loop);
    } else {
        s_begin_round(self);
    }
}

static void s_rounds_between_threads(uint32_t rounds) {
    other_t other = {0};
    s_other_start(&other);
    rounds_t self = {.loop = souk_loop_new(), .seed = 1, .rounds_left = rounds};
    CHECK(self.loop != NULL);
    souk_bus_options_t options = s_options(other.endpoint, false);
    options.on_frame = s_on_round_reply;
    options.arg = &self;
    CHECK(souk_bus_open(self.loop, &options, &self.bus) == SOUK_OK);
    self.second = souk_timer_new(self.loop, s_on_second, &self);
    CHECK(self.second != NULL);
    uint32_t seed = 2;
    s_join_dawdler(self.loop, &seed);
    s_begin_round(&self);
    CHECK(souk_loop_run(self.loop) == SOUK_OK);
    CHECK(self.rounds_left == 0);
    souk_loop_leave(self.loop, &seed);
    souk_timer_destroy(&self.second);
    souk_bus_close(&self.bus);
    souk_loop_destroy(&self.loop);
    s_other_end(&other);
}

int main(void) {
    alarm(WATCHDOG_S); /* a lost wake-up hangs: end by SIGALRM */
    s_both_on_one_loop(64, MESSAGES, "one loop, up to 64 on the way");
    s_both_on_one_loop(3, MESSAGES / 10, "one loop, up to 3 on the way");
    s_between_threads(64, MESSAGES, "two threads, 64 on the way");
    s_between_threads(1, MESSAGES / 20, "two threads, 1 on the way");
    s_rounds_between_threads(MESSAGES / 20);
    printf("bus: passed\n");
    return 0;
}
