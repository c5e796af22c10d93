#include "souk/config.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

typedef struct {
    const char *name;
    int64_t port;
    bool verbose;
    int32_t level;
    const char *secret;
} settings_t;

static const char *const levels[] = {"low", "high"};
static const souk_config_row_t rows[] = {
    {.env = "T_NAME",
     .flag = "--name",
     .kind = SOUK_CONFIG_STR,
     .default_text = "anna",
     .min = 1,
     .max = 8,
     .offset = offsetof(settings_t, name),
     .description = "A name."},
    {.env = "T_PORT",
     .flag = "--port",
     .kind = SOUK_CONFIG_INT,
     .default_text = "80",
     .min = -1,
     .max = 100,
     .offset = offsetof(settings_t, port),
     .description = "A port."},
    {.env = "T_VERBOSE",
     .flag = "--verbose",
     .kind = SOUK_CONFIG_BOOL,
     .default_text = "false",
     .offset = offsetof(settings_t, verbose),
     .description = "Talks."},
    {.env = "T_LEVEL",
     .flag = "--level",
     .kind = SOUK_CONFIG_ENUM,
     .default_text = "low",
     .enum_names = levels,
     .enum_count = 2,
     .offset = offsetof(settings_t, level),
     .description = "A level."},
    {.env = "T_SECRET",
     .kind = SOUK_CONFIG_STR,
     .default_text = "s3",
     .min = 0,
     .max = 100,
     .secret = true,
     .offset = offsetof(settings_t, secret),
     .description = "A secret."},
};
#define ROWS rows, SOUK_COUNT_OF(rows)

static settings_t settings;
static souk_buf_t message;

static void setup(void) {
    souk_buf_init(&message, 1 << 16);
}

static void teardown(void) {
    souk_config_done(ROWS, &settings);
    souk_buf_done(&message);
}

TestSuite(config, .init = setup, .fini = teardown);

static souk_err_t load(char **argv) {
    int argc = 0;
    while (argv[argc] != NULL) {
        argc++;
    }
    return souk_config_load(ROWS, argc, argv, &settings, &message);
}

static bool said(const char *part) {
    return memmem(message.data, message.size, part, strlen(part)) != NULL;
}

Test(config, defaults_fill_the_struct) {
    cr_assert(load((char *[]){"x", NULL}) == SOUK_OK);
    cr_assert_str_eq(settings.name, "anna");
    cr_assert_eq(settings.port, 80);
    cr_assert_not(settings.verbose);
    cr_assert_eq(settings.level, 0);
}

Test(config, environment_wins_over_default_and_flag_over_environment) {
    setenv("T_NAME", "bert", 1);
    setenv("T_PORT", "7", 1);
    cr_assert(load((char *[]){"x", "--port=9", "--verbose", "true", NULL}) == SOUK_OK);
    cr_assert_str_eq(settings.name, "bert");
    cr_assert_eq(settings.port, 9);
    cr_assert(settings.verbose);
}

Test(config, an_empty_environment_variable_is_not_set) {
    setenv("T_PORT", "", 1);
    cr_assert(load((char *[]){"x", NULL}) == SOUK_OK);
    cr_assert_eq(settings.port, 80);
}

Test(config, a_flag_with_a_value_that_looks_like_a_flag_takes_it) {
    cr_assert(load((char *[]){"x", "--name", "--port", NULL}) == SOUK_OK);
    cr_assert_str_eq(settings.name, "--port");
    cr_assert_eq(settings.port, 80);
}

Test(config, every_mistake_is_reported_at_once) {
    setenv("T_SECRET", "abc", 1);
    souk_err_t err = load((char *[]){"x", "--port=101", "--verbose=maybe", "--level=mid",
                                     "--name=toolongname", "--what", NULL});
    cr_assert(err == SOUK_ERR_VALIDATION);
    cr_assert(said("T_PORT: '101' is not allowed: needs an integer from -1 to 100"));
    cr_assert(said("T_VERBOSE"));
    cr_assert(said("needs one of: low high"));
    cr_assert(said("T_NAME"));
    cr_assert(said("--what: unknown argument"));
}

Test(config, integers_are_strict) {
    char *bad[] = {"", " 5", "5 ", "0x5", "+5", "5.0", "99999999999999999999", "-2"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert(load((char *[]){"x", "--port", bad[i], NULL}) == SOUK_ERR_VALIDATION, "'%s'",
                  bad[i]);
    }
    cr_assert(load((char *[]){"x", "--port", "-1", NULL}) == SOUK_OK);
    cr_assert_eq(settings.port, -1);
}

Test(config, a_flag_without_value_is_refused) {
    cr_assert(load((char *[]){"x", "--port", NULL}) == SOUK_ERR_VALIDATION);
    cr_assert(said("--port: needs a value"));
}

Test(config, a_longer_flag_is_not_its_prefix) {
    cr_assert(load((char *[]){"x", "--ports=5", NULL}) == SOUK_ERR_VALIDATION);
    cr_assert(said("--ports=5: unknown argument"));
}

Test(config, help_lists_every_row_and_shows_no_secret) {
    cr_assert(load((char *[]){"/bin/x", "--bad", "--help", NULL}) == SOUK_ERR_CANCELLED);
    cr_assert(said("usage: x "));
    cr_assert(said("--port, T_PORT"));
    cr_assert(said("One of: low, high"));
    cr_assert(said("T_SECRET"));
    cr_assert_not(said("s3"));
}

Test(config, version_is_printed) {
    cr_assert(load((char *[]){"x", "--version", NULL}) == SOUK_ERR_CANCELLED);
    cr_assert(said(souk_version()));
}

Test(config, print_config_shows_effective_values_and_hides_secrets) {
    setenv("T_SECRET", "hush", 1);
    cr_assert(load((char *[]){"x", "--name", "a\"b", "--level=high", "--print-config", NULL}) ==
              SOUK_ERR_CANCELLED);
    souk_buf_append_byte(&message, 0);
    cr_assert_str_eq((const char *)message.data,
                     "{\"T_NAME\":\"a\\\"b\",\"T_PORT\":80,\"T_VERBOSE\":false,\"T_LEVEL\":"
                     "\"high\",\"T_SECRET\":\"***\"}\n");
}

Test(config, a_secret_is_not_repeated_in_an_error) {
    char long_secret[128] = {0};
    memset(long_secret, 'q', sizeof(long_secret) - 1);
    setenv("T_SECRET", long_secret, 1);
    cr_assert(load((char *[]){"x", NULL}) == SOUK_ERR_VALIDATION);
    cr_assert(said("T_SECRET: '***'"));
    cr_assert_not(said("qqq"));
}
