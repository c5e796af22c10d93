/* The categories' side of soukctl import. */
#ifndef SOUKCTL_IMPORT_CATEGORIES_H
#define SOUKCTL_IMPORT_CATEGORIES_H

#include <stdbool.h>
#include <stdio.h>

#include "http.h"

/* Reads JSON Lines; a category whose slug exists is changed where it differs. Parents come before
 * children. Returns the exit code. */
int souk_import_categories(FILE *file, const char *path, souk_http_t *http, bool dry_run);

#endif
