/* What an import reads: one product a time as JSON text, with the line that it began on. */
#ifndef SOUKCTL_SOURCE_H
#define SOUKCTL_SOURCE_H

#include <stdio.h>

#include "souk/base.h"
#include "souk/buf.h"

#define SOUK_SOURCE_LINE_BYTES_MAX ((size_t)1024 * 1024)

typedef enum {
    SOUK_SOURCE_ITEM, /* json holds one object */
    SOUK_SOURCE_BAD,  /* the input at line is no item: error says why; reading may go on */
    SOUK_SOURCE_END,
} souk_source_result_t;

typedef struct souk_source souk_source_t;
typedef struct {
    const char *currency;  /* of prices in CSV */
    bool category_by_type; /* CSV: the column Type names the category's slug */
} souk_source_options_t;

/* file is borrowed. csv: Shopify's product export, where rows of one Handle are one product; else JSON Lines. */
souk_source_t *souk_source_new(FILE *file, bool csv, const souk_source_options_t *options);
void souk_source_destroy(souk_source_t **self_p);

/* The next item; json is borrowed until the next call. */
souk_source_result_t souk_source_next(souk_source_t *self, souk_str_t *ret_json);
/* Of the item or the error just returned. */
unsigned long souk_source_line(const souk_source_t *self);
const char *souk_source_error(const souk_source_t *self);

#endif
