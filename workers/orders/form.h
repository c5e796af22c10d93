/* One form for what clients write: equal things are equal bytes. */
#ifndef ORDERS_FORM_H
#define ORDERS_FORM_H

#include "gen/types.h"

typedef struct {
    const char *field, *reason; /* static texts */
} orders_form_issue_t;

/* Each text as a line in NFC without spaces at its ends (souk/text.h); the country and the phone
 * are checked. Texts are in the arena then. SOUK_ERR_VALIDATION: *ret_issue says of which field. */
SOUK_MUST_CHECK souk_err_t orders_form_address(souk_arena_t *arena, souk_address_t *address,
                                               orders_form_issue_t *ret_issue);

/* A discount code in capitals (a-z only: codes are ASCII), in the arena. */
SOUK_MUST_CHECK souk_err_t orders_form_code(souk_arena_t *arena, souk_str_t code,
                                            souk_str_t *ret_code);

#endif
