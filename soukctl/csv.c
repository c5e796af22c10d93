#include "csv.h"

#define ROW_BYTES_MAX ((size_t)1024 * 1024)

void souk_csv_init(souk_csv_t *self, FILE *file) {
    *self = (souk_csv_t){.file = file, .line = 1};
    souk_buf_init(&self->bytes, ROW_BYTES_MAX);
    int first = fgetc(file);
    if (first == 0xEF) { /* byte order mark */
        (void)fgetc(file);
        (void)fgetc(file);
    } else if (first != EOF) {
        (void)ungetc(first, file);
    }
}

void souk_csv_done(souk_csv_t *self) {
    souk_buf_done(&self->bytes);
}

const char *souk_csv_field(const souk_csv_t *self, size_t column) {
    return column < self->columns ? (const char *)self->bytes.data + self->starts[column] : "";
}

static int s_get(souk_csv_t *self) {
    int c = fgetc(self->file);
    if (c == '\n') {
        self->line++;
    }
    return c;
}

/* The rest of a quoted field; returns what follows the closing quote. */
static int s_quoted(souk_csv_t *self) {
    for (;;) {
        int c = s_get(self);
        if (c == EOF) {
            self->error = "a quoted field does not end";
            return EOF;
        }
        if (c == '"') {
            c = s_get(self);
            if (c != '"') {
                return c;
            }
        }
        if (c == '\0') {
            self->error = "a field holds a NUL";
        }
        souk_buf_append_byte(&self->bytes, (uint8_t)c);
    }
}

/* One field; returns the character that ended it: a comma, a line feed or EOF. */
static int s_field(souk_csv_t *self, int c) {
    bool quoted = c == '"';
    if (quoted) {
        c = s_quoted(self);
    }
    while (c != ',' && c != '\n' && c != EOF) {
        if (c == '\r') {
            c = s_get(self);
            if (c == '\n' || c == EOF) {
                break;
            }
            self->error = "a carriage return stands alone";
            continue;
        }
        if (quoted || c == '"') {
            self->error = "a quote stands in the middle of a field";
        } else if (c == '\0') {
            self->error = "a field holds a NUL";
        }
        souk_buf_append_byte(&self->bytes, (uint8_t)c);
        c = s_get(self);
    }
    souk_buf_append_byte(&self->bytes, '\0');
    return c;
}

souk_csv_result_t souk_csv_next(souk_csv_t *self) {
    int c = s_get(self);
    while (c == '\n' || c == '\r') {
        c = s_get(self);
    }
    if (c == EOF) {
        return SOUK_CSV_END;
    }
    souk_buf_clear(&self->bytes);
    self->row_line = self->line;
    self->columns = 0;
    self->error = NULL;
    for (;;) {
        size_t start = self->bytes.size;
        int end = s_field(self, c);
        if (self->columns < SOUK_CSV_COLUMNS_MAX) {
            self->starts[self->columns++] = start;
        } else {
            self->error = "a row has more than 256 columns";
        }
        if (end != ',') {
            break;
        }
        c = s_get(self);
    }
    if (self->bytes.overflow) {
        self->error = "a row is larger than 1 MiB";
    }
    return self->error != NULL ? SOUK_CSV_BAD : SOUK_CSV_ROW;
}
