/* Design note. The struct is filled in two passes over the rows, so that no half-read value is ever
 * seen: (1) every row takes its text from the flag, else the environment, else the default, and is
 * parsed; each bad one adds a line to the message; (2) unknown arguments add theirs. One call
 * therefore reports all mistakes. An empty environment variable counts as not set, as in most
 * shells' scripts. */
#include "souk/config.h"

#include "souk/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

typedef struct {
    const souk_config_row_t *rows;
    size_t rows_count;
    int argc;
    char **argv;
    void *config;
    souk_buf_t *message;
    bool bad;
} s_load_t;

static const char *s_flag_name(const souk_config_row_t *row) {
    const char *flag = row->flag;
    while (flag != NULL && *flag == '-') {
        flag++;
    }
    return flag;
}

static void *s_member(void *config, const souk_config_row_t *row) {
    return (char *)config + row->offset;
}

static const void *s_member_const(const void *config, const souk_config_row_t *row) {
    return (const char *)config + row->offset;
}

/* The value behind --NAME at argv[at] ("--NAME=VALUE" or the next argument), or NULL when argv[at]
 * is another flag. ret_used: arguments taken; 0 when the value is missing. */
static const char *s_flag_value(const s_load_t *self, int at, const char *name, int *ret_used) {
    const char *arg = self->argv[at];
    size_t size = strlen(name);
    if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, size) != 0) {
        return NULL;
    }
    if (arg[2 + size] == '=') {
        *ret_used = 1;
        return arg + 3 + size;
    }
    if (arg[2 + size] != '\0') {
        return NULL;
    }
    *ret_used = at + 1 < self->argc ? 2 : 0;
    return *ret_used == 2 ? self->argv[at + 1] : "";
}

static void s_reject(s_load_t *self, const souk_config_row_t *row, const char *text) {
    self->bad = true;
    souk_buf_printf(self->message, "%s: '%s' is not allowed: ", row->env,
                    row->secret ? "***" : text);
    switch (row->kind) {
    case SOUK_CONFIG_INT:
        souk_buf_printf(self->message, "needs an integer from %" PRId64 " to %" PRId64, row->min,
                        row->max);
        break;
    case SOUK_CONFIG_STR:
        souk_buf_printf(self->message, "needs %" PRId64 " to %" PRId64 " characters", row->min,
                        row->max);
        break;
    case SOUK_CONFIG_BOOL:
        souk_buf_printf(self->message, "needs true or false");
        break;
    case SOUK_CONFIG_ENUM:
        souk_buf_printf(self->message, "needs one of:");
        for (size_t i = 0; i < row->enum_count; i++) {
            souk_buf_printf(self->message, " %s", row->enum_names[i]);
        }
        break;
    }
    souk_buf_append_byte(self->message, '\n');
}

static bool s_parse_int(const souk_config_row_t *row, const char *text, int64_t *ret_value) {
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool starts = (*text >= '0' && *text <= '9') || *text == '-';
    if (!starts || errno != 0 || *end != '\0' || value < row->min || value > row->max) {
        return false;
    }
    *ret_value = value;
    return true;
}

static bool s_parse_bool(const char *text, bool *ret_value) {
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; i < SOUK_COUNT_OF(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *ret_value = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool s_parse_enum(const souk_config_row_t *row, const char *text, int32_t *ret_value) {
    for (size_t i = 0; i < row->enum_count; i++) {
        if (strcmp(text, row->enum_names[i]) == 0) {
            *ret_value = (int32_t)i;
            return true;
        }
    }
    return false;
}

static bool s_set_str(const souk_config_row_t *row, const char *text, char **member) {
    size_t size = strlen(text);
    if ((int64_t)size < row->min || (int64_t)size > row->max) {
        return false;
    }
    char *copy = strdup(text);
    souk_assert(copy != NULL);
    free(*member);
    *member = copy;
    return true;
}

static bool s_set(const souk_config_row_t *row, const char *text, void *member) {
    switch (row->kind) {
    case SOUK_CONFIG_STR:
        return s_set_str(row, text, member);
    case SOUK_CONFIG_INT:
        return s_parse_int(row, text, member);
    case SOUK_CONFIG_BOOL:
        return s_parse_bool(text, member);
    case SOUK_CONFIG_ENUM:
        return s_parse_enum(row, text, member);
    }
    return false;
}

static void s_load_row(s_load_t *self, const souk_config_row_t *row) {
    const char *text = row->default_text;
    const char *env = getenv(row->env); /* NOLINT(concurrency-mt-unsafe): at start, one thread */
    if (env != NULL && *env != '\0') {
        text = env;
    }
    const char *name = s_flag_name(row);
    for (int at = 1, used = 1; name != NULL && at < self->argc; at++) {
        const char *value = s_flag_value(self, at, name, &used);
        if (value != NULL && used > 0) {
            text = value;
            at += used - 1;
        }
    }
    if (!s_set(row, text, s_member(self->config, row))) {
        s_reject(self, row, text);
    }
}

/* How many arguments the flag at argv[at] takes; 0: nobody knows it, or its value is missing (then
 * it was reported). */
static int s_known(s_load_t *self, int at) {
    for (size_t i = 0; i < self->rows_count; i++) {
        const char *name = s_flag_name(&self->rows[i]);
        int used = 0;
        if (name != NULL && s_flag_value(self, at, name, &used) != NULL) {
            if (used == 0) {
                self->bad = true;
                souk_buf_printf(self->message, "--%s: needs a value\n", name);
                return 1;
            }
            return used;
        }
    }
    return 0;
}

static void s_help(const s_load_t *self) {
    const char *slash = self->argc > 0 ? strrchr(self->argv[0], '/') : NULL;
    const char *program = self->argc > 0 ? self->argv[0] : "souk";
    souk_buf_printf(
        self->message,
        "usage: %s [--flag VALUE]...\n\nA flag wins over its environment variable, which wins over "
        "the default.\n  --help, --version, --print-config\n",
        slash != NULL ? slash + 1 : program);
    for (size_t i = 0; i < self->rows_count; i++) {
        const souk_config_row_t *row = &self->rows[i];
        const char *name = s_flag_name(row);
        souk_buf_printf(self->message, "\n  %s%s%s%s\n      %s", name != NULL ? "--" : "",
                        name != NULL ? name : "", name != NULL ? ", " : "", row->env,
                        row->description);
        for (size_t k = 0; k < row->enum_count; k++) {
            souk_buf_printf(self->message, "%s%s", k == 0 ? " One of: " : ", ", row->enum_names[k]);
        }
        souk_buf_printf(self->message, "%s%s Default: %s.\n", row->unit != NULL ? " Unit: " : "",
                        row->unit != NULL ? row->unit : "",
                        row->secret ? "***" : row->default_text);
    }
}

typedef enum { S_RUN, S_HELP, S_VERSION, S_PRINT } s_wish_t;

static s_wish_t s_check_arguments(s_load_t *self) {
    s_wish_t wish = S_RUN;
    for (int at = 1; at < self->argc;) {
        const char *arg = self->argv[at];
        if (strcmp(arg, "--help") == 0) {
            wish = S_HELP;
            at++;
        } else if (strcmp(arg, "--version") == 0) {
            wish = wish == S_RUN ? S_VERSION : wish;
            at++;
        } else if (strcmp(arg, "--print-config") == 0) {
            wish = wish == S_RUN ? S_PRINT : wish;
            at++;
        } else {
            int used = s_known(self, at);
            if (used == 0) {
                self->bad = true;
                souk_buf_printf(self->message, "%s: unknown argument (see --help)\n", arg);
                used = 1;
            }
            at += used;
        }
    }
    return wish;
}

/* NOLINTNEXTLINE(readability-function-size): six parameters, called once a program */
souk_err_t souk_config_load(const souk_config_row_t *rows, size_t rows_count, int argc, char **argv,
                            void *ret, souk_buf_t *message) {
    s_load_t self = {.rows = rows,
                     .rows_count = rows_count,
                     .argc = argc,
                     .argv = argv,
                     .config = ret,
                     .message = message};
    s_wish_t wish = s_check_arguments(&self);
    if (wish == S_HELP || wish == S_VERSION) {
        souk_buf_clear(message);
        if (wish == S_HELP) {
            s_help(&self);
        } else {
            souk_buf_printf(message, "souk %s\n", souk_version());
        }
        return SOUK_ERR_CANCELLED;
    }
    for (size_t i = 0; i < rows_count; i++) {
        s_load_row(&self, &rows[i]);
    }
    if (self.bad) {
        return SOUK_ERR_VALIDATION;
    }
    if (wish == S_PRINT) {
        souk_config_print(rows, rows_count, ret, message);
        souk_buf_append_byte(message, '\n');
        return SOUK_ERR_CANCELLED;
    }
    return SOUK_OK;
}

void souk_config_done(const souk_config_row_t *rows, size_t rows_count, void *config) {
    for (size_t i = 0; i < rows_count; i++) {
        if (rows[i].kind == SOUK_CONFIG_STR) {
            char **member = s_member(config, &rows[i]);
            free(*member);
            *member = NULL;
        }
    }
}

static void s_print_str(souk_buf_t *buf, const char *text) {
    bool valid = souk_utf8_valid(souk_str_of(text));
    souk_json_write_str(buf, valid ? souk_str_of(text) : SOUK_STR("(not UTF-8)"));
}

void souk_config_print(const souk_config_row_t *rows, size_t rows_count, const void *config,
                       souk_buf_t *ret) {
    souk_buf_append_byte(ret, '{');
    for (size_t i = 0; i < rows_count; i++) {
        const souk_config_row_t *row = &rows[i];
        const void *member = s_member_const(config, row);
        souk_buf_printf(ret, "%s\"%s\":", i == 0 ? "" : ",", row->env);
        if (row->secret) {
            souk_buf_append_str(ret, SOUK_STR("\"***\""));
            continue;
        }
        switch (row->kind) {
        case SOUK_CONFIG_STR:
            s_print_str(ret, *(const char *const *)member);
            break;
        case SOUK_CONFIG_INT:
            souk_buf_printf(ret, "%" PRId64, *(const int64_t *)member);
            break;
        case SOUK_CONFIG_BOOL:
            souk_buf_printf(ret, "%s", *(const bool *)member ? "true" : "false");
            break;
        case SOUK_CONFIG_ENUM:
            s_print_str(ret, row->enum_names[*(const int32_t *)member]);
            break;
        }
    }
    souk_buf_append_byte(ret, '}');
}
