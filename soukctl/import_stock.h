/* The stock's side of soukctl import. */
#ifndef SOUKCTL_IMPORT_STOCK_H
#define SOUKCTL_IMPORT_STOCK_H

#include <stdbool.h>
#include <stdio.h>

#include "http.h"

typedef struct {
    const char *path; /* for messages */
    bool csv;         /* with the columns sku and quantity; else JSON Lines */
    bool dry_run;
    const char *reference; /* of the delivery, noted in the ledger; NULL: none */
} souk_stock_options_t;

/* Receives what the file lists, in batches that are taken in whole or not at all, and stops at the
 * first that is not. The key of a batch is made of its content and the reference, so a file that is
 * sent again, mended or not, adds nothing twice. Returns the exit code. */
int souk_import_stock(FILE *file, const souk_stock_options_t *options, souk_http_t *http);

#endif
