/* What an import reads: one product a time as JSON text, with the line that it began on. */
#ifndef SOUKCTL_FEED_H
#define SOUKCTL_FEED_H

#include <stdio.h>

#include "souk/base.h"
#include "souk/buf.h"

#define SOUK_FEED_LINE_BYTES_MAX ((size_t)1024 * 1024)

typedef enum {
    SOUK_FEED_ITEM, /* json holds one object */
    SOUK_FEED_BAD,  /* the input at line is no item: error says why; reading may go on */
    SOUK_FEED_END,
} souk_feed_result_t;

typedef struct souk_feed souk_feed_t;
typedef struct {
    const char *currency;  /* of prices in CSV */
    bool category_by_type; /* CSV: the column Type names the category's slug */
} souk_feed_options_t;

/* file is borrowed. csv: Shopify's product export, where rows of one Handle are one product; else
 * JSON Lines. */
souk_feed_t *souk_feed_new(FILE *file, bool csv, const souk_feed_options_t *options);
void souk_feed_destroy(souk_feed_t **self_p);

/* The next item; json is borrowed until the next call. */
souk_feed_result_t souk_feed_next(souk_feed_t *self, souk_str_t *ret_json);
/* Of the item or the error just returned. */
unsigned long souk_feed_line(const souk_feed_t *self);
const char *souk_feed_error(const souk_feed_t *self);

#endif
