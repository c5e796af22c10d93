#include "souk/roles.h"

size_t souk_user_role_of(souk_str_t name) {
    size_t at = 0;
    while (at < souk_user_roles_count &&
           !souk_str_equal(souk_str_of(souk_user_roles[at].name), name)) {
        at++;
    }
    return at;
}

bool souk_user_role_has_scope(const souk_user_role_t *self, souk_str_t scope) {
    for (size_t i = 0; i < self->scopes_count; i++) {
        souk_str_t has = souk_str_of(self->scopes[i]);
        if (souk_str_equal(has, scope) || souk_str_equal(has, SOUK_STR("*"))) {
            return true;
        }
    }
    return false;
}

bool souk_scope_exists(souk_str_t scope) {
    for (size_t i = 0; i < souk_scopes_count; i++) {
        if (souk_str_equal(souk_str_of(souk_scopes[i]), scope)) {
            return true;
        }
    }
    return false;
}
