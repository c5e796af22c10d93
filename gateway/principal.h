/* Who asks, as the map of docs/protocol.md, section 4. */
#ifndef SOUK_GATEWAY_PRINCIPAL_H
#define SOUK_GATEWAY_PRINCIPAL_H

#include "gateway/keys.h"
#include "souk/buf.h"

/* Each appends one map. */
void souk_principal_write_key(souk_buf_t *buf, const souk_key_t *key);
void souk_principal_write_guest(souk_buf_t *buf, souk_str_t subject);
/* roles: bits by index of souk_user_roles. The scopes are those of all roles, each once; "*" alone
 * when a role has it. */
void souk_principal_write_user(souk_buf_t *buf, souk_str_t subject, souk_str_t session,
                               uint32_t roles);
/* The most that souk_principal_write_user writes for ids of SOUK_ID_BYTES_MAX. */
size_t souk_principal_user_bytes_max(void);

/* Some role of those has the scope. */
bool souk_principal_roles_have(uint32_t roles, souk_str_t scope);

#endif
