/* CSV by RFC 4180, as a stream: quoted fields, doubled quotes, line breaks in quotes, CRLF or LF, a
 * byte order mark in front. */
#ifndef SOUKCTL_CSV_H
#define SOUKCTL_CSV_H

#include <stdio.h>

#include "souk/base.h"
#include "souk/buf.h"

#define SOUK_CSV_COLUMNS_MAX 256

typedef struct {
    FILE *file;
    unsigned long line;     /* of the next character */
    unsigned long row_line; /* where the row just read began */
    souk_buf_t bytes;       /* its fields, one after the other, each with a NUL behind it */
    size_t starts[SOUK_CSV_COLUMNS_MAX + 1];
    size_t columns;
    const char *error; /* of the row just read */
} souk_csv_t;

void souk_csv_init(souk_csv_t *self, FILE *file);
void souk_csv_done(souk_csv_t *self);

typedef enum { SOUK_CSV_ROW, SOUK_CSV_BAD, SOUK_CSV_END } souk_csv_result_t;
/* Reads a row (empty lines are passed over). BAD: the row is broken or too large, self->error says
 * how; the reader stands behind it. */
souk_csv_result_t souk_csv_next(souk_csv_t *self);
/* A field of the row just read, borrowed until the next read; empty beyond the last. */
const char *souk_csv_field(const souk_csv_t *self, size_t column);

#endif
