/* Roles of users and what they may do: the table of schemas/roles.yaml. */
#ifndef SOUK_ROLES_H
#define SOUK_ROLES_H

#include "souk/base.h"

typedef struct {
    const char *name;
    const char *const *scopes; /* "*" stands for all */
    size_t scopes_count;
} souk_user_role_t;

/* Generated; gen/roles.h has the indexes as constants. */
extern const souk_user_role_t souk_user_roles[];
extern const size_t souk_user_roles_count;
/* Every scope that there is. */
extern const char *const souk_scopes[];
extern const size_t souk_scopes_count;

/* Its index in souk_user_roles; souk_user_roles_count: there is none of that name. */
size_t souk_user_role_of(souk_str_t name);
bool souk_user_role_has_scope(const souk_user_role_t *self, souk_str_t scope);
bool souk_scope_exists(souk_str_t scope);

#endif
