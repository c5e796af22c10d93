/* Design note.
 *
 * One read for each wake-up; all complete requests that it brought are taken up at once; all
 * answers that became ready in a turn of the loop leave with one writev at its end. EV_WRITE is set
 * only while the socket is full, EV_READ stays set except while the connection has as many requests
 * in progress as it may: then the client's bytes wait in its own socket, not here.
 *
 * A connection is never freed where it ends, because callers further up the stack still hold it:
 * souk_conn_end takes it off libevent and off all lists, and the server frees it at the end of the
 * turn (server->ended).
 *
 * End of input while answers are due means that the client has gone: outstanding calls are
 * cancelled so that nobody works for nothing. A client that only shuts its sending side (which HTTP
 * clients do not do) still gets all answers that are ready by then.
 *
 * After an answer with Connection: close our sending side is shut, and what still comes is read and
 * dropped for a moment: closing at once would make the kernel answer unread bytes with a reset,
 * which can destroy the answer on its way (RFC 9112, 9.6). */
#include "gateway/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/access_log.h"
#include "gateway/gateway.h"
#include "gateway/problem.h"
#include "gateway/request.h"
#include "gateway/upstream.h"

#define READ_BYTES 4096
#define READ_BODY_BYTES 65536
#define KEEP_BYTES 4096
#define IOVECS_MAX 32
/* A refused request's body is read to its end, so that the connection can go on, when it is no
 * longer than this. */
#define REFUSED_BODY_BYTES_MAX 16384

static const char s_continue[] = "HTTP/1.1 100 Continue\r\n\r\n";
#define CONTINUE_BYTES (sizeof(s_continue) - 1)

/* ---- exchanges ---- */

/* A new exchange behind those in progress. */
static souk_exchange_t *s_exchange_add(souk_conn_t *self) {
    souk_exchange_t *exchange = souk_exchange_take(self->server, self);
    if (self->last != NULL) {
        self->last->next = exchange;
    } else {
        self->first = exchange;
    }
    self->last = exchange;
    self->exchanges_count++;
    return exchange;
}

/* Takes the oldest off. */
static void s_exchange_drop_first(souk_conn_t *self) {
    souk_exchange_t *exchange = self->first;
    self->first = exchange->next;
    if (self->first == NULL) {
        self->last = NULL;
    }
    if (self->receiving == exchange) {
        self->receiving = NULL;
    }
    self->exchanges_count--;
    souk_upstream_cancel(exchange);
    souk_exchange_give(exchange);
}

/* ---- life ---- */

static void s_unlist(souk_conn_t *self) {
    souk_conn_list_t *list = &self->server->conns[self->state];
    *(self->list_prev != NULL ? &self->list_prev->list_next : &list->first) = self->list_next;
    *(self->list_next != NULL ? &self->list_next->list_prev : &list->last) = self->list_prev;
    list->count--;
}

/* Into the list of a state, as its youngest. */
static void s_enter(souk_conn_t *self, souk_conn_state_t state) {
    souk_conn_list_t *list = &self->server->conns[state];
    self->state = state;
    self->since_us = souk_loop_now_us(self->server->loop);
    self->list_prev = list->last;
    self->list_next = NULL;
    *(list->last != NULL ? &list->last->list_next : &list->first) = self;
    list->last = self;
    list->count++;
}

static void s_on_read(evutil_socket_t fd, short what, void *arg);
static void s_on_write(evutil_socket_t fd, short what, void *arg);

souk_conn_t *souk_conn_new(souk_server_t *server, int fd, const struct sockaddr_storage *address) {
    const souk_gateway_t *gateway = server->gateway;
    souk_conn_t *self = calloc(1, sizeof(*self));
    int one = 1;
    if (self == NULL) {
        close(fd);
        return NULL;
    }
    self->server = server;
    self->fd = fd;
    souk_address_of_socket(address, &self->address);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct event_base *base = souk_loop_base(server->loop);
    event_assign(&self->read_event, base, fd, EV_READ | EV_PERSIST, s_on_read, self);
    event_assign(&self->write_event, base, fd, EV_WRITE | EV_PERSIST, s_on_write, self);
    if (event_add(&self->read_event, NULL) != 0) {
        close(fd);
        free(self);
        return NULL;
    }
    self->read_set = true;
    size_t body_max = (size_t)gateway->config->body_bytes_max;
    souk_buf_init(&self->in, gateway->http1_limits.head_bytes_max + body_max + 2 * READ_BODY_BYTES);
    souk_http1_init(&self->http1, &gateway->http1_limits, body_max);
    s_enter(self, SOUK_CONN_IDLE);
    return self;
}

void souk_conn_end(souk_conn_t *self) {
    souk_server_t *server = self->server;
    if (self->state == SOUK_CONN_ENDED) {
        return;
    }
    event_del(&self->read_event);
    event_del(&self->write_event);
    close(self->fd);
    while (self->first != NULL) {
        s_exchange_drop_first(self);
    }
    s_unlist(self);
    self->state = SOUK_CONN_ENDED;
    self->list_next = server->ended;
    server->ended = self;
    souk_loop_mark_turn(server->loop, server);
}

void souk_conn_free(souk_conn_t *self) {
    souk_assert(self->state == SOUK_CONN_ENDED);
    souk_buf_done(&self->in);
    free(self);
}

void souk_conn_mark(souk_conn_t *self) {
    if (!self->dirty && self->state != SOUK_CONN_ENDED) {
        self->dirty = true;
        self->dirty_next = self->server->dirty;
        self->server->dirty = self;
        souk_loop_mark_turn(self->server->loop, self->server);
    }
}

/* ---- requests ---- */

/* The last answer of this connection: err, behind those in progress. */
static void s_refuse(souk_conn_t *self, souk_err_t err, const char *cause) {
    souk_exchange_t *exchange = self->receiving;
    self->input_over = true;
    self->receiving = NULL;
    if (self->skipping) { /* it has its answer already */
        self->closing = true;
        return;
    }
    if (exchange == NULL) {
        exchange = s_exchange_add(self);
        souk_request_describe(exchange, &self->http1, &self->in);
    }
    exchange->want_continue = false;
    exchange->close = true;
    souk_problem_answer(exchange, &(souk_problem_t){.err = err, .detail = cause});
}

/* The head is there. */
static void s_begin(souk_conn_t *self) {
    souk_http1_t *http1 = &self->http1;
    souk_exchange_t *exchange = s_exchange_add(self);
    exchange->close = !http1->keep_alive;
    bool has_body = http1->chunked || http1->left > 0;
    bool skippable =
        !http1->chunked && http1->left <= REFUSED_BODY_BYTES_MAX && !http1->expect_continue;
    self->receiving = exchange;
    /* Whether a refused request ends the connection has to stand in its answer. */
    bool keep = !exchange->close;
    exchange->close = exchange->close || (has_body && !skippable);
    souk_request_begin(exchange, http1, &self->in);
    if (!exchange->answered) {
        exchange->close = !keep;
        return;
    }
    self->receiving = NULL;
    self->input_over = exchange->close;
    self->skipping = true;
    http1->body_bytes_max = REFUSED_BODY_BYTES_MAX;
}

/* The request is whole; the next one begins behind it. */
static void s_complete(souk_conn_t *self) {
    souk_exchange_t *exchange = self->receiving;
    self->receiving = NULL;
    self->skipping = false;
    if (exchange != NULL) {
        exchange->want_continue = false;
        souk_request_run(exchange, &self->http1, &self->in);
        self->input_over = exchange->close;
    }
    souk_buf_consume(&self->in, self->http1.total);
    const souk_gateway_t *gateway = self->server->gateway;
    souk_http1_init(&self->http1, &gateway->http1_limits, (size_t)gateway->config->body_bytes_max);
}

static bool s_has_room(const souk_conn_t *self) {
    return self->receiving != NULL || self->skipping ||
           self->exchanges_count < self->server->gateway->config->pipeline_max;
}

/* Takes up what was read. */
static void s_process(souk_conn_t *self) {
    while (!self->input_over && self->in.size > 0 && s_has_room(self)) {
        switch (souk_http1_step(&self->http1, &self->in)) {
        case SOUK_HTTP1_MORE:
            if (self->receiving != NULL && self->http1.expect_continue) {
                self->http1.expect_continue = false; /* asked once */
                self->receiving->want_continue = true;
            }
            return;
        case SOUK_HTTP1_HEAD:
            s_begin(self);
            break;
        case SOUK_HTTP1_DONE:
            s_complete(self);
            break;
        case SOUK_HTTP1_FAIL:
            s_refuse(self, self->http1.err, self->http1.cause);
            break;
        }
    }
}

/* The client sends nothing more. Answers that are ready still go, up to the first one that is not.
 */
static void s_input_end(souk_conn_t *self) {
    bool any = self->first != NULL && self->first->answered;
    self->input_over = true;
    self->input_ended = true;
    self->closing = true;
    if (!any || self->state == SOUK_CONN_LINGER) {
        souk_conn_end(self);
        return;
    }
    souk_exchange_t *last = self->first;
    while (last->next != NULL && last->next->answered) {
        last = last->next;
    }
    souk_exchange_t *gone = last->next;
    last->next = NULL;
    self->last = last;
    self->receiving = NULL;
    while (gone != NULL) {
        souk_exchange_t *next = gone->next;
        self->exchanges_count--;
        souk_upstream_cancel(gone);
        souk_exchange_give(gone);
        gone = next;
    }
}

static void s_on_read(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    souk_conn_t *self = arg;
    size_t want = souk_http1_in_body(&self->http1) ? READ_BODY_BYTES : READ_BYTES;
    if (self->input_over) {
        souk_buf_clear(&self->in);
    }
    uint8_t *room = souk_buf_reserve(&self->in, want);
    souk_assert(room !=
                NULL); /* a request that does not fit was refused, and only one is kept besides */
    ssize_t got = recv(fd, room, want, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got < 0) {
        souk_conn_end(self);
        return;
    }
    if (got == 0) {
        s_input_end(self);
    } else {
        souk_metric_add(self->server->gateway->stats.received_bytes, got);
        if (!self->input_over) {
            self->in.size += (size_t)got;
            s_process(self);
        }
    }
    souk_conn_mark(self);
}

/* ---- answers ---- */

/* Gathers what is ready; returns how many pieces. */
static int s_gather(const souk_conn_t *self, struct iovec *iovecs) {
    int count = 0;
    size_t skip = self->sent_bytes;
    const souk_exchange_t *exchange = self->first;
    for (; exchange != NULL && exchange->answered && count + 2 <= IOVECS_MAX;
         exchange = exchange->next) {
        const souk_str_t parts[] = {souk_buf_str(&exchange->head), exchange->body};
        for (size_t i = 0; i < SOUK_COUNT_OF(parts); i++) {
            size_t skipped = skip < parts[i].size ? skip : parts[i].size;
            skip -= skipped;
            if (skipped < parts[i].size) {
                union {
                    const char *from;
                    void *to;
                } base = {.from = parts[i].data + skipped}; /* writev does not write to it */
                iovecs[count++] =
                    (struct iovec){.iov_base = base.to, .iov_len = parts[i].size - skipped};
            }
        }
        if (exchange->close) {
            break;
        }
    }
    return count;
}

/* Takes off the exchanges whose answers have left. */
static void s_advance(souk_conn_t *self, size_t bytes) {
    self->sent_bytes += bytes;
    while (self->first != NULL && self->first->answered) {
        souk_exchange_t *exchange = self->first;
        size_t size = exchange->head.size + exchange->body.size;
        if (self->sent_bytes < size) {
            return;
        }
        self->sent_bytes -= size;
        souk_access_log(exchange, size);
        bool close = exchange->close;
        s_exchange_drop_first(self);
        if (close) {
            self->closing = true;
            self->input_over = true;
            while (self->first != NULL) {
                s_exchange_drop_first(self);
            }
        }
    }
}

/* 100 Continue for the oldest request. It is sent whole or not at all: then the client goes on by
 * itself after a while. */
static bool s_send_continue(souk_conn_t *self) {
    souk_exchange_t *exchange = self->first;
    if (exchange == NULL || !exchange->want_continue || exchange->answered) {
        return true;
    }
    exchange->want_continue = false;
    ssize_t sent = send(self->fd, s_continue, CONTINUE_BYTES, MSG_NOSIGNAL);
    return sent == (ssize_t)CONTINUE_BYTES || (sent < 0 && errno == EAGAIN);
}

/* Writes until nothing is ready or the socket is full. False: the connection has ended. */
static bool s_write(souk_conn_t *self) {
    struct iovec iovecs[IOVECS_MAX];
    for (;;) {
        int count = s_gather(self, iovecs);
        if (count == 0) {
            self->writing = false;
            return true;
        }
        struct msghdr msg = {.msg_iov = iovecs, .msg_iovlen = (size_t)count};
        size_t wanted = 0;
        for (int i = 0; i < count; i++) {
            wanted += iovecs[i].iov_len;
        }
        ssize_t sent = sendmsg(self->fd, &msg, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            souk_conn_end(self);
            return false;
        }
        if (sent > 0) {
            souk_metric_add(self->server->gateway->stats.sent_bytes, sent);
            s_advance(self, (size_t)sent);
            if (self->state == SOUK_CONN_WRITE) { /* it moves: the time counts from here */
                s_unlist(self);
                s_enter(self, SOUK_CONN_WRITE);
            }
        }
        if (sent < (ssize_t)wanted) {
            self->writing = true;
            return true;
        }
    }
}

static void s_on_write(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    souk_conn_mark(arg);
}

static void s_set_event(struct event *event, bool *is_set, bool wanted) {
    if (wanted != *is_set) {
        int failed = wanted ? event_add(event, NULL) : event_del(event);
        souk_assert(failed == 0);
        *is_set = wanted;
    }
}

static souk_conn_state_t s_state_of(const souk_conn_t *self) {
    if (self->writing) {
        return SOUK_CONN_WRITE;
    }
    if (self->closing && self->first == NULL) {
        return SOUK_CONN_LINGER;
    }
    if (!self->input_over && (self->receiving != NULL || self->skipping)) {
        return SOUK_CONN_BODY;
    }
    if (!self->input_over && s_has_room(self) && souk_http1_in_head(&self->http1, &self->in)) {
        return SOUK_CONN_HEAD;
    }
    if (!self->input_over && !s_has_room(self)) {
        return SOUK_CONN_FULL;
    }
    return self->first != NULL ? SOUK_CONN_BUSY : SOUK_CONN_IDLE;
}

/* Puts the connection into the state that it is in, with the events that this needs. */
static void s_settle(souk_conn_t *self) {
    souk_conn_state_t state = s_state_of(self);
    if (state == SOUK_CONN_LINGER && self->state != SOUK_CONN_LINGER) {
        if (self->input_ended || shutdown(self->fd, SHUT_WR) != 0) {
            souk_conn_end(self);
            return;
        }
    }
    if (state != self->state) {
        s_unlist(self);
        s_enter(self, state);
    }
    if (state == SOUK_CONN_IDLE && self->in.size == 0) {
        souk_buf_shrink(&self->in, KEEP_BYTES);
    }
    s_set_event(&self->write_event, &self->write_set, self->writing);
    bool read = !self->input_ended && (self->input_over || s_has_room(self));
    s_set_event(&self->read_event, &self->read_set, read);
}

void souk_conn_flush(souk_conn_t *self) {
    if (self->state == SOUK_CONN_ENDED) {
        return;
    }
    self->dirty = false;
    if (!s_write(self)) {
        return;
    }
    if (!self->writing) {
        s_process(self); /* what waited for room */
        if (!s_send_continue(self)) {
            souk_conn_end(self);
            return;
        }
        if (self->first != NULL && self->first->answered) {
            souk_conn_mark(self);
        }
    }
    s_settle(self);
}

/* ---- time ---- */

void souk_conn_probe(souk_conn_t *self) {
    struct pollfd end = {.fd = self->fd, .events = POLLRDHUP};
    if (poll(&end, 1, 0) > 0) {
        s_input_end(self);
        souk_conn_mark(self);
    }
}

void souk_conn_expire(souk_conn_t *self) {
    switch (self->state) {
    case SOUK_CONN_HEAD:
        s_refuse(self, SOUK_ERR_REQUEST_TIMEOUT, "The request's header did not arrive in time.");
        break;
    case SOUK_CONN_BODY:
        s_refuse(self, SOUK_ERR_REQUEST_TIMEOUT, "The request's body did not arrive in time.");
        break;
    default:
        souk_conn_end(self);
        return;
    }
    souk_conn_mark(self);
    s_unlist(self);
    s_enter(self, SOUK_CONN_BUSY);
}
