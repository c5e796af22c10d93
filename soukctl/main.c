/* soukctl: the operator's tool. Flags of all commands, then the command, then its own arguments. */
#include <czmq.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "souk/buf.h"
#include "souk/log.h"

#define MESSAGE_BYTES_MAX ((size_t)256 * 1024)

static const souk_command_t *const s_commands[] = {
    &apikey_command, &call_command,   &generate_command,
    &import_command, &outbox_command, &queues_command,
};

int souk_command_help(const souk_command_t *self) {
    (void)fputs(self->usage, stdout);
    return SOUKCTL_OK;
}

int souk_command_misuse(const souk_command_t *self, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "soukctl %s: ", self->name);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nsoukctl %s --help says more\n", self->name);
    va_end(args);
    return SOUKCTL_USAGE;
}

int souk_command_option(int argc, char **argv, const struct option *options) {
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    return getopt_long(argc, argv, "h", options, NULL);
}

bool souk_command_int(const char *text, int64_t min, int64_t max, int64_t *ret_value) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
        return false;
    }
    *ret_value = value;
    return true;
}

static void s_list(FILE *out) {
    (void)fputs("usage: soukctl [FLAG]... COMMAND [ARGUMENT]...\n\n", out);
    for (size_t i = 0; i < SOUK_COUNT_OF(s_commands); i++) {
        (void)fprintf(out, "  %-8s %s\n", s_commands[i]->name, s_commands[i]->summary);
    }
    (void)fputs("\nsoukctl COMMAND --help says more about one; soukctl --flags lists the flags.\n",
                out);
}

static const souk_command_t *s_find(const char *name) {
    for (size_t i = 0; i < SOUK_COUNT_OF(s_commands); i++) {
        if (strcmp(s_commands[i]->name, name) == 0) {
            return s_commands[i];
        }
    }
    return NULL;
}

/* How many of argv belong to us: the flags in front of the command. Every flag of the table takes a
 * value. */
static int s_flags_count(int argc, char **argv) {
    int at = 1;
    while (at < argc && argv[at][0] == '-') {
        bool alone = strchr(argv[at], '=') != NULL || strcmp(argv[at], "--version") == 0 ||
                     strcmp(argv[at], "--print-config") == 0;
        at += alone ? 1 : 2;
    }
    return at < argc ? at : argc;
}

static int s_load(int argc, char **argv, souk_soukctl_config_t *ret) {
    souk_buf_t message;
    souk_buf_init(&message, MESSAGE_BYTES_MAX);
    souk_err_t err = souk_config_load(souk_soukctl_config_rows, souk_soukctl_config_rows_count,
                                      argc, argv, ret, &message);
    if (message.size > 0) {
        (void)fwrite(message.data, 1, message.size, err == SOUK_ERR_CANCELLED ? stdout : stderr);
    }
    souk_buf_done(&message);
    return err == SOUK_OK ? -1 : err == SOUK_ERR_CANCELLED ? SOUKCTL_OK : SOUKCTL_USAGE;
}

static int s_run(int argc, char **argv, souk_soukctl_config_t *config) {
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        s_list(stdout);
        return SOUKCTL_OK;
    }
    if (argc > 1 && strcmp(argv[1], "--flags") == 0) {
        char help[] = "--help";
        char *ask[] = {argv[0], help, NULL};
        return s_load(2, ask, config);
    }
    int flags = s_flags_count(argc, argv);
    int code = s_load(flags, argv, config);
    if (code >= 0) {
        return code;
    }
    if (flags == argc) {
        s_list(stderr);
        return SOUKCTL_USAGE;
    }
    const souk_command_t *command = s_find(argv[flags]);
    if (command == NULL) {
        (void)fprintf(stderr, "soukctl: there is no command %s\n\n", argv[flags]);
        s_list(stderr);
        return SOUKCTL_USAGE;
    }
    souk_log_init("soukctl", (souk_log_level_t)config->log_level, STDERR_FILENO);
    return command->run(config, argc - flags, argv + flags);
}

int main(int argc, char **argv) {
    zsys_handler_set(NULL); /* Ctrl-C ends the tool as usual */
    souk_soukctl_config_t config = {0};
    int code = s_run(argc, argv, &config);
    souk_config_done(souk_soukctl_config_rows, souk_soukctl_config_rows_count, &config);
    return code;
}
