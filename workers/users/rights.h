/* What whoever acts may do by now. A token and a gateway's key set tell former rights for a while;
 * who has lost them must not use that while to get them back, so admins' methods ask here. */
#ifndef USERS_RIGHTS_H
#define USERS_RIGHTS_H

#include "users.h"

typedef struct {
    bool is_vouched;    /* a key of the gateways' file: this service knows nothing of it */
    souk_str_t scopes;  /* an API key's, joined by spaces; data NULL: a user acts */
    souk_str_t user_id; /* who acts, or whose key does; data NULL: nobody's */
    uint32_t roles;     /* of that user */
} users_rights_t;

/* The user, or the owner of the key, who acts; data NULL: nobody. */
SOUK_MUST_CHECK souk_err_t users_rights_owner(souk_ctx_t *ctx, souk_str_t *ret_user_id);
/* Inside souk_pg_write: neither the actor's rights nor those of another user (data NULL: none)
 * change until its end. Before rows of other tables are locked. */
SOUK_MUST_CHECK souk_err_t users_rights_hold(souk_ctx_t *ctx, souk_str_t other_id);
/* SOUK_ERR_UNAUTHENTICATED: session or key have ended, or their user is not active;
 * SOUK_ERR_FORBIDDEN: scope is not among the rights any more. In a write that changes anything:
 * after users_rights_hold or users_lock_with_admins. */
SOUK_MUST_CHECK souk_err_t users_rights(souk_ctx_t *ctx, const char *scope,
                                        users_rights_t *ret_rights);
/* The credentials say so, and the database still does. */
bool users_rights_have(souk_ctx_t *ctx, const users_rights_t *self, const char *scope);
/* Whoever acts can do all that these roles can. */
bool users_rights_govern(souk_ctx_t *ctx, const users_rights_t *self, uint32_t roles);

#endif
