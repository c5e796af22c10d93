/* The bus: notes.
 *
 * Envelopes for a peer are appended to its queue: one run of bytes, cut into frames at envelope
 * boundaries. A frame grows until the next envelope would not fit, so all that a turn produces for
 * a peer leaves as one message, and what a slow peer leaves waiting is joined into long frames.
 * Queues are borrowed from a small pool while something is pending, so that a thousand idle peers
 * hold no memory.
 *
 * Peers with something pending stand in a ring. A flush takes each of them once, a few frames per
 * peer, and stops after a bounded number of frames, so that neither a peer nor the flush itself can
 * keep the rest waiting. A peer that has no room stays in the ring. The descriptor fires when room
 * comes back, but a later call on the socket can eat that edge, and a ROUTER cannot be asked about
 * one peer: so while anybody is blocked, the clock tries again too. */
#include "souk/bus.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "souk/clock.h"
#include "souk/envelope.h"
#include "transport.h"

#define FRAMES_PER_FLUSH 256
#define FRAMES_PER_PEER 8
#define RETRY_US ((int64_t)5 * 1000)
#define POOL_QUEUES_MAX 64
#define POOL_QUEUE_BYTES ((size_t)256 * 1024)
#define EVICT_EVERY_US ((int64_t)1000 * 1000)
#define SILENT_US ((int64_t)SOUK_BUS_SILENT_S * 1000 * 1000)

typedef struct s_queue {
    souk_buf_t bytes;
    size_t left;      /* bytes at the front that have left */
    uint32_t *frames; /* sizes; together they cover the bytes behind `left` */
    size_t frames_first, frames_count, frames_capacity;
    struct s_queue *next; /* in the pool */
} s_queue_t;

typedef struct s_peer {
    bool known;
    int64_t heard_us;
    s_queue_t *queue;               /* NULL: nothing pending, and not in the ring */
    struct s_peer *previous, *next; /* the ring */
} s_peer_t;

struct souk_bus {
    souk_loop_t *loop;
    souk_bus_options_t options;
    souk_transport_t *transport;
    souk_timer_t *retry;
    s_peer_t *peers; /* by number */
    size_t peers_count;
    s_peer_t *first; /* of the ring of those with something pending; NULL: none */
    size_t pending_count;
    s_queue_t *pool;
    size_t pool_count;
    /* between begin and commit */
    bool building;
    s_peer_t *target; /* NULL: the envelope goes nowhere */
    souk_err_t nowhere;
    size_t start;
    souk_buf_t sink;
    int64_t evicted_us;
    bool closing;
    souk_bus_stats_t stats;
};

/* ---- Queues ------------------------------------------------------------------------------------
 */

static void s_queue_destroy(s_queue_t *self) {
    souk_buf_done(&self->bytes);
    free(self->frames);
    free(self);
}

static s_queue_t *s_queue_borrow(souk_bus_t *bus) {
    s_queue_t *queue = bus->pool;
    if (queue != NULL) {
        bus->pool = queue->next;
        bus->pool_count--;
        return queue;
    }
    queue = calloc(1, sizeof(*queue));
    if (queue != NULL) {
        souk_buf_init(&queue->bytes, 0);
    }
    return queue;
}

static void s_queue_give_back(souk_bus_t *bus, s_queue_t *queue) {
    if (bus->pool_count == POOL_QUEUES_MAX) {
        s_queue_destroy(queue);
        return;
    }
    souk_buf_clear(&queue->bytes);
    souk_buf_shrink(&queue->bytes, POOL_QUEUE_BYTES);
    queue->left = 0;
    queue->frames_first = queue->frames_count = 0;
    queue->next = bus->pool;
    bus->pool = queue;
    bus->pool_count++;
}

/* Makes room for one more frame size. */
static bool s_queue_reserve_frame(s_queue_t *self) {
    if (self->frames_first + self->frames_count < self->frames_capacity) {
        return true;
    }
    if (self->frames_first > 0) {
        memmove(self->frames, self->frames + self->frames_first,
                self->frames_count * sizeof(*self->frames));
        self->frames_first = 0;
        return true;
    }
    size_t capacity = self->frames_capacity > 0 ? self->frames_capacity * 2 : 4;
    uint32_t *frames = realloc(self->frames, capacity * sizeof(*frames));
    if (frames == NULL) {
        return false;
    }
    self->frames = frames;
    self->frames_capacity = capacity;
    return true;
}

/* Puts the envelope that ends the bytes into the last frame, or into a new one. */
static bool s_queue_cut(s_queue_t *self, size_t envelope_bytes) {
    if (self->frames_count > 0) {
        uint32_t *last = &self->frames[self->frames_first + self->frames_count - 1];
        if (*last + envelope_bytes <= SOUK_FRAME_BYTES_MAX) {
            *last += (uint32_t)envelope_bytes;
            return true;
        }
    }
    if (!s_queue_reserve_frame(self)) {
        return false;
    }
    self->frames[self->frames_first + self->frames_count++] = (uint32_t)envelope_bytes;
    return true;
}

static souk_str_t s_queue_frame(const s_queue_t *self) {
    return (souk_str_t){.data = (const char *)self->bytes.data + self->left,
                        .size = self->frames[self->frames_first]};
}

/* The first frame has left. Bytes are moved only when at least half of them have, so each is moved
 * once at most. */
static void s_queue_shift(s_queue_t *self) {
    self->left += self->frames[self->frames_first];
    self->frames_first++;
    self->frames_count--;
    if (self->left >= self->bytes.size / 2) {
        souk_buf_consume(&self->bytes, self->left);
        self->left = 0;
    }
}

/* ---- The ring ----------------------------------------------------------------------------------
 */

static void s_ring_push(souk_bus_t *self, s_peer_t *peer) {
    if (self->first == NULL) {
        peer->previous = peer->next = peer;
        self->first = peer;
    } else {
        peer->next = self->first;
        peer->previous = self->first->previous;
        peer->previous->next = peer;
        peer->next->previous = peer;
    }
    self->pending_count++;
}

static void s_ring_remove(souk_bus_t *self, s_peer_t *peer) {
    peer->previous->next = peer->next;
    peer->next->previous = peer->previous;
    if (self->first == peer) {
        self->first = peer->next != peer ? peer->next : NULL;
    }
    peer->previous = peer->next = NULL;
    self->pending_count--;
}

static void s_drop_pending(souk_bus_t *self, s_peer_t *peer) {
    if (peer->queue != NULL) {
        s_ring_remove(self, peer);
        s_queue_give_back(self, peer->queue);
        peer->queue = NULL;
    }
}

/* ---- Peers -------------------------------------------------------------------------------------
 */

static souk_peer_t s_number(const souk_bus_t *self, const s_peer_t *peer) {
    return (souk_peer_t)(peer - self->peers);
}

void souk_bus_forget(souk_bus_t *self, souk_peer_t number) {
    souk_assert(number < self->peers_count && !self->building);
    s_peer_t *peer = &self->peers[number];
    s_drop_pending(self, peer);
    if (self->options.bind && peer->known) {
        peer->known = false;
        souk_transport_forget(self->transport, number);
    }
}

/* The number is kept from others until the owner has been told. */
static void s_gone(souk_bus_t *self, s_peer_t *peer) {
    souk_peer_t number = s_number(self, peer);
    s_drop_pending(self, peer);
    peer->known = false;
    if (!self->closing && self->options.on_gone != NULL) {
        self->options.on_gone(self->options.arg, number);
    }
    souk_transport_forget(self->transport, number);
}

/* No number was left for a new peer: frees those of peers that vanished without a word while nobody
 * sent to them. */
static void s_evict_silent(souk_bus_t *self) {
    int64_t now_us = souk_loop_now_us(self->loop);
    if (now_us - self->evicted_us < EVICT_EVERY_US) {
        return;
    }
    self->evicted_us = now_us;
    for (size_t i = 0; i < self->peers_count; i++) {
        if (self->peers[i].known && now_us - self->peers[i].heard_us > SILENT_US) {
            s_gone(self, &self->peers[i]);
        }
    }
}

/* ---- In ----------------------------------------------------------------------------------------
 */

static void s_take(souk_bus_t *self, souk_peer_t number, souk_str_t frame) {
    s_peer_t *peer = &self->peers[number];
    peer->known = true;
    peer->heard_us = souk_loop_now_us(self->loop);
    self->stats.frames_in++;
    self->stats.bytes_in += frame.size;
    self->options.on_frame(self->options.arg, number, frame);
}

static size_t s_drain(void *arg, size_t burst) {
    souk_bus_t *self = arg;
    size_t taken = 0;
    while (taken < burst) {
        souk_peer_t number;
        souk_str_t frame;
        souk_err_t err = souk_transport_recv(self->transport, &number, &frame);
        if (err == SOUK_ERR_RETRY) {
            break;
        }
        taken++;
        if (err == SOUK_OK) {
            s_take(self, number, frame);
        } else if (err == SOUK_ERR_OVERLOADED) {
            self->stats.peers_refused++;
            s_evict_silent(self);
        } else {
            self->stats.frames_malformed++;
        }
    }
    return taken;
}

/* ---- Out ---------------------------------------------------------------------------------------
 */

static souk_buf_t *s_begin_nowhere(souk_bus_t *self, souk_err_t why) {
    self->target = NULL;
    self->nowhere = why;
    souk_buf_clear(&self->sink);
    return &self->sink;
}

souk_buf_t *souk_bus_begin(souk_bus_t *self, souk_peer_t number) {
    souk_assert(number < self->peers_count && !self->building);
    self->building = true;
    s_peer_t *peer = &self->peers[number];
    if (!peer->known) {
        return s_begin_nowhere(self, SOUK_ERR_CLOSED);
    }
    if (peer->queue == NULL) {
        peer->queue = s_queue_borrow(self);
        if (peer->queue == NULL) {
            return s_begin_nowhere(self, SOUK_ERR_OVERLOADED);
        }
        s_ring_push(self, peer);
        souk_loop_mark_turn(self->loop, self);
    }
    self->target = peer;
    s_queue_t *queue = peer->queue;
    self->start = queue->bytes.size;
    size_t max = queue->left + self->options.pending_bytes_max;
    size_t envelope_max = self->start + self->options.frame_bytes_max;
    queue->bytes.max = max < envelope_max ? max : envelope_max;
    return &queue->bytes;
}

souk_err_t souk_bus_commit(souk_bus_t *self) {
    souk_assert(self->building);
    self->building = false;
    if (self->target == NULL) {
        return self->nowhere;
    }
    s_queue_t *queue = self->target->queue;
    size_t bytes = queue->bytes.size - self->start;
    souk_assert(queue->bytes.size >= self->start);
    bool fits = !queue->bytes.overflow && (bytes == 0 || s_queue_cut(queue, bytes));
    if (!fits) {
        queue->bytes.size = self->start;
        queue->bytes.overflow = false;
    }
    if (queue->frames_count == 0) {
        s_drop_pending(self, self->target);
    }
    return fits ? SOUK_OK : SOUK_ERR_OVERLOADED;
}

size_t souk_bus_pending_bytes(const souk_bus_t *self, souk_peer_t number) {
    souk_assert(number < self->peers_count);
    const s_queue_t *queue = self->peers[number].queue;
    return queue != NULL ? queue->bytes.size - queue->left : 0;
}

/* Sends a few frames of the first peer of the ring and moves it to the end, or out. Returns how
 * many frames left. */
static size_t s_flush_first(souk_bus_t *self, bool *blocked) {
    s_peer_t *peer = self->first;
    s_queue_t *queue = peer->queue;
    souk_err_t err = SOUK_OK;
    size_t sent = 0;
    while (sent < FRAMES_PER_PEER && queue->frames_count > 0) {
        souk_str_t frame = s_queue_frame(queue);
        err = souk_transport_send(self->transport, s_number(self, peer), frame);
        if (err != SOUK_OK) {
            break;
        }
        self->stats.frames_out++;
        self->stats.bytes_out += frame.size;
        s_queue_shift(queue);
        sent++;
    }
    if (err == SOUK_ERR_CLOSED) {
        s_gone(self, peer);
    } else if (queue->frames_count == 0) {
        s_drop_pending(self, peer);
    } else {
        self->first = peer->next;
        *blocked = *blocked || err == SOUK_ERR_RETRY;
    }
    return sent;
}

static size_t s_flush(void *arg) {
    souk_bus_t *self = arg;
    souk_assert(!self->building);
    size_t sent = 0;
    bool blocked = false;
    for (size_t i = self->pending_count; i > 0 && self->first != NULL && sent < FRAMES_PER_FLUSH;
         i--) {
        sent += s_flush_first(self, &blocked);
    }
    if (blocked) {
        if (self->options.bind) {
            souk_timer_set(self->retry, RETRY_US);
        }
        if (sent == 0 && souk_transport_ready(self->transport)) {
            souk_loop_mark_turn(self->loop, self);
        }
    }
    return sent;
}

static void s_on_retry(void *arg) {
    souk_bus_t *self = arg;
    souk_loop_mark_turn(self->loop, self);
}

/* ---- Life --------------------------------------------------------------------------------------
 */

static souk_err_t s_open(souk_bus_t *self) {
    self->peers_count = self->options.bind ? self->options.peers_max : 1;
    souk_assert(self->peers_count > 0);
    self->peers = calloc(self->peers_count, sizeof(*self->peers));
    self->retry = souk_timer_new(self->loop, s_on_retry, self);
    if (self->peers == NULL || self->retry == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    self->peers[0].known = !self->options.bind;
    SOUK_TRY(souk_transport_open(&self->options, &self->transport));
    souk_turn_t turn = {
        .fd = souk_transport_fd(self->transport), .drain = s_drain, .flush = s_flush, .arg = self};
    souk_err_t err = souk_loop_join(self->loop, &turn);
    if (err != SOUK_OK) {
        souk_transport_close(&self->transport, 0);
    }
    return err;
}

static void s_free(souk_bus_t *self) {
    for (size_t i = 0; self->peers != NULL && i < self->peers_count; i++) {
        s_drop_pending(self, &self->peers[i]);
    }
    while (self->pool != NULL) {
        s_queue_t *next = self->pool->next;
        s_queue_destroy(self->pool);
        self->pool = next;
    }
    souk_timer_destroy(&self->retry);
    souk_buf_done(&self->sink);
    free(self->peers);
    free(self);
}

souk_err_t souk_bus_open(souk_loop_t *loop, const souk_bus_options_t *options,
                         souk_bus_t **ret_self) {
    souk_assert(options->on_frame != NULL && options->frame_bytes_max > 0 &&
                options->frame_bytes_max <= UINT32_MAX && options->pending_bytes_max > 0);
    souk_bus_t *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    self->loop = loop;
    self->options = *options;
    souk_buf_init(&self->sink, options->frame_bytes_max);
    souk_err_t err = s_open(self);
    if (err != SOUK_OK) {
        int saved = errno;
        s_free(self);
        errno = saved;
        return err;
    }
    *ret_self = self;
    return SOUK_OK;
}

/* Waits for room until the time is over; returns what is left of it for the socket itself. */
static int s_flush_for(souk_bus_t *self, int linger_ms) {
    int64_t end_us = souk_clock_mono_us() + (int64_t)linger_ms * 1000;
    for (;;) {
        size_t sent = s_flush(self);
        int64_t left_us = end_us - souk_clock_mono_us();
        if (self->first == NULL || left_us <= 0) {
            return left_us > 0 ? (int)((left_us + 999) / 1000) : 0;
        }
        if (sent == 0) {
            struct pollfd room = {.fd = souk_transport_fd(self->transport), .events = POLLIN};
            poll(&room, 1, (int)(RETRY_US / 1000));
        }
    }
}

void souk_bus_close(souk_bus_t **self_p) {
    souk_bus_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    self->closing = true;
    int linger_ms = s_flush_for(self, self->options.linger_ms);
    souk_loop_leave(self->loop, self);
    souk_transport_close(&self->transport, linger_ms);
    s_free(self);
}

const char *souk_bus_endpoint(const souk_bus_t *self) {
    return souk_transport_endpoint(self->transport);
}

void souk_bus_stats(const souk_bus_t *self, souk_bus_stats_t *ret) {
    *ret = self->stats;
}
