#include "gateway/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static void s_set_text(int family, const void *bytes, souk_address_t *ret) {
    char text[INET6_ADDRSTRLEN];
    if (inet_ntop(family, bytes, text, sizeof(text)) != NULL) {
        ret->text_size = (uint8_t)strlen(text);
        memcpy(ret->text, text, ret->text_size);
    }
}

static void s_set4(const struct in_addr *address, souk_address_t *ret) {
    *ret = (souk_address_t){.network_size = sizeof(*address)};
    memcpy(ret->network, address, sizeof(*address));
    s_set_text(AF_INET, address, ret);
}

static void s_set6(const struct in6_addr *address, souk_address_t *ret) {
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        struct in_addr in4;
        memcpy(&in4, (const uint8_t *)address + 12, sizeof(in4));
        s_set4(&in4, ret);
        return;
    }
    *ret = (souk_address_t){.network_size = sizeof(ret->network)};
    memcpy(ret->network, address, sizeof(ret->network));
    s_set_text(AF_INET6, address, ret);
}

void souk_address_of_socket(const struct sockaddr_storage *socket, souk_address_t *ret) {
    *ret = (souk_address_t){.network_size = 0};
    if (socket->ss_family == AF_INET) {
        s_set4(&((const struct sockaddr_in *)(const void *)socket)->sin_addr, ret);
    } else if (socket->ss_family == AF_INET6) {
        s_set6(&((const struct sockaddr_in6 *)(const void *)socket)->sin6_addr, ret);
    }
}

/* Takes a port off, and brackets: a colon alone is one before a port, several are IPv6. */
static souk_str_t s_host(souk_str_t text) {
    const char *colon = text.size > 0 ? memchr(text.data, ':', text.size) : NULL;
    if (text.size > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.size);
        return (souk_str_t){text.data + 1, end != NULL ? (size_t)(end - text.data) - 1 : 0};
    }
    if (colon == NULL) {
        return text;
    }
    size_t before = (size_t)(colon - text.data);
    bool several = memchr(colon + 1, ':', text.size - before - 1) != NULL;
    return several ? text : (souk_str_t){text.data, before};
}

bool souk_address_of_text(souk_str_t text, souk_address_t *ret) {
    char host[INET6_ADDRSTRLEN];
    struct in_addr in4;
    struct in6_addr in6;
    text = s_host(text);
    if (text.size == 0 || text.size >= sizeof(host) || memchr(text.data, '\0', text.size) != NULL) {
        return false;
    }
    memcpy(host, text.data, text.size);
    host[text.size] = '\0';
    if (inet_pton(AF_INET, host, &in4) == 1) {
        s_set4(&in4, ret);
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6) == 1) {
        s_set6(&in6, ret);
        return true;
    }
    return false;
}

static souk_str_t s_trim(souk_str_t text) {
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

/* Takes the last of a list off. */
static souk_str_t s_take_last(souk_str_t *list) {
    const char *comma = memrchr(list->data, ',', list->size);
    size_t before = comma != NULL ? (size_t)(comma - list->data) : 0;
    size_t skip = comma != NULL ? before + 1 : 0;
    souk_str_t last = {list->data + skip, list->size - skip};
    list->size = before;
    return s_trim(last);
}

bool souk_address_forwarded(const souk_http1_t *http1, const souk_buf_t *in, int64_t hops,
                            souk_address_t *ret) {
    souk_str_t found = {.data = NULL, .size = 0};
    for (size_t i = http1->headers_count; i > 0 && hops > 0; i--) {
        souk_str_t list = souk_http1_value(http1, in, i - 1);
        if (!souk_http_equal_nocase(souk_http1_name(http1, in, i - 1),
                                    SOUK_STR("X-Forwarded-For"))) {
            continue;
        }
        while (list.size > 0 && hops > 0) {
            found = s_take_last(&list);
            hops--;
        }
    }
    return found.data != NULL && souk_address_of_text(found, ret);
}
