/* A client's address: as text for the services, as bytes for limits. */
#ifndef SOUK_GATEWAY_ADDRESS_H
#define SOUK_GATEWAY_ADDRESS_H

#include <sys/socket.h>

#include "gateway/http1.h"
#include "souk/envelope.h"

typedef struct {
    /* What limits count by: IPv4, or the first half of IPv6 (one client commands at least a /64).
     */
    uint8_t network[8];
    uint8_t network_size, text_size; /* 0: unknown */
    char text[SOUK_ADDRESS_BYTES_MAX];
} souk_address_t;

static inline souk_str_t souk_address_network(const souk_address_t *self) {
    return (souk_str_t){(const char *)self->network, self->network_size};
}
/* data NULL when unknown. */
static inline souk_str_t souk_address_text(const souk_address_t *self) {
    return (souk_str_t){self->text_size > 0 ? self->text : NULL, self->text_size};
}

void souk_address_of_socket(const struct sockaddr_storage *socket, souk_address_t *ret);
/* An address as in X-Forwarded-For: IPv4 or IPv6, perhaps in brackets, perhaps with a port. False:
 * it is none. */
bool souk_address_of_text(souk_str_t text, souk_address_t *ret);
/* The hops-th address from the right in all X-Forwarded-For fields: what the outermost of so many
 * proxies saw. The first one when there are fewer. False: none, or not an address. */
bool souk_address_forwarded(const souk_http1_t *http1, const souk_buf_t *in, int64_t hops,
                            souk_address_t *ret);

#endif
