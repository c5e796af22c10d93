/* Configuration from the generated table (schemas/config.yaml): default < environment < flag. Each
 * process reads its own rows and the shared ones into a generated struct; no globals. */
#ifndef SOUK_CONFIG_H
#define SOUK_CONFIG_H

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

typedef enum {
    SOUK_CONFIG_STR,
    SOUK_CONFIG_INT,
    SOUK_CONFIG_BOOL,
    SOUK_CONFIG_ENUM
} souk_config_kind_t;

typedef struct {
    const char *env;  /* SOUK_BROKER_FRONT */
    const char *flag; /* --front; no flag for secrets */
    souk_config_kind_t kind;
    const char *default_text;
    const char *const *enum_names;
    size_t enum_count;
    int64_t min, max; /* INT: value; STR: length */
    size_t offset; /* STR: const char * (owned by the struct's storage); INT: int64_t; BOOL: bool;
                      ENUM: int32_t */
    bool secret;   /* printed as *** */
    const char *unit, *description;
} souk_config_row_t;

/* Fills *ret (zeroed by the caller). argv may hold --flag VALUE, --flag=VALUE, --help, --version,
 * --print-config. Every bad value is reported in message (one line each, says name, value, what is
 * allowed): SOUK_ERR_VALIDATION. SOUK_ERR_CANCELLED: --help, --version or --print-config was asked
 * for and its text is in message; exit 0. STR values are copied with strdup into *ret and freed by
 * souk_config_done. */
SOUK_MUST_CHECK souk_err_t souk_config_load(const souk_config_row_t *rows, size_t rows_count,
                                            int argc, char **argv, void *ret, souk_buf_t *message);
void souk_config_done(const souk_config_row_t *rows, size_t rows_count, void *config);
/* The effective values as one JSON object, secrets as "***". */
void souk_config_print(const souk_config_row_t *rows, size_t rows_count, const void *config,
                       souk_buf_t *ret);

#endif
