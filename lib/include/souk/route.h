/* The generated table of HTTP routes (gen/routes.h): all that the gateway knows of services. */
#ifndef SOUK_ROUTE_H
#define SOUK_ROUTE_H

#include "souk/base.h"
#include "souk/envelope.h"
#include "souk/schema.h"

/* What a method says of the Idempotency-Key header. */
typedef enum { SOUK_KEY_NONE, SOUK_KEY_OPTIONAL, SOUK_KEY_REQUIRED } souk_key_rule_t;

typedef struct {
    const char *verb, *path; /* GET and so on; "/v1/products/{key}" */
    const char *service, *method;
    const souk_type_t *request;
    const char *scope;      /* NULL: no authentication */
    const char *etag_field; /* top-level reply field; NULL: none */
    const char
        *location; /* template with top-level reply fields, "/v1/products/{id}"; NULL: none */
    const char
        *next_field; /* reply field with the next page's cursor, dotted ("page.next"); NULL: none */
    uint32_t timeout_ms, request_bytes_max, reply_bytes_max, memory_bytes_max;
    uint16_t status;  /* of success */
    uint8_t class_;   /* souk_class_t */
    uint8_t key_rule; /* souk_key_rule_t */
    uint8_t priority; /* souk_priority_t */
    bool has_body;    /* some request field comes from the body */
} souk_route_t;

#endif
