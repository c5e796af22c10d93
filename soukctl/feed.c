#include "feed.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>

#include "csv.h"
#include "shopify.h"

struct souk_feed {
    FILE *file;
    bool is_csv;
    unsigned long line, next_line;
    const char *error;
    char *text; /* the line of JSON, or the product's JSON */
    size_t text_capacity;
    souk_csv_t csv;
    souk_shopify_t *shopify;
    bool row_waits; /* a row of the next product was read */
};

souk_feed_t *souk_feed_new(FILE *file, bool csv, const souk_feed_options_t *options) {
    souk_feed_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->file = file;
    self->is_csv = csv;
    self->next_line = 1;
    if (csv) {
        souk_csv_init(&self->csv, file);
        self->shopify = souk_shopify_new(options->currency, options->category_by_type);
    }
    return self;
}

void souk_feed_destroy(souk_feed_t **self_p) {
    souk_assert(self_p != NULL);
    souk_feed_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    if (self->is_csv) {
        souk_csv_done(&self->csv);
        souk_shopify_destroy(&self->shopify);
    }
    free(self->text);
    free(self);
    *self_p = NULL;
}

unsigned long souk_feed_line(const souk_feed_t *self) {
    return self->line;
}

const char *souk_feed_error(const souk_feed_t *self) {
    return self->error;
}

static souk_feed_result_t s_bad(souk_feed_t *self, unsigned long line, const char *error) {
    self->line = line;
    self->error = error;
    return SOUK_FEED_BAD;
}

/* ---- JSON Lines ---- */

/* The rest of a line that is too long is passed over. */
static souk_feed_result_t s_next_line(souk_feed_t *self, souk_str_t *ret_json) {
    for (;;) {
        ssize_t size = getline(&self->text, &self->text_capacity, self->file);
        if (size < 0) {
            return SOUK_FEED_END;
        }
        unsigned long line = self->next_line++;
        souk_str_t text = {.data = self->text, .size = (size_t)size};
        while (text.size > 0 && isspace((unsigned char)text.data[text.size - 1])) {
            text.size--;
        }
        if (text.size == 0) {
            continue;
        }
        if (text.size > SOUK_FEED_LINE_BYTES_MAX) {
            return s_bad(self, line, "the line is longer than 1 MiB");
        }
        self->line = line;
        *ret_json = text;
        return SOUK_FEED_ITEM;
    }
}

/* ---- CSV ---- */

/* Reads the header row at the first call. */
static souk_feed_result_t s_csv_header(souk_feed_t *self) {
    if (souk_shopify_has_header(self->shopify)) {
        return SOUK_FEED_ITEM;
    }
    if (souk_csv_next(&self->csv) != SOUK_CSV_ROW ||
        !souk_shopify_header(self->shopify, &self->csv)) {
        (void)fseek(self->file, 0, SEEK_END);
        return s_bad(self, 1,
                     "the first row must name Shopify's columns, at least Handle, Title, Variant "
                     "SKU and Variant Price");
    }
    return SOUK_FEED_ITEM;
}

static souk_feed_result_t s_next_product(souk_feed_t *self, souk_str_t *ret_json) {
    souk_feed_result_t header = s_csv_header(self);
    if (header != SOUK_FEED_ITEM) {
        return header;
    }
    for (;;) {
        if (!self->row_waits) {
            souk_csv_result_t result = souk_csv_next(&self->csv);
            if (result == SOUK_CSV_BAD) {
                return s_bad(self, self->csv.row_line, self->csv.error);
            }
            self->row_waits = result == SOUK_CSV_ROW;
        }
        bool more = self->row_waits && souk_shopify_continues(self->shopify, &self->csv);
        if (!more && souk_shopify_begun(self->shopify)) {
            free(self->text);
            self->line = souk_shopify_line(self->shopify);
            self->text = souk_shopify_finish(self->shopify, &self->error);
            *ret_json = souk_str_of(self->text);
            return self->text != NULL ? SOUK_FEED_ITEM : SOUK_FEED_BAD;
        }
        if (!self->row_waits) {
            return SOUK_FEED_END;
        }
        souk_shopify_row(self->shopify, &self->csv);
        self->row_waits = false;
    }
}

souk_feed_result_t souk_feed_next(souk_feed_t *self, souk_str_t *ret_json) {
    return self->is_csv ? s_next_product(self, ret_json) : s_next_line(self, ret_json);
}
