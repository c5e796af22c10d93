/* The transport on libzmq: notes.
 *
 * One context per process, made with the first socket and ended with the last. The socket is used
 * raw, one frame per message. A ROUTER gets the sender's generated routing id (a zero byte and 32
 * bits) in front of each frame; it becomes a dense number through a hash map whose size is fixed by
 * peers_max. A peer that chose its own routing id is not served: it could take the id of another.
 *
 * Options that matter:
 * - ROUTER_MANDATORY: without it a ROUTER drops silently what a full or vanished peer does not
 * take. With it a send says EAGAIN (no room) or EHOSTUNREACH (gone). It is no receipt: what the
 * socket took may still be lost with the connection.
 * - IMMEDIATE on a DEALER: nothing is queued to a broker that is not there.
 * - the high-water marks count frames, not bytes, so they are small; bytes are bounded by the bus
 * above, which joins what waits into long frames.
 * - POLLOUT of a ROUTER only says that some peer has room. A blocked peer is therefore tried again
 * whenever the descriptor fires, and by the clock (bus.c). */
#include "transport.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <zmq.h>

#define HIGH_WATER_FRAMES 128
#define HANDSHAKE_MS 3000
#define CONNECT_MS 3000
#define RECONNECT_MS 100
#define RECONNECT_MAX_MS 2000
#define BACKLOG 1024
#define SILENT_HEARTBEATS_MAX 3
#define ENDPOINT_BYTES_MAX 512
#define ROUTING_ID_BYTES 5
#define PEERS_LIMIT ((size_t)1 << 24)

/* One place of the map; number + 1, so that 0 stands for an empty place. */
typedef struct {
    uint32_t id;
    uint32_t number_1;
} s_place_t;

struct souk_transport {
    void *socket;
    bool router;
    int fd;
    zmq_msg_t frame; /* what the last recv lent out */
    char endpoint[ENDPOINT_BYTES_MAX];
    /* ROUTER only */
    s_place_t *places; /* open addressing, at most half full */
    size_t places_mask;
    uint32_t *ids;       /* by number */
    souk_peer_t *unused; /* stack of numbers */
    size_t unused_count;
};

/* ---- The context -------------------------------------------------------------------------------
 */

static pthread_mutex_t s_context_mutex = PTHREAD_MUTEX_INITIALIZER;
static void *s_context;
static size_t s_context_users;

static void *s_context_take(void) {
    pthread_mutex_lock(&s_context_mutex);
    if (s_context == NULL) {
        s_context = zmq_ctx_new();
        if (s_context != NULL) {
            zmq_ctx_set(s_context, ZMQ_IO_THREADS, 1);
            zmq_ctx_set(s_context, ZMQ_BLOCKY, 0);
        }
    }
    void *context = s_context;
    s_context_users += context != NULL;
    pthread_mutex_unlock(&s_context_mutex);
    return context;
}

/* The last one ends the context, which waits for the sockets' lingers. */
static void s_context_release(void) {
    void *last = NULL;
    pthread_mutex_lock(&s_context_mutex);
    if (--s_context_users == 0) {
        last = s_context;
        s_context = NULL;
    }
    pthread_mutex_unlock(&s_context_mutex);
    if (last != NULL) {
        while (zmq_ctx_term(last) != 0 && errno == EINTR) {
        }
    }
}

/* ---- Peers of a ROUTER -------------------------------------------------------------------------
 */

static size_t s_home(const souk_transport_t *self, uint32_t id) {
    /* The product's upper half depends on all of the id; libzmq counts ids up from a random one. */
    return (size_t)((uint64_t)id * 11400714819323198485u >> 40) & self->places_mask;
}

/* The place of the id, or the empty one where it would go. */
static size_t s_find(const souk_transport_t *self, uint32_t id) {
    size_t at = s_home(self, id);
    while (self->places[at].number_1 != 0 && self->places[at].id != id) {
        at = (at + 1) & self->places_mask;
    }
    return at;
}

static souk_err_t s_number_of(souk_transport_t *self, uint32_t id, souk_peer_t *ret_peer) {
    size_t at = s_find(self, id);
    if (self->places[at].number_1 == 0) {
        if (self->unused_count == 0) {
            return SOUK_ERR_OVERLOADED;
        }
        souk_peer_t peer = self->unused[--self->unused_count];
        self->ids[peer] = id;
        self->places[at] = (s_place_t){.id = id, .number_1 = peer + 1};
    }
    *ret_peer = self->places[at].number_1 - 1;
    return SOUK_OK;
}

/* Closes the gap that a removed entry leaves, so that no look-up ends early. */
static void s_close_gap(souk_transport_t *self, size_t gap) {
    size_t at = gap;
    for (;;) {
        at = (at + 1) & self->places_mask;
        if (self->places[at].number_1 == 0) {
            break;
        }
        size_t home = s_home(self, self->places[at].id);
        if (((at - home) & self->places_mask) >= ((at - gap) & self->places_mask)) {
            self->places[gap] = self->places[at];
            gap = at;
        }
    }
    self->places[gap].number_1 = 0;
}

void souk_transport_forget(souk_transport_t *self, souk_peer_t peer) {
    souk_assert(self->router);
    size_t at = s_find(self, self->ids[peer]);
    souk_assert(self->places[at].number_1 == peer + 1);
    s_close_gap(self, at);
    self->unused[self->unused_count++] = peer;
}

static souk_err_t s_peers_init(souk_transport_t *self, size_t peers_max) {
    souk_assert(peers_max > 0 && peers_max <= PEERS_LIMIT);
    size_t places = 2;
    while (places < 2 * peers_max) {
        places *= 2;
    }
    self->places_mask = places - 1;
    self->places = calloc(places, sizeof(*self->places));
    self->ids = calloc(peers_max, sizeof(*self->ids));
    self->unused = calloc(peers_max, sizeof(*self->unused));
    if (self->places == NULL || self->ids == NULL || self->unused == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < peers_max; i++) {
        self->unused[i] = (souk_peer_t)(peers_max - 1 - i); /* low numbers first */
    }
    self->unused_count = peers_max;
    return SOUK_OK;
}

/* ---- Life --------------------------------------------------------------------------------------
 */

typedef struct {
    int option;
    int value;
} s_setting_t;

static souk_err_t s_set_all(souk_transport_t *self, const s_setting_t *settings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (zmq_setsockopt(self->socket, settings[i].option, &settings[i].value,
                           sizeof(settings[i].value)) != 0) {
            return SOUK_ERR_IO;
        }
    }
    return SOUK_OK;
}

static souk_err_t s_set_options(souk_transport_t *self, const souk_bus_options_t *options) {
    const s_setting_t common[] = {
        {ZMQ_SNDHWM, HIGH_WATER_FRAMES},
        {ZMQ_RCVHWM, HIGH_WATER_FRAMES},
        {ZMQ_LINGER, 0}, /* close sets the real one */
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_CONNECT_TIMEOUT, CONNECT_MS},
        {ZMQ_RECONNECT_IVL, RECONNECT_MS},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_IPV6, options->ipv6 || strchr(options->endpoint, '[') != NULL},
        {self->router ? ZMQ_ROUTER_MANDATORY : ZMQ_IMMEDIATE, 1},
    };
    SOUK_TRY(s_set_all(self, common, SOUK_COUNT_OF(common)));
    if (options->heartbeat_ms > 0) {
        const s_setting_t beats[] = {
            {ZMQ_HEARTBEAT_IVL, options->heartbeat_ms},
            {ZMQ_HEARTBEAT_TIMEOUT, options->heartbeat_ms * SILENT_HEARTBEATS_MAX},
            {ZMQ_HEARTBEAT_TTL, options->heartbeat_ms * SILENT_HEARTBEATS_MAX},
        };
        SOUK_TRY(s_set_all(self, beats, SOUK_COUNT_OF(beats)));
    }
    int64_t bytes_max = (int64_t)options->frame_bytes_max;
    if (zmq_setsockopt(self->socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof(bytes_max)) != 0) {
        return SOUK_ERR_IO;
    }
    return SOUK_OK;
}

static souk_err_t s_attach(souk_transport_t *self, const souk_bus_options_t *options) {
    int rc = self->router ? zmq_bind(self->socket, options->endpoint)
                          : zmq_connect(self->socket, options->endpoint);
    if (rc != 0) {
        return SOUK_ERR_IO;
    }
    size_t size = sizeof(self->fd);
    if (zmq_getsockopt(self->socket, ZMQ_FD, &self->fd, &size) != 0) {
        return SOUK_ERR_IO;
    }
    size = sizeof(self->endpoint);
    if (self->router) {
        return zmq_getsockopt(self->socket, ZMQ_LAST_ENDPOINT, self->endpoint, &size) == 0
                   ? SOUK_OK
                   : SOUK_ERR_IO;
    }
    memcpy(self->endpoint, options->endpoint, strlen(options->endpoint) + 1);
    return SOUK_OK;
}

static souk_err_t s_open(souk_transport_t *self, const souk_bus_options_t *options) {
    void *context = s_context_take();
    if (context == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    self->socket = zmq_socket(context, self->router ? ZMQ_ROUTER : ZMQ_DEALER);
    if (self->socket == NULL) {
        int saved = errno;
        s_context_release();
        errno = saved;
        return SOUK_ERR_IO;
    }
    if (self->router) {
        SOUK_TRY(s_peers_init(self, options->peers_max));
    }
    SOUK_TRY(s_set_options(self, options));
    return s_attach(self, options);
}

souk_err_t souk_transport_open(const souk_bus_options_t *options, souk_transport_t **ret_self) {
    if (strlen(options->endpoint) >= ENDPOINT_BYTES_MAX) {
        errno = ENAMETOOLONG;
        return SOUK_ERR_IO;
    }
    souk_transport_t *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    zmq_msg_init(&self->frame);
    self->router = options->bind;
    souk_err_t err = s_open(self, options);
    if (err != SOUK_OK) {
        int saved = errno;
        souk_transport_close(&self, 0);
        errno = saved;
        return err;
    }
    *ret_self = self;
    return SOUK_OK;
}

void souk_transport_close(souk_transport_t **self_p, int linger_ms) {
    souk_transport_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    zmq_msg_close(&self->frame);
    if (self->socket != NULL) {
        zmq_setsockopt(self->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
        zmq_close(self->socket);
        s_context_release();
    }
    free(self->places);
    free(self->ids);
    free(self->unused);
    free(self);
}

int souk_transport_fd(const souk_transport_t *self) {
    return self->fd;
}

const char *souk_transport_endpoint(const souk_transport_t *self) {
    return self->endpoint;
}

/* ---- Frames ------------------------------------------------------------------------------------
 */

/* Reads one part into self->frame. With DONTWAIT libzmq looks at its commands before it says
 * EAGAIN, so that nothing that has arrived is left and the descriptor fires for what comes next. */
static souk_err_t s_part(souk_transport_t *self) {
    int rc;
    do {
        rc = zmq_msg_recv(&self->frame, self->socket, ZMQ_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    souk_assert(rc >= 0 || errno == EAGAIN);
    return rc >= 0 ? SOUK_OK : SOUK_ERR_RETRY;
}

/* Throws away the parts of a message that should not be there. */
static bool s_skip_parts(souk_transport_t *self) {
    bool any = false;
    while (zmq_msg_more(&self->frame)) {
        any = true;
        souk_err_t err = s_part(self); /* parts of a message arrive together */
        souk_assert(err == SOUK_OK);
    }
    return any;
}

/* The sender of a ROUTER's message; leaves self->frame at the first part behind it. */
static souk_err_t s_sender(souk_transport_t *self, souk_peer_t *ret_peer) {
    SOUK_TRY(s_part(self));
    const uint8_t *id = zmq_msg_data(&self->frame);
    bool ours = zmq_msg_size(&self->frame) == ROUTING_ID_BYTES && id[0] == 0;
    uint32_t value = 0;
    if (ours) {
        memcpy(&value, id + 1, sizeof(value));
    }
    souk_assert(zmq_msg_more(&self->frame));
    souk_err_t err = s_part(self);
    souk_assert(err == SOUK_OK);
    return ours ? s_number_of(self, value, ret_peer) : SOUK_ERR_MALFORMED;
}

souk_err_t souk_transport_recv(souk_transport_t *self, souk_peer_t *ret_peer,
                               souk_str_t *ret_frame) {
    souk_peer_t peer = 0;
    souk_err_t err = self->router ? s_sender(self, &peer) : s_part(self);
    if (err == SOUK_ERR_RETRY) {
        return err;
    }
    if (s_skip_parts(self) && err == SOUK_OK) {
        err = SOUK_ERR_MALFORMED;
    }
    if (err == SOUK_OK) {
        *ret_peer = peer;
        *ret_frame =
            (souk_str_t){.data = zmq_msg_data(&self->frame), .size = zmq_msg_size(&self->frame)};
    }
    return err;
}

static souk_err_t s_send(souk_transport_t *self, const void *data, size_t bytes, int flags) {
    int rc;
    do {
        rc = zmq_send(self->socket, data, bytes, flags | ZMQ_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    if (rc >= 0) {
        return SOUK_OK;
    }
    souk_assert(errno == EAGAIN || errno == EHOSTUNREACH);
    return errno == EAGAIN ? SOUK_ERR_RETRY : SOUK_ERR_CLOSED;
}

souk_err_t souk_transport_send(souk_transport_t *self, souk_peer_t peer, souk_str_t frame) {
    if (self->router) {
        uint8_t id[ROUTING_ID_BYTES] = {0};
        memcpy(id + 1, &self->ids[peer], sizeof(self->ids[peer]));
        SOUK_TRY(s_send(self, id, sizeof(id), ZMQ_SNDMORE));
    }
    return s_send(self, frame.data, frame.size, 0);
}

bool souk_transport_ready(souk_transport_t *self) {
    int events = 0;
    size_t size = sizeof(events);
    int rc = zmq_getsockopt(self->socket, ZMQ_EVENTS, &events, &size);
    souk_assert(rc == 0 || errno == EINTR);
    return rc != 0 || (events & ZMQ_POLLIN) != 0 || (!self->router && (events & ZMQ_POLLOUT) != 0);
}
