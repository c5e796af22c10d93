#include <criterion/criterion.h>
#include <stdio.h>

#include "gateway/principal.h"
#include "gen/roles.h"
#include "souk/id.h"
#include "souk/mp.h"

static char s_text[2048];

/* A principal as readable text: strings, [lists]. */
static const char *s_say(const souk_buf_t *buf) {
    souk_mp_cursor_t cursor;
    souk_mp_token_t token;
    size_t size = 0;
    souk_mp_cursor_init(&cursor, buf->data, buf->size);
    while (!souk_mp_at_end(&cursor)) {
        cr_assert_eq(souk_mp_read(&cursor, &token), SOUK_OK);
        char *at = s_text + size;
        size_t room = sizeof(s_text) - size;
        if (token.kind == SOUK_MP_STR) {
            size +=
                (size_t)snprintf(at, room, "%.*s ", (int)token.as.bytes.size, token.as.bytes.data);
        } else {
            size += (size_t)snprintf(at, room, "%s%u ", token.kind == SOUK_MP_MAP ? "map" : "list",
                                     token.as.count);
        }
    }
    return s_text;
}

static const char *s_user(uint32_t roles) {
    souk_buf_t buf;
    souk_buf_init(&buf, souk_principal_user_bytes_max());
    souk_principal_write_user(&buf, SOUK_STR("usr_1"), SOUK_STR("ses_1"), roles);
    cr_assert_not(buf.overflow);
    const char *said = s_say(&buf);
    souk_buf_done(&buf);
    return said;
}

Test(principal, of_users) {
    cr_assert_str_eq(s_user(0), "map5 sub usr_1 kind user scopes list0 roles list0 sid ses_1 ");
    cr_assert_str_eq(s_user(1u << SOUK_USER_ROLE_CUSTOMER),
                     "map5 sub usr_1 kind user scopes list0 roles list1 customer sid ses_1 ");
    cr_assert_str_eq(s_user(1u << SOUK_USER_ROLE_CUSTOMER | 1u << SOUK_USER_ROLE_ADMIN),
                     "map5 sub usr_1 kind user scopes list1 * roles list2 customer admin "
                     "sid ses_1 ");
    const char *staff = s_user(1u << SOUK_USER_ROLE_STAFF);
    cr_assert_not_null(strstr(staff, " orders:write "));
    cr_assert_null(strstr(staff, "users:write"));
    cr_assert_null(strstr(staff, "*"));
}

Test(principal, all_that_one_can_have_fits) {
    souk_buf_t buf;
    char id[SOUK_ID_BYTES_MAX];
    memset(id, 'a', sizeof(id));
    for (uint32_t roles = 0; roles < 1u << souk_user_roles_count; roles++) {
        souk_buf_init(&buf, souk_principal_user_bytes_max());
        souk_principal_write_user(&buf, (souk_str_t){id, sizeof(id)}, (souk_str_t){id, sizeof(id)},
                                  roles);
        cr_assert_not(buf.overflow);
        souk_buf_done(&buf);
    }
}

Test(principal, of_guests_and_keys) {
    souk_buf_t buf;
    souk_buf_init(&buf, 1024);
    souk_principal_write_guest(&buf, SOUK_STR("gst_1"));
    cr_assert_str_eq(s_say(&buf), "map3 sub gst_1 kind guest scopes list0 ");
    souk_buf_clear(&buf);
    const souk_str_t scopes[] = {SOUK_STR("*")};
    const souk_key_t key = {.subject = SOUK_STR("usr_9"), .scopes = scopes, .scopes_count = 1};
    souk_principal_write_key(&buf, &key);
    cr_assert_str_eq(s_say(&buf), "map3 sub usr_9 kind api_key scopes list1 * ");
    souk_buf_done(&buf);
}

Test(principal, roles_give_scopes) {
    cr_assert(souk_principal_roles_have(1u << SOUK_USER_ROLE_ADMIN, SOUK_STR("keys:write")));
    cr_assert(souk_principal_roles_have(1u << SOUK_USER_ROLE_STAFF, SOUK_STR("stock:read")));
    cr_assert_not(souk_principal_roles_have(1u << SOUK_USER_ROLE_STAFF, SOUK_STR("keys:write")));
    cr_assert_not(souk_principal_roles_have(1u << SOUK_USER_ROLE_CUSTOMER, SOUK_STR("stock:read")));
    cr_assert_not(souk_principal_roles_have(0, SOUK_STR("stock:read")));
}
