#include "proxy.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX 16
#define TICK_MS 5

typedef struct {
    int client, server; /* -1: free */
    bool marked;        /* CUT_ANSWER: the next bytes from the server are the answer */
} proxy_pair_t;

struct proxy {
    char url[1024];
    char mark[64];
    struct sockaddr_in real;
    int listener;
    proxy_pair_t pairs[PAIRS_MAX];
    pthread_t thread;
    pthread_mutex_t mutex; /* mode, mark */
    proxy_mode_t mode;
    atomic_bool stopping, cut;
};

static void s_close(proxy_pair_t *pair) {
    if (pair->client >= 0) {
        close(pair->client);
        close(pair->server);
    }
    pair->client = pair->server = -1;
    pair->marked = false;
}

static void s_accept(proxy_t *self, proxy_mode_t mode) {
    int client = accept(self->listener, NULL, NULL);
    if (client < 0) {
        return;
    }
    for (size_t i = 0; i < PAIRS_MAX && mode != PROXY_REFUSE; i++) {
        if (self->pairs[i].client >= 0) {
            continue;
        }
        int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(server, (struct sockaddr *)&self->real, sizeof(self->real)), 0);
        self->pairs[i] = (proxy_pair_t){.client = client, .server = server};
        return;
    }
    close(client);
}

static bool s_send(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* Passes on what one side has sent. */
static void s_pass(proxy_t *self, proxy_pair_t *pair, bool from_client, proxy_mode_t mode) {
    static char bytes[256 * 1024];
    ssize_t n = recv(from_client ? pair->client : pair->server, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        s_close(pair);
        return;
    }
    bool found = from_client && self->mark[0] != '\0' &&
                 memmem(bytes, (size_t)n, self->mark, strlen(self->mark)) != NULL;
    if (mode == PROXY_SWALLOW) {
        return;
    }
    if ((found && mode == PROXY_CUT_REQUEST) || (!from_client && pair->marked)) {
        s_close(pair);
        return;
    }
    pair->marked = pair->marked || (found && mode == PROXY_CUT_ANSWER);
    if (!s_send(from_client ? pair->server : pair->client, bytes, (size_t)n)) {
        s_close(pair);
    }
}

static void *s_main(void *arg) {
    proxy_t *self = arg;
    while (!atomic_load(&self->stopping)) {
        struct pollfd fds[1 + 2 * PAIRS_MAX] = {{.fd = self->listener, .events = POLLIN}};
        for (size_t i = 0; i < PAIRS_MAX; i++) {
            fds[1 + 2 * i] = (struct pollfd){.fd = self->pairs[i].client, .events = POLLIN};
            fds[2 + 2 * i] = (struct pollfd){.fd = self->pairs[i].server, .events = POLLIN};
        }
        (void)poll(fds, SOUK_COUNT_OF(fds), TICK_MS);
        pthread_mutex_lock(&self->mutex);
        bool cut = atomic_exchange(&self->cut, false);
        for (size_t i = 0; i < PAIRS_MAX; i++) {
            proxy_pair_t *pair = &self->pairs[i];
            if (cut) {
                s_close(pair);
            }
            if (pair->client >= 0 && fds[1 + 2 * i].revents != 0) {
                s_pass(self, pair, true, self->mode);
            }
            if (pair->client >= 0 && fds[2 + 2 * i].revents != 0) {
                s_pass(self, pair, false, self->mode);
            }
        }
        if (fds[0].revents != 0) {
            s_accept(self, self->mode);
        }
        pthread_mutex_unlock(&self->mutex);
    }
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        s_close(&self->pairs[i]);
    }
    return NULL;
}

/* Reads host and port of url, and writes it anew with the proxy's port. */
static void s_rewrite(proxy_t *self, const char *url, int port) {
    const char *real_port = NULL;
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    cr_assert(options != NULL);
    for (PQconninfoOption *at = options; at->keyword != NULL; at++) {
        if (strcmp(at->keyword, "port") == 0) {
            real_port = at->val;
        }
    }
    cr_assert(real_port != NULL);
    self->real = (struct sockaddr_in){.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)atoi(real_port)),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char needle[16];
    (void)snprintf(needle, sizeof(needle), ":%s/", real_port);
    const char *at = strstr(url, needle);
    cr_assert(at != NULL);
    (void)snprintf(self->url, sizeof(self->url), "%.*s:%d/%s", (int)(at - url), url, port,
                   at + strlen(needle));
    PQconninfoFree(options);
}

proxy_t *proxy_new(const char *url) {
    proxy_t *self = calloc(1, sizeof(*self));
    cr_assert(self != NULL);
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        self->pairs[i].client = self->pairs[i].server = -1;
    }
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    cr_assert_eq(bind(self->listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(self->listener, PAIRS_MAX), 0);
    cr_assert_eq(getsockname(self->listener, (struct sockaddr *)&address, &size), 0);
    s_rewrite(self, url, ntohs(address.sin_port));
    cr_assert_eq(pthread_mutex_init(&self->mutex, NULL), 0);
    cr_assert_eq(pthread_create(&self->thread, NULL, s_main, self), 0);
    return self;
}

void proxy_destroy(proxy_t **self_p) {
    proxy_t *self = *self_p;
    atomic_store(&self->stopping, true);
    cr_assert_eq(pthread_join(self->thread, NULL), 0);
    pthread_mutex_destroy(&self->mutex);
    close(self->listener);
    free(self);
    *self_p = NULL;
}

const char *proxy_url(const proxy_t *self) {
    return self->url;
}

void proxy_set(proxy_t *self, proxy_mode_t mode, const char *mark) {
    pthread_mutex_lock(&self->mutex);
    self->mode = mode;
    (void)snprintf(self->mark, sizeof(self->mark), "%s", mark != NULL ? mark : "");
    pthread_mutex_unlock(&self->mutex);
}

void proxy_cut(proxy_t *self) {
    atomic_store(&self->cut, true);
    while (atomic_load(&self->cut)) {
        (void)poll(NULL, 0, 1);
    }
    pthread_mutex_lock(&self->mutex); /* the turn that saw it is over */
    pthread_mutex_unlock(&self->mutex);
}
