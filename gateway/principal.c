#include "gateway/principal.h"

#include "souk/id.h"
#include "souk/mp.h"
#include "souk/roles.h"

static void s_begin(souk_buf_t *buf, uint32_t fields, souk_str_t subject, souk_str_t kind) {
    souk_mp_write_map(buf, fields);
    souk_mp_write_str(buf, SOUK_STR("sub"));
    souk_mp_write_str(buf, subject);
    souk_mp_write_str(buf, SOUK_STR("kind"));
    souk_mp_write_str(buf, kind);
    souk_mp_write_str(buf, SOUK_STR("scopes"));
}

void souk_principal_write_key(souk_buf_t *buf, const souk_key_t *key) {
    s_begin(buf, 3, key->subject, SOUK_STR("api_key"));
    souk_mp_write_array(buf, (uint32_t)key->scopes_count);
    for (size_t i = 0; i < key->scopes_count; i++) {
        souk_mp_write_str(buf, key->scopes[i]);
    }
}

void souk_principal_write_guest(souk_buf_t *buf, souk_str_t subject) {
    s_begin(buf, 3, subject, SOUK_STR("guest"));
    souk_mp_write_array(buf, 0);
}

bool souk_principal_roles_have(uint32_t roles, souk_str_t scope) {
    for (size_t i = 0; i < souk_user_roles_count; i++) {
        if ((roles >> i & 1) != 0 && souk_user_role_has_scope(&souk_user_roles[i], scope)) {
            return true;
        }
    }
    return false;
}

static void s_scopes(souk_buf_t *buf, uint32_t roles) {
    uint32_t count = 0;
    if (souk_principal_roles_have(roles, SOUK_STR("*"))) {
        souk_mp_write_array(buf, 1);
        souk_mp_write_str(buf, SOUK_STR("*"));
        return;
    }
    for (size_t i = 0; i < souk_scopes_count; i++) {
        count += souk_principal_roles_have(roles, souk_str_of(souk_scopes[i])) ? 1 : 0;
    }
    souk_mp_write_array(buf, count);
    for (size_t i = 0; i < souk_scopes_count; i++) {
        if (souk_principal_roles_have(roles, souk_str_of(souk_scopes[i]))) {
            souk_mp_write_str(buf, souk_str_of(souk_scopes[i]));
        }
    }
}

void souk_principal_write_user(souk_buf_t *buf, souk_str_t subject, souk_str_t session,
                               uint32_t roles) {
    uint32_t count = 0;
    s_begin(buf, 5, subject, SOUK_STR("user"));
    s_scopes(buf, roles);
    souk_mp_write_str(buf, SOUK_STR("roles"));
    for (size_t i = 0; i < souk_user_roles_count; i++) {
        count += roles >> i & 1;
    }
    souk_mp_write_array(buf, count);
    for (size_t i = 0; i < souk_user_roles_count; i++) {
        if ((roles >> i & 1) != 0) {
            souk_mp_write_str(buf, souk_str_of(souk_user_roles[i].name));
        }
    }
    souk_mp_write_str(buf, SOUK_STR("sid"));
    souk_mp_write_str(buf, session);
}

size_t souk_principal_user_bytes_max(void) {
    size_t bytes = 64 + 2 * (size_t)(2 + SOUK_ID_BYTES_MAX); /* names, heads, two ids */
    for (size_t i = 0; i < souk_scopes_count; i++) {
        bytes += 2 + strlen(souk_scopes[i]);
    }
    for (size_t i = 0; i < souk_user_roles_count; i++) {
        bytes += 2 + strlen(souk_user_roles[i].name);
    }
    return bytes;
}
