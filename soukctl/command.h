/* A command of soukctl: one file each, one row in main.c's table. */
#ifndef SOUKCTL_COMMAND_H
#define SOUKCTL_COMMAND_H

#include <getopt.h>

#include "gen/config.h"
#include "souk/base.h"

/* The exit codes, documented in README.md. */
enum {
    SOUKCTL_OK = 0,
    SOUKCTL_REFUSED = 1, /* a service answered with an error, which is on standard error */
    SOUKCTL_USAGE = 2,
    SOUKCTL_AWAY = 3,  /* broker or service cannot be reached, or did not answer in time */
    SOUKCTL_FAILED = 4 /* a file or another local thing failed */
};

typedef struct {
    const char *name;
    const char *summary; /* one line for the list of commands */
    const char *usage;   /* all of --help */
    /* argv[0] is the command's name; the process exits with what it returns. */
    int (*run)(const souk_soukctl_config_t *config, int argc, char **argv);
} souk_command_t;

extern const souk_command_t apikey_command;
extern const souk_command_t call_command;
extern const souk_command_t generate_command;
extern const souk_command_t import_command;
extern const souk_command_t outbox_command;
extern const souk_command_t queues_command;

/* Prints usage on standard output (--help) or standard error, and returns the exit code for it. */
int souk_command_help(const souk_command_t *self);
int souk_command_misuse(const souk_command_t *self, const char *format, ...) SOUK_PRINTF(2, 3);
/* The next option by getopt_long, -1 at the end; '?' for an unknown one. optarg and optind are its.
 */
int souk_command_option(int argc, char **argv, const struct option *options);
/* A whole number within bounds: false when text is none. */
bool souk_command_int(const char *text, int64_t min, int64_t max, int64_t *ret_value);

#endif
