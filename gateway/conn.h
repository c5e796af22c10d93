/* A client's connection: reads requests, keeps their order, writes answers. */
#ifndef SOUK_GATEWAY_CONN_H
#define SOUK_GATEWAY_CONN_H

#include <event2/event_struct.h>
#include <sys/socket.h>

#include "gateway/address.h"
#include "gateway/exchange.h"
#include "gateway/http1.h"

/* What a connection waits for. Each state has one limit of time, so the connections of a state
 * stand in a list by the time they entered it, and only the first ones need to be looked at. */
typedef enum {
    SOUK_CONN_IDLE,   /* the first byte of a request */
    SOUK_CONN_HEAD,   /* the rest of a head */
    SOUK_CONN_BODY,   /* the rest of a body */
    SOUK_CONN_BUSY,   /* our own answers: no limit here, calls have deadlines */
    SOUK_CONN_FULL,   /* the same, with as many requests in progress as it may have: nothing is read
                       */
    SOUK_CONN_WRITE,  /* room in the socket: counted from the last byte that went */
    SOUK_CONN_LINGER, /* the client's end of the connection, after ours */
    SOUK_CONN_STATES_COUNT,
    SOUK_CONN_ENDED = SOUK_CONN_STATES_COUNT, /* closed, to be freed at the end of the turn */
} souk_conn_state_t;

struct souk_conn {
    souk_server_t *server;
    int fd;
    souk_conn_state_t state;
    souk_conn_t *list_prev, *list_next; /* of the state's list */
    int64_t since_us;                   /* when it entered the state */
    souk_conn_t *dirty_next;
    bool dirty;
    bool read_set, write_set; /* events */
    bool writing;             /* the socket is full */
    bool skipping;    /* the rest of a request that was answered by its head is read and dropped */
    bool input_over;  /* no more requests are taken: the client has ended, failed or was told to
                         close */
    bool input_ended; /* the client has shut its sending side */
    bool closing;     /* the connection ends when the answers are out */
    uint16_t exchanges_count;
    souk_exchange_t *first, *last; /* requests in progress, oldest first */
    souk_exchange_t *receiving;    /* the one whose body still comes */
    size_t sent_bytes;             /* of the oldest answer */
    struct event read_event, write_event;
    souk_address_t address; /* of the other end: a client, or the last proxy */
    bool counted;           /* among those of its address */
    souk_buf_t in;
    souk_http1_t http1;
};

typedef struct {
    souk_conn_t *first, *last;
    size_t count;
} souk_conn_list_t;

/* Takes over an accepted descriptor. NULL when it could not be set up; the descriptor is closed
 * then. */
souk_conn_t *souk_conn_new(souk_server_t *server, int fd, const struct sockaddr_storage *address);

/* Something is ready to be sent: it goes at the end of the turn. */
void souk_conn_mark(souk_conn_t *self);
/* Sends what is ready, takes up what waited for room, and settles the state. Run at the end of the
 * turn. */
void souk_conn_flush(souk_conn_t *self);
/* FULL: looks whether the client has gone, which no read tells while nothing is read. */
void souk_conn_probe(souk_conn_t *self);
/* The state's time is over. */
void souk_conn_expire(souk_conn_t *self);
/* Ends it at once; outstanding calls are cancelled. The memory stays until souk_conn_free. */
void souk_conn_end(souk_conn_t *self);
void souk_conn_free(souk_conn_t *self);

#endif
