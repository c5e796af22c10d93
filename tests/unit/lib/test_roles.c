#include <criterion/criterion.h>

#include "gen/roles.h"

Test(roles, are_found_by_name) {
    cr_assert_eq(souk_user_role_of(SOUK_STR("customer")), SOUK_USER_ROLE_CUSTOMER);
    cr_assert_eq(souk_user_role_of(SOUK_STR("admin")), SOUK_USER_ROLE_ADMIN);
    cr_assert_eq(souk_user_role_of(SOUK_STR("Admin")), souk_user_roles_count);
    cr_assert_eq(souk_user_role_of(SOUK_STR("")), souk_user_roles_count);
}

Test(roles, customers_have_no_scope_and_admins_all) {
    for (size_t i = 0; i < souk_scopes_count; i++) {
        souk_str_t scope = souk_str_of(souk_scopes[i]);
        cr_assert(souk_scope_exists(scope));
        cr_assert_not(souk_user_role_has_scope(&souk_user_roles[SOUK_USER_ROLE_CUSTOMER], scope));
        cr_assert(souk_user_role_has_scope(&souk_user_roles[SOUK_USER_ROLE_ADMIN], scope));
    }
    cr_assert_not(souk_scope_exists(SOUK_STR("*")));
    cr_assert_not(souk_scope_exists(SOUK_STR("")));
}

Test(roles, staff_run_the_shop_but_do_not_give_rights) {
    const souk_user_role_t *staff = &souk_user_roles[SOUK_USER_ROLE_STAFF];
    cr_assert(souk_user_role_has_scope(staff, SOUK_STR("orders:write")));
    cr_assert_not(souk_user_role_has_scope(staff, SOUK_STR("users:write")));
    cr_assert_not(souk_user_role_has_scope(staff, SOUK_STR("keys:write")));
    cr_assert_not(souk_user_role_has_scope(staff, SOUK_STR("orders:writ")));
}
