#include "gateway/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/watch.h"
#include "gen/routes.h"
#include "souk/log.h"

#define BACKLOG 1024
#define ACCEPTS_MAX 64
#define ACCEPT_PAUSE_US 100000
#define LINGER_US 2000000
/* A connection that is idle when the drain begins may have a request on its way. */
#define DRAIN_IDLE_US 500000
#define ARENA_BYTES_MAX (64 * 1024 * 1024)
#define ARENA_KEEP_BYTES (64 * 1024)
#define REQUEST_KEEP_BYTES (64 * 1024)
#define TICK_US_MIN 5000
#define TICK_US_MAX 100000
#define PENDING_BYTES_MAX (64 * 1024 * 1024)

/* ---- listening ---- */

static socklen_t s_parse_address(const char *address, uint16_t port, struct sockaddr_storage *ret) {
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, address, &in4.sin_addr) == 1) {
        memcpy(ret, &in4, sizeof(in4));
        return sizeof(in4);
    }
    if (inet_pton(AF_INET6, address, &in6.sin6_addr) == 1) {
        memcpy(ret, &in6, sizeof(in6));
        return sizeof(in6);
    }
    return 0;
}

static uint16_t s_bound_port(int fd) {
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    struct sockaddr_in6 in6;
    struct sockaddr_in in4;
    socklen_t size = sizeof(bound);
    (void)getsockname(fd, (struct sockaddr *)&bound, &size);
    memcpy(&in4, &bound, sizeof(in4));
    memcpy(&in6, &bound, sizeof(in6));
    return ntohs(bound.ss_family == AF_INET6 ? in6.sin6_port : in4.sin_port);
}

/* With SO_REUSEPORT another process of ours on the same port would go unnoticed; without it bind
 * fails. */
static bool s_port_is_free(const struct sockaddr_storage *where, socklen_t size) {
    int one = 1;
    int fd = socket(where->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
                   bind(fd, (const struct sockaddr *)where, size) == 0;
    int saved = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    return is_free;
}

souk_err_t souk_listen(const char *address, uint16_t port, bool alone, int *ret_fd,
                       uint16_t *ret_port) {
    struct sockaddr_storage where = {.ss_family = AF_UNSPEC};
    int one = 1;
    socklen_t size = s_parse_address(address, port, &where);
    if (size == 0) {
        errno = EINVAL;
        return SOUK_ERR_IO;
    }
    if (alone && port != 0 && !s_port_is_free(&where, size)) {
        return SOUK_ERR_IO;
    }
    int fd = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return SOUK_ERR_IO;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0 ||
        bind(fd, (const struct sockaddr *)&where, size) != 0 || listen(fd, BACKLOG) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return SOUK_ERR_IO;
    }
    *ret_fd = fd;
    *ret_port = s_bound_port(fd);
    return SOUK_OK;
}

static void s_pause_accept(souk_server_t *self) {
    if (self->accept_event != NULL && self->accept_paused_us == 0) {
        event_del(self->accept_event);
        self->accept_paused_us = souk_loop_now_us(self->loop);
    }
}

static void s_accepted(souk_server_t *self, int fd, const struct sockaddr_storage *address) {
    souk_gateway_t *gateway = self->gateway;
    souk_conn_t *conn = souk_conn_new(self, fd, address);
    if (conn == NULL) {
        return;
    }
    conn->counted = souk_limit_connect(gateway->limit, souk_address_network(&conn->address),
                                       gateway->config->connections_per_address);
    atomic_fetch_add_explicit(&gateway->connections, 1, memory_order_relaxed);
    souk_metric_add(gateway->stats.connections, 1);
    if (!conn->counted) {
        souk_metric_add(gateway->stats.refused, 1);
        souk_conn_end(conn);
        return;
    }
    souk_metric_add(gateway->stats.accepted, 1);
}

static void s_on_accept(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    souk_server_t *self = arg;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t size = sizeof(address);
        if (atomic_load_explicit(&self->gateway->connections, memory_order_relaxed) >=
            self->gateway->config->connections_max) {
            s_pause_accept(self);
            return;
        }
        int client = accept4(fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            s_accepted(self, client, &address);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            souk_log(SOUK_LOG_WARN, "GW-ACCEPT-FAILED",
                     SOUK_F_TEXT("cause", strerrordesc_np(errno)));
            s_pause_accept(self);
        }
        if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void s_stop_accepting(souk_server_t *self) {
    if (self->accept_event == NULL) {
        return;
    }
    s_on_accept(self->listen_fd, EV_READ, self); /* who is in the queue has connected already */
    event_free(self->accept_event);
    self->accept_event = NULL;
    close(self->listen_fd);
    self->listen_fd = -1;
}

/* ---- the turn ---- */

static size_t s_drain_turn(void *arg, size_t burst) {
    (void)arg;
    (void)burst;
    return 0;
}

/* Sends what the turn made ready, then frees what it ended. */
static size_t s_flush_turn(void *arg) {
    souk_server_t *self = arg;
    souk_conn_t *conn = self->dirty;
    self->dirty = NULL;
    while (conn != NULL) {
        souk_conn_t *next = conn->dirty_next;
        souk_conn_flush(conn);
        conn = next;
    }
    while (self->dirty == NULL && self->ended != NULL) {
        conn = self->ended;
        self->ended = conn->list_next;
        if (conn->counted) {
            souk_limit_disconnect(self->gateway->limit, souk_address_network(&conn->address));
        }
        atomic_fetch_sub_explicit(&self->gateway->connections, 1, memory_order_relaxed);
        souk_metric_add(self->gateway->stats.connections, -1);
        souk_conn_free(conn);
    }
    return 0;
}

/* ---- the tick: limits of time, keys, health ---- */

static int64_t s_limit_us(const souk_server_t *self, souk_conn_state_t state) {
    const souk_gateway_config_t *config = self->gateway->config;
    int64_t idle_us = config->idle_ms * 1000;
    switch (state) {
    case SOUK_CONN_IDLE:
        return self->draining && idle_us > DRAIN_IDLE_US ? DRAIN_IDLE_US : idle_us;
    case SOUK_CONN_HEAD:
        return config->head_ms * 1000;
    case SOUK_CONN_BODY:
        return config->body_ms * 1000;
    case SOUK_CONN_WRITE:
        return config->write_ms * 1000;
    case SOUK_CONN_LINGER:
        return LINGER_US;
    default:
        return INT64_MAX;
    }
}

static void s_expire(souk_server_t *self, int64_t now_us) {
    for (souk_conn_state_t state = 0; state < SOUK_CONN_STATES_COUNT; state++) {
        int64_t limit_us = s_limit_us(self, state);
        souk_conn_t *conn;
        while ((conn = self->conns[state].first) != NULL && now_us - conn->since_us >= limit_us) {
            souk_conn_expire(conn); /* leaves the list */
        }
    }
}

/* Few connections are ever full, so one call for each of them and tick is cheap. */
static void s_probe(souk_server_t *self) {
    souk_conn_t *conn = self->conns[SOUK_CONN_FULL].first;
    while (conn != NULL) {
        souk_conn_t *next = conn->list_next;
        souk_conn_probe(conn);
        conn = next;
    }
}

static int64_t s_tick_us(const souk_gateway_config_t *config) {
    int64_t least_ms = config->idle_ms < config->head_ms ? config->idle_ms : config->head_ms;
    least_ms = config->body_ms < least_ms ? config->body_ms : least_ms;
    least_ms = config->write_ms < least_ms ? config->write_ms : least_ms;
    int64_t tick_us = least_ms * 1000 / 4;
    tick_us = tick_us > TICK_US_MAX ? TICK_US_MAX : tick_us;
    return tick_us < TICK_US_MIN ? TICK_US_MIN : tick_us;
}

static size_t s_conns_count(const souk_server_t *self) {
    size_t count = 0;
    for (size_t state = 0; state < SOUK_CONN_STATES_COUNT; state++) {
        count += self->conns[state].count;
    }
    return count;
}

static void s_end_all(souk_server_t *self) {
    for (size_t state = 0; state < SOUK_CONN_STATES_COUNT; state++) {
        while (self->conns[state].first != NULL) {
            souk_conn_end(self->conns[state].first);
        }
    }
}

static void s_continue_drain(souk_server_t *self, int64_t now_us) {
    size_t open = s_conns_count(self);
    if (open > 0 && now_us >= self->drain_until_us) {
        souk_log(SOUK_LOG_WARN, "GW-DRAIN-CUT", SOUK_F_INT("connections", open),
                 SOUK_F_INT("calls", self->calls));
        s_end_all(self);
        return; /* freed at the end of this turn */
    }
    if (open == 0 && self->ended == NULL) {
        souk_loop_stop(self->loop);
    }
}

static void s_on_tick(void *arg) {
    souk_server_t *self = arg;
    int64_t now_us = souk_loop_now_us(self->loop);
    s_expire(self, now_us);
    s_probe(self);
    souk_watch_tick(self, now_us);
    if (self->accept_paused_us != 0 && now_us - self->accept_paused_us >= ACCEPT_PAUSE_US) {
        self->accept_paused_us = 0;
        if (self->accept_event != NULL && event_add(self->accept_event, NULL) != 0) {
            self->accept_paused_us = now_us;
        }
    }
    souk_buf_shrink(&self->request, REQUEST_KEEP_BYTES);
    if (self->draining) {
        s_continue_drain(self, now_us);
    }
    souk_timer_set(self->tick, s_tick_us(self->gateway->config));
}

static void s_on_wake(void *arg) {
    souk_server_t *self = arg;
    if (!atomic_load(&self->gateway->draining) || self->draining) {
        return;
    }
    self->draining = true;
    self->drain_until_us = souk_loop_now_us(self->loop) + self->gateway->config->drain_ms * 1000;
    s_stop_accepting(self);
    souk_timer_set(self->tick, 0);
}

/* ---- life ---- */

static souk_err_t s_open(souk_server_t *self) {
    const souk_gateway_config_t *config = self->gateway->config;
    const souk_turn_t turn = {.fd = -1, .drain = s_drain_turn, .flush = s_flush_turn, .arg = self};
    const souk_client_options_t client = {
        .endpoints = config->front,
        .name = "gateway",
        .outstanding_max = (uint32_t)config->outstanding_max,
        .heartbeat_ms = 0,
        .pending_bytes_max = PENDING_BYTES_MAX,
    };
    self->loop = souk_loop_new();
    if (self->loop == NULL) {
        return SOUK_ERR_IO;
    }
    /* Before the client: in a pass its flush then follows ours, and takes along what ours made it
     * send. */
    SOUK_TRY(souk_loop_join(self->loop, &turn));
    SOUK_TRY(souk_client_new(self->loop, &client, &self->client));
    self->tick = souk_timer_new(self->loop, s_on_tick, self);
    self->accept_event = event_new(souk_loop_base(self->loop), self->listen_fd,
                                   EV_READ | EV_PERSIST, s_on_accept, self);
    if (self->tick == NULL || self->accept_event == NULL ||
        event_add(self->accept_event, NULL) != 0) {
        return SOUK_ERR_IO;
    }
    souk_loop_on_wake(self->loop, s_on_wake, self);
    if (self->number == 0 && souk_auth_source.service != NULL) {
        self->poll = souk_keys_poll_new(
            &(souk_keys_poll_options_t){.loop = self->loop,
                                        .client = self->client,
                                        .board = &self->gateway->board,
                                        .interval_us = config->auth_poll_ms * 1000,
                                        .stale_us = config->auth_stale_s * 1000000});
    }
    return SOUK_OK;
}

static souk_auth_t *s_new_auth(souk_gateway_t *gateway) {
    const souk_gateway_config_t *config = gateway->config;
    return souk_auth_new(&(souk_auth_options_t){.keys_file = config->keys_file,
                                                .guest_keys = &gateway->guest_keys,
                                                .board = &gateway->board,
                                                .has_source = souk_auth_source.service != NULL,
                                                .skew_s = config->clock_skew_s,
                                                .stale_us = config->auth_stale_s * 1000000,
                                                .cache_count = (size_t)config->token_cache});
}

souk_err_t souk_server_new(souk_gateway_t *gateway, unsigned number, int listen_fd,
                           souk_server_t **ret_self) {
    souk_server_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->gateway = gateway;
    self->number = number;
    self->listen_fd = listen_fd;
    self->auth = s_new_auth(gateway);
    self->arena = souk_arena_new(ARENA_BYTES_MAX, ARENA_KEEP_BYTES);
    souk_buf_init(&self->request, (size_t)gateway->config->body_bytes_max * 2 + 65536);
    souk_err_t err = s_open(self);
    if (err != SOUK_OK) {
        souk_server_destroy(&self);
        return err;
    }
    souk_watch_begin(self);
    souk_timer_set(self->tick, 0);
    *ret_self = self;
    return SOUK_OK;
}

void souk_server_destroy(souk_server_t **self_p) {
    souk_server_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    s_end_all(self);
    self->dirty = NULL;
    s_flush_turn(self);
    souk_exchange_free_pool(self);
    if (self->accept_event != NULL) {
        event_free(self->accept_event);
    }
    if (self->listen_fd >= 0) {
        close(self->listen_fd);
    }
    souk_timer_destroy(&self->tick);
    souk_keys_poll_destroy(&self->poll);
    souk_client_destroy(&self->client);
    if (self->loop != NULL) {
        souk_loop_leave(self->loop, self);
    }
    souk_loop_destroy(&self->loop);
    souk_arena_destroy(&self->arena);
    souk_auth_destroy(&self->auth);
    souk_buf_done(&self->request);
    free(self);
    *self_p = NULL;
}

void souk_server_run(souk_server_t *self) {
    if (souk_loop_run(self->loop) != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "GW-LOOP-FAILED", SOUK_F_INT("thread", self->number));
    }
}

void souk_server_wake(souk_server_t *self) {
    souk_loop_wake(self->loop);
}
