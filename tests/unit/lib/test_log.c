#include "souk/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

static int ends[2];

static void setup(void) {
    cr_assert_eq(pipe(ends), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    souk_log_init("test", SOUK_LOG_INFO, ends[1]);
}

static void teardown(void) {
    close(ends[0]);
    close(ends[1]);
}

TestSuite(log, .init = setup, .fini = teardown);

/* The one line that was written, checked to be one JSON object; NULL when there was none. */
static json_t *line(void) {
    static char text[8192];
    ssize_t size = read(ends[0], text, sizeof(text) - 1);
    if (size <= 0) {
        return NULL;
    }
    text[size] = '\0';
    cr_assert_eq(strchr(text, '\n') - text, size - 1, "one line: %s", text);
    json_error_t error;
    json_t *object = json_loads(text, 0, &error);
    cr_assert_not_null(object, "%s in %s", error.text, text);
    return object;
}

static const char *str(json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

Test(log, a_line_has_the_common_fields_and_its_own) {
    souk_log(SOUK_LOG_WARN, "T-EVENT", SOUK_F_TEXT("who", "me"), SOUK_F_INT("n", -5),
             SOUK_F_BOOL("yes", true));
    json_t *got = line();
    cr_assert_str_eq(str(got, "level"), "warn");
    cr_assert_str_eq(str(got, "event"), "T-EVENT");
    cr_assert_str_eq(str(got, "process"), "test");
    cr_assert_str_eq(str(got, "who"), "me");
    cr_assert_eq(json_integer_value(json_object_get(got, "n")), -5);
    cr_assert(json_is_true(json_object_get(got, "yes")));
    const char *ts = str(got, "ts");
    cr_assert_eq(ts[strlen(ts) - 1], 'Z');
    json_decref(got);
}

Test(log, below_the_level_nothing_is_written) {
    souk_log(SOUK_LOG_DEBUG, "T-EVENT", SOUK_F_INT("n", 1));
    cr_assert_null(line());
}

Test(log, text_is_escaped_and_bad_utf8_replaced) {
    souk_str_t bad =
        SOUK_STR("a\"\\\n\x01 \xC3\xA9 \xFF \xC0\xAF \xED\xA0\x80 \xF0\x9F\x98\x80 \xE2\x82");
    souk_log(SOUK_LOG_INFO, "T-EVENT", SOUK_F_STR("t", bad));
    json_t *got = line();
    const char *r = "\xEF\xBF\xBD";
    char want[128];
    snprintf(want, sizeof(want), "a\"\\\n\x01 \xC3\xA9 %s %s%s %s%s%s \xF0\x9F\x98\x80 %s%s", r, r,
             r, r, r, r, r, r);
    cr_assert_str_eq(str(got, "t"), want);
    json_decref(got);
}

Test(log, a_field_that_does_not_fit_is_left_out_and_said) {
    static char big[5000];
    memset(big, 'x', sizeof(big) - 1);
    souk_log(SOUK_LOG_INFO, "T-EVENT", SOUK_F_TEXT("big", big), SOUK_F_INT("after", 7));
    json_t *got = line();
    cr_assert_null(json_object_get(got, "big"));
    cr_assert_eq(json_integer_value(json_object_get(got, "after")), 7);
    cr_assert(json_is_true(json_object_get(got, "truncated")));
    json_decref(got);
}

Test(log, many_fields_never_pass_four_kilobytes) {
    static char text[900];
    memset(text, '\x02', sizeof(text) - 1);
    souk_log(SOUK_LOG_INFO, "T-EVENT", SOUK_F_TEXT("a", text), SOUK_F_TEXT("b", "short"),
             SOUK_F_TEXT("c", text));
    json_t *got = line();
    cr_assert_str_eq(str(got, "b"), "short");
    json_decref(got);
}
