/* Design note. One thread, one poll(2) loop, a fixed table of connections: everything is bounded by
 * constants here, and a slow scraper costs one row of the table for at most two seconds. evhttp is
 * not used: libevent 2.1 cannot bound the number of its connections, and this endpoint needs two
 * verbs and no keep-alive. Every answer closes the connection. The thread takes no lock that the
 * main loop holds for long. */
#include "souk/admin.h"

#include "souk/clock.h"
#include "souk/json.h"
#include "souk/metrics.h"
#include "souk/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define S_CONNECTIONS_MAX 16
#define S_HEADER_BYTES_MAX 4096
#define S_BODY_BYTES_MAX (8U << 20)
#define S_DEADLINE_US 2000000
#define S_ROUTES_MAX 8
#define S_REASON_BYTES 160

typedef struct {
    int fd; /* -1: free */
    int64_t deadline_us;
    char in[S_HEADER_BYTES_MAX];
    size_t in_size;
    souk_buf_t out; /* not empty: answering */
    size_t out_sent;
} s_connection_t;

struct souk_admin {
    pthread_t thread;
    int listener, wake;
    uint16_t port;
    atomic_bool stopping;
    souk_admin_route_t routes[S_ROUTES_MAX];
    size_t routes_count;
    s_connection_t connections[S_CONNECTIONS_MAX];
};

static struct {
    pthread_mutex_t lock;
    souk_health_state_t state;
    char reason[S_REASON_BYTES + 1];
} s_health = {.lock = PTHREAD_MUTEX_INITIALIZER, .state = SOUK_HEALTH_STARTING};

static const char *const s_health_names[] = {"starting", "ready", "degraded", "draining", "failed"};

void souk_health_set(souk_health_state_t state, const char *reason) {
    pthread_mutex_lock(&s_health.lock);
    s_health.state = state;
    snprintf(s_health.reason, sizeof(s_health.reason), "%s", reason != NULL ? reason : "");
    pthread_mutex_unlock(&s_health.lock);
}

souk_health_state_t souk_health_get(void) {
    pthread_mutex_lock(&s_health.lock);
    souk_health_state_t state = s_health.state;
    pthread_mutex_unlock(&s_health.lock);
    return state;
}

static int s_answer_health(bool ready, souk_buf_t *body) {
    pthread_mutex_lock(&s_health.lock);
    souk_health_state_t state = s_health.state;
    char reason[sizeof(s_health.reason)];
    memcpy(reason, s_health.reason, sizeof(reason));
    pthread_mutex_unlock(&s_health.lock);
    souk_buf_printf(body, "{\"status\":\"%s\"", s_health_names[state]);
    /* The cut at S_REASON_BYTES may have split a character. */
    if (reason[0] != '\0' && souk_utf8_valid(souk_str_of(reason))) {
        souk_buf_append_str(body, SOUK_STR(",\"reason\":"));
        souk_json_write_str(body, souk_str_of(reason));
    }
    souk_buf_append_str(body, SOUK_STR("}\n"));
    if (!ready) {
        return state == SOUK_HEALTH_FAILED ? 503 : 200;
    }
    return state == SOUK_HEALTH_READY || state == SOUK_HEALTH_DEGRADED ? 200 : 503;
}

static const char *s_status_text(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

static int s_answer_route(souk_admin_t *self, souk_str_t path, souk_buf_t *body) {
    for (size_t i = 0; i < self->routes_count; i++) {
        size_t size = strlen(self->routes[i].prefix);
        if (path.size < size || memcmp(path.data, self->routes[i].prefix, size) != 0 ||
            (path.size > size && path.data[size] != '/')) {
            continue;
        }
        size_t skip = path.size > size ? size + 1 : size;
        souk_str_t rest = {.data = path.data + skip, .size = path.size - skip};
        return self->routes[i].fn(self->routes[i].arg, rest, body);
    }
    return 404;
}

static int s_answer_path(souk_admin_t *self, souk_str_t path, souk_buf_t *body,
                         const char **ret_type) {
    *ret_type = "application/json";
    if (souk_str_equal(path, SOUK_STR("/healthz"))) {
        return s_answer_health(false, body);
    }
    if (souk_str_equal(path, SOUK_STR("/readyz"))) {
        return s_answer_health(true, body);
    }
    if (souk_str_equal(path, SOUK_STR("/metrics"))) {
        *ret_type = "text/plain; version=0.0.4; charset=utf-8";
        souk_metrics_print(body);
        return 200;
    }
    return s_answer_route(self, path, body);
}

/* Takes "GET /path?query HTTP/1.x" apart; 0 or the status of the refusal. */
static int s_parse_request(const s_connection_t *connection, bool *ret_head, souk_str_t *ret_path) {
    const char *line = connection->in;
    const char *end = memchr(line, '\r', connection->in_size);
    const char *space = end != NULL ? memchr(line, ' ', (size_t)(end - line)) : NULL;
    if (space == NULL || space[1] != '/') {
        return 400;
    }
    souk_str_t verb = {.data = line, .size = (size_t)(space - line)};
    *ret_head = souk_str_equal(verb, SOUK_STR("HEAD"));
    if (!*ret_head && !souk_str_equal(verb, SOUK_STR("GET"))) {
        return 405;
    }
    const char *path = space + 1, *stop = path;
    while (stop < end && *stop != ' ' && *stop != '?') {
        stop++;
    }
    const char *version = memchr(stop, ' ', (size_t)(end - stop));
    if (version == NULL || end - version != 9 || memcmp(version, " HTTP/1.", 8) != 0) {
        return 400;
    }
    *ret_path = (souk_str_t){.data = path, .size = (size_t)(stop - path)};
    return 0;
}

static void s_answer(souk_admin_t *self, s_connection_t *connection, int refusal) {
    souk_buf_t body;
    souk_buf_init(&body, S_BODY_BYTES_MAX);
    bool head = false;
    souk_str_t path = {0};
    const char *type = "application/json";
    int status = refusal != 0 ? refusal : s_parse_request(connection, &head, &path);
    if (status == 0) {
        status = s_answer_path(self, path, &body, &type);
    }
    if (body.overflow) {
        status = 500;
        souk_buf_clear(&body);
    }
    if (body.size == 0) {
        souk_buf_printf(&body, "{\"status\":%d}\n", status);
    }
    souk_buf_printf(&connection->out,
                    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: "
                    "no-store\r\n%sConnection: close\r\n\r\n",
                    status, s_status_text(status), type, body.size,
                    status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (!head) {
        souk_buf_append_str(&connection->out, souk_buf_str(&body));
    }
    souk_buf_done(&body);
}

static void s_close(s_connection_t *connection) {
    close(connection->fd);
    connection->fd = -1;
    souk_buf_done(&connection->out);
}

static void s_accept(souk_admin_t *self) {
    for (size_t i = 0; i < S_CONNECTIONS_MAX; i++) {
        s_connection_t *connection = &self->connections[i];
        if (connection->fd >= 0) {
            continue;
        }
        int fd = accept4(self->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE) {
                poll(NULL, 0, 100); /* the listener stays readable: do not spin on it */
            }
            return;
        }
        connection->fd = fd;
        connection->deadline_us = souk_clock_mono_us() + S_DEADLINE_US;
        connection->in_size = connection->out_sent = 0;
        souk_buf_init(&connection->out, S_BODY_BYTES_MAX + 1024);
    }
}

/* False: the connection is over. */
static bool s_read(souk_admin_t *self, s_connection_t *connection) {
    ssize_t got = read(connection->fd, connection->in + connection->in_size,
                       sizeof(connection->in) - connection->in_size);
    if (got <= 0) {
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    connection->in_size += (size_t)got;
    if (memmem(connection->in, connection->in_size, "\r\n\r\n", 4) != NULL) {
        s_answer(self, connection, 0);
    } else if (connection->in_size == sizeof(connection->in)) {
        s_answer(self, connection, 431);
    }
    return true;
}

static bool s_write(s_connection_t *connection) {
    ssize_t sent = send(connection->fd, connection->out.data + connection->out_sent,
                        connection->out.size - connection->out_sent, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    connection->out_sent += (size_t)sent;
    return connection->out_sent < connection->out.size;
}

static void s_serve(souk_admin_t *self, s_connection_t *connection, short events) {
    bool open = true;
    if (connection->out.size == 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
        open = s_read(self, connection);
    }
    if (open && connection->out.size > 0) {
        open = s_write(connection);
    }
    if (!open) {
        s_close(connection);
    }
}

/* Fills the poll set; returns the wait. Full table: the listener rests, the kernel's backlog waits.
 */
static int s_prepare(souk_admin_t *self, struct pollfd fds[S_CONNECTIONS_MAX + 2]) {
    int64_t now_us = souk_clock_mono_us();
    int64_t wait_us = 60000000;
    bool room = false;
    for (size_t i = 0; i < S_CONNECTIONS_MAX; i++) {
        s_connection_t *connection = &self->connections[i];
        if (connection->fd >= 0 && connection->deadline_us <= now_us) {
            s_close(connection);
        }
        fds[i] = (struct pollfd){.fd = connection->fd};
        if (connection->fd < 0) {
            room = true;
            continue;
        }
        fds[i].events = connection->out.size > 0 ? POLLOUT : POLLIN;
        int64_t left_us = connection->deadline_us - now_us;
        wait_us = left_us < wait_us ? left_us : wait_us;
    }
    fds[S_CONNECTIONS_MAX] = (struct pollfd){.fd = room ? self->listener : -1, .events = POLLIN};
    fds[S_CONNECTIONS_MAX + 1] = (struct pollfd){.fd = self->wake, .events = POLLIN};
    return (int)(wait_us / 1000) + 1;
}

static void *s_run(void *arg) {
    souk_admin_t *self = arg;
    while (!atomic_load(&self->stopping)) {
        struct pollfd fds[S_CONNECTIONS_MAX + 2];
        int wait_ms = s_prepare(self, fds);
        if (poll(fds, S_CONNECTIONS_MAX + 2, wait_ms) <= 0) {
            continue;
        }
        for (size_t i = 0; i < S_CONNECTIONS_MAX; i++) {
            if (fds[i].fd >= 0 && fds[i].revents != 0) {
                s_serve(self, &self->connections[i], fds[i].revents);
            }
        }
        if (fds[S_CONNECTIONS_MAX].revents != 0) {
            s_accept(self);
        }
    }
    return NULL;
}

static souk_err_t s_listen(const char *address, uint16_t port, int *ret_fd, uint16_t *ret_port) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(address, service, &hints, &found) != 0) {
        errno = EINVAL;
        return SOUK_ERR_IO;
    }
    int on = 1;
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 64) == 0 &&
              getsockname(fd, (struct sockaddr *)&bound, &size) == 0;
    freeaddrinfo(found);
    if (!ok) {
        int cause = errno;
        if (fd >= 0) {
            close(fd);
        }
        errno = cause;
        return SOUK_ERR_IO;
    }
    *ret_fd = fd;
    /* NOLINTNEXTLINE(clang-analyzer-core.*): getsockname filled it, or we would not be here */
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    return SOUK_OK;
}

souk_err_t souk_admin_start(const char *address, uint16_t port, const souk_admin_route_t *routes,
                            size_t routes_count, souk_admin_t **ret_self) {
    souk_assert(routes_count <= S_ROUTES_MAX);
    int listener = -1;
    uint16_t bound = 0;
    SOUK_TRY(s_listen(address, port, &listener, &bound));
    souk_admin_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->listener = listener;
    self->port = bound;
    self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (routes_count > 0) {
        memcpy(self->routes, routes, routes_count * sizeof(*routes));
    }
    self->routes_count = routes_count;
    for (size_t i = 0; i < S_CONNECTIONS_MAX; i++) {
        self->connections[i].fd = -1;
    }
    if (self->wake < 0 || !souk_thread_start(&self->thread, s_run, self)) {
        if (self->wake >= 0) {
            close(self->wake);
        }
        close(listener);
        free(self);
        return SOUK_ERR_IO;
    }
    *ret_self = self;
    return SOUK_OK;
}

uint16_t souk_admin_port(const souk_admin_t *self) {
    return self->port;
}

void souk_admin_stop(souk_admin_t **self_p) {
    souk_admin_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    atomic_store(&self->stopping, true);
    uint64_t one = 1;
    ssize_t written = write(self->wake, &one, sizeof(one));
    souk_assert(written == (ssize_t)sizeof(one));
    pthread_join(self->thread, NULL);
    for (size_t i = 0; i < S_CONNECTIONS_MAX; i++) {
        if (self->connections[i].fd >= 0) {
            s_close(&self->connections[i]);
        }
    }
    close(self->listener);
    close(self->wake);
    free(self);
    *self_p = NULL;
}
