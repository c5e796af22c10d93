/* One form for what clients write: equal things are equal bytes. */
#ifndef ORDERS_FORM_H
#define ORDERS_FORM_H

#include "gen/types.h"

/* Of an address: each of its texts, the country and the phone. */
#define ORDERS_FORM_ISSUES_MAX 9

typedef struct {
    size_t count;
    struct {
        const char *field, *reason; /* static texts */
    } items[ORDERS_FORM_ISSUES_MAX];
} orders_form_issues_t;

/* Each text as a line in NFC without spaces at its ends (souk/text.h); the country and the phone
 * are checked. Texts are in the arena then. SOUK_ERR_VALIDATION: *ret_issues says what is wrong. */
SOUK_MUST_CHECK souk_err_t orders_form_address(souk_arena_t *arena, souk_address_t *address,
                                               orders_form_issues_t *ret_issues);

/* A discount code in capitals (a-z only: codes are ASCII), in the arena. */
SOUK_MUST_CHECK souk_err_t orders_form_code(souk_arena_t *arena, souk_str_t code,
                                            souk_str_t *ret_code);

#endif
