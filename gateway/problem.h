/* Error answers: application/problem+json (RFC 9457) with `code`, `request_id`, `trace_id` and
 * `errors`. */
#ifndef SOUK_GATEWAY_PROBLEM_H
#define SOUK_GATEWAY_PROBLEM_H

#include "gateway/exchange.h"
#include "souk/envelope.h"
#include "souk/schema.h"

typedef struct {
    souk_err_t err;
    const char *detail;          /* static text; NULL: none */
    const souk_issues_t *issues; /* bad fields of the request; NULL: none */
    const char *allow;           /* value of Allow; NULL: none */
    const char *challenge;       /* value of WWW-Authenticate; NULL: none, or what every 401 has */
} souk_problem_t;

/* An error of the gateway's own. What is not public becomes `internal`, without detail. */
void souk_problem_answer(souk_exchange_t *exchange, const souk_problem_t *problem);
/* An error that the bus or a worker gave. Its texts are passed on only for public errors. */
void souk_problem_answer_fault(souk_exchange_t *exchange, const souk_fault_t *fault);

#endif
