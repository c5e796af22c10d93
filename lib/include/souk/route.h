/* The generated table of HTTP routes (gen/routes.h): all that the gateway knows of services. */
#ifndef SOUK_ROUTE_H
#define SOUK_ROUTE_H

#include "souk/base.h"
#include "souk/envelope.h"
#include "souk/schema.h"

/* What a method says of the Idempotency-Key header. */
typedef enum { SOUK_KEY_NONE, SOUK_KEY_OPTIONAL, SOUK_KEY_REQUIRED } souk_key_rule_t;

/* Who may call a method: docs/protocol.md, section 4. */
typedef enum {
    SOUK_AUTH_NONE,     /* anybody: credentials are not looked at */
    SOUK_AUTH_OPTIONAL, /* anybody: credentials are taken when they are sent */
    SOUK_AUTH_GUEST,    /* a guest or a user */
    SOUK_AUTH_USER,     /* a user */
    SOUK_AUTH_SCOPE,    /* an API key with the scope, or a user with a role that has it */
} souk_auth_rule_t;

typedef struct {
    const char *verb, *path; /* GET and so on; "/v1/products/{key}" */
    const char *service, *method;
    const souk_type_t *request;
    const char *scope;           /* of SOUK_AUTH_SCOPE, else NULL */
    const char *etag_field;      /* top-level reply field; NULL: none */
    const char *etag_more_field; /* another, joined to it by '-' when it is there; NULL: none */
    const char
        *location; /* template with top-level reply fields, "/v1/products/{id}"; NULL: none */
    const char
        *next_field; /* reply field with the next page's cursor, dotted ("page.next"); NULL: none */
    uint32_t timeout_ms, request_bytes_max, reply_bytes_max, memory_bytes_max;
    uint16_t status;  /* of success */
    uint8_t auth;     /* souk_auth_rule_t */
    uint8_t class_;   /* souk_class_t */
    uint8_t key_rule; /* souk_key_rule_t */
    uint8_t priority; /* souk_priority_t */
    bool has_body;    /* some request field comes from the body */
} souk_route_t;

/* The method that tells the gateway public keys and the hashes of API keys: schemas/README.md. */
typedef struct {
    const char *service, *method; /* NULL: the schemas have none */
    uint32_t timeout_ms;
    uint8_t priority; /* souk_priority_t */
} souk_auth_source_t;

#endif
