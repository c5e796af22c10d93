/* The generated tables of errors. */
#include <criterion/criterion.h>

#include "souk/err.h"

Test(err, is_found_by_its_code) {
    cr_assert_eq(souk_err_of_code("not_found", 9), SOUK_ERR_NOT_FOUND);
    cr_assert_eq(souk_err_of_code("not_foundx", 10), SOUK_OK);
    cr_assert_eq(souk_err_of_code("", 0), SOUK_OK);
}

Test(err, is_found_by_a_constraint_that_its_row_lists) {
    cr_assert_eq(souk_err_of_constraint("outbox_aggregate_sequence"), SOUK_ERR_RETRY);
    cr_assert_eq(souk_err_of_constraint("outbox_aggregate_sequencf"), SOUK_OK);
    cr_assert_eq(souk_err_of_constraint("zzz"), SOUK_OK);
    cr_assert_eq(souk_err_of_constraint(""), SOUK_OK);
}
