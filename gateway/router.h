/* Finds the route of a request: a trie over path segments, built once from the generated table and
 * the gateway's own resources, read by all threads. */
#ifndef SOUK_GATEWAY_ROUTER_H
#define SOUK_GATEWAY_ROUTER_H

#include "gateway/http1.h"
#include "souk/route.h"

#define SOUK_ROUTER_PARAMS_MAX 8

typedef struct souk_router souk_router_t;

/* What a path and method lead to: one of route and local is set. Both are borrowed and outlive the
 * router. */
typedef struct {
    const char *verb, *path;
    const souk_route_t *route; /* a method of a service */
    const void *local;         /* something that the gateway answers itself */
    size_t number;             /* dense, from 0, in the order of adding */
    size_t params_count;
    souk_str_t params[SOUK_ROUTER_PARAMS_MAX]; /* names of the template's parameters, in order */
} souk_router_entry_t;

typedef struct {
    const souk_router_entry_t *entry; /* NULL: the path exists, the method does not */
    const char *allow;                /* value of Allow */
    souk_str_t
        values[SOUK_ROUTER_PARAMS_MAX]; /* borrowed from the request, still percent-encoded */
} souk_router_match_t;

souk_router_t *souk_router_new(void);
void souk_router_destroy(souk_router_t **self_p);

/* Asserts that the template is sound and that (verb, path) is new: the tables are the program's
 * own. One of route and local is NULL. */
void souk_router_add(souk_router_t *self, const char *verb, const char *path,
                     const souk_route_t *route, const void *local);
size_t souk_router_count(const souk_router_t *self);
const souk_router_entry_t *souk_router_entry(const souk_router_t *self, size_t number);

/* False: no such path. Static segments win over parameters; a parameter never takes an empty
 * segment. HEAD finds GET. A malformed percent code matches nothing but a parameter
 * (souk_http_decode then refuses it). */
bool souk_router_match(const souk_router_t *self, souk_http_method_t method, souk_str_t path,
                       souk_router_match_t *ret_match);

/* Percent-decodes text into out, which has room for text.size bytes; plus also turns '+' into a
 * space (queries). False: a malformed code, or one for a control character. */
bool souk_http_decode(souk_str_t text, bool plus, char *out, size_t *ret_size);

#endif
