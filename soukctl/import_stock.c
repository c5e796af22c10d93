#include "import_stock.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

#include "command.h"
#include "csv.h"
#include "feed.h"
#include "gen/orders.h"
#include "souk/arena.h"
#include "souk/id.h"
#include "souk/json.h"
#include "souk/schema.h"

#define BATCH_ITEMS_MAX 500
#define BODY_BYTES_MAX ((size_t)128 * 1024)
#define REPLY_BYTES_MAX ((size_t)1024 * 1024)
#define ARENA_BYTES ((size_t)1024 * 1024)
#define KEY_BYTES 16

typedef struct {
    const souk_stock_options_t *options;
    souk_http_t *http;
    souk_feed_t *lines; /* JSON Lines, */
    souk_csv_t csv;     /* or CSV with these columns */
    size_t sku_column, quantity_column;
    souk_arena_t *arena;
    souk_buf_t items, reply;
    unsigned long numbers[BATCH_ITEMS_MAX]; /* the items' lines */
    size_t count;
    unsigned long received;
    int code;
} import_t;

static void s_stop(import_t *self, unsigned long line, const char *where, const char *what) {
    (void)fprintf(stderr, "%s:%lu: %s%s%s\n", self->options->path, line, where,
                  where[0] != '\0' ? ": " : "", what);
    self->code = SOUKCTL_REFUSED;
}

/* ---- a batch ---- */

/* The lines that the gateway names; false when it names none. */
static bool s_tell_lines(import_t *self, const json_t *problem) {
    bool any = false;
    size_t at;
    const json_t *each;
    json_array_foreach(json_object_get(problem, "errors"), at, each) {
        const char *pointer = json_string_value(json_object_get(each, "pointer"));
        const char *reason = json_string_value(json_object_get(each, "reason"));
        size_t item = 0;
        int name = 0;
        if (pointer == NULL || reason == NULL ||
            sscanf(pointer, "/items/%zu/%n", &item, &name) != 1 || name == 0 ||
            item >= self->count) {
            continue;
        }
        s_stop(self, self->numbers[item], pointer + name, reason);
        any = true;
    }
    return any;
}

static void s_tell_problem(import_t *self, long status) {
    json_error_t error;
    json_t *root = json_loadb((const char *)self->reply.data, self->reply.size, 0, &error);
    if (!s_tell_lines(self, root)) {
        const char *code = json_string_value(json_object_get(root, "code"));
        (void)fprintf(stderr, "soukctl import: %s\n",
                      status == 0    ? souk_http_error(self->http)
                      : code != NULL ? code
                                     : "no problem+json");
        self->code = SOUKCTL_AWAY;
    }
    json_decref(root);
}

static void s_key(const souk_buf_t *body, char ret_key[2 * KEY_BYTES + 1]) {
    uint8_t digest[KEY_BYTES];
    crypto_generichash(digest, sizeof digest, body->data, body->size, NULL, 0);
    souk_hex(digest, sizeof digest, ret_key);
    ret_key[2 * KEY_BYTES] = '\0';
}

static void s_send(import_t *self) {
    if (self->count == 0 || self->code != SOUKCTL_OK) {
        return;
    }
    const char *reference = self->options->reference;
    SOUK_CLEANUP(souk_buf_done) souk_buf_t body;
    souk_buf_init(&body, BODY_BYTES_MAX);
    souk_buf_append_str(&body, SOUK_STR("{\"items\":["));
    souk_buf_append_str(&body, souk_buf_str(&self->items));
    souk_buf_append_byte(&body, ']');
    if (reference != NULL) {
        souk_buf_append_str(&body, SOUK_STR(",\"note\":"));
        souk_json_write_str(&body, souk_str_of(reference));
    }
    souk_buf_append_byte(&body, '}');
    souk_assert(!body.overflow); /* 500 SKUs of 64 characters */
    char key[2 * KEY_BYTES + 1];
    s_key(&body, key);
    const souk_http_request_t request = {.verb = "POST",
                                         .path = "/v1/admin/stock/receive",
                                         .body = souk_buf_str(&body),
                                         .key = key,
                                         .repeatable = true};
    long status = self->options->dry_run ? 200 : souk_http_send(self->http, &request, &self->reply);
    if (status == 200) {
        self->received += self->count;
    } else {
        s_tell_problem(self, status);
    }
    self->count = 0;
    souk_buf_clear(&self->items);
}

/* ---- lines ---- */

static void s_add(import_t *self, const orders_stock_receipt_t *receipt, unsigned long line) {
    if (self->count == BATCH_ITEMS_MAX) {
        s_send(self);
    }
    souk_buf_printf(&self->items, "%s{\"sku\":", self->count > 0 ? "," : "");
    souk_json_write_str(&self->items, receipt->sku);
    souk_buf_printf(&self->items, ",\"quantity\":%lld}", (long long)receipt->quantity);
    self->numbers[self->count++] = line;
}

/* The gateway's own checks, so that a bad line is named before anything of its batch is sent. */
static void s_take(import_t *self, souk_str_t json, unsigned long line) {
    orders_stock_receipt_t receipt = {0};
    souk_issues_t issues;
    souk_arena_reset(self->arena);
    souk_issues_init(&issues);
    souk_err_t err =
        souk_schema_from_json(&orders_stock_receipt_type, json, self->arena, &receipt, &issues);
    if (err == SOUK_OK) {
        err = souk_schema_check(&orders_stock_receipt_type, &receipt, &issues);
    }
    if (err != SOUK_OK) {
        s_stop(self, line, issues.count > 0 ? issues.items[0].pointer : "",
               issues.count > 0 ? issues.items[0].reason : souk_err_info(err)->title);
        return;
    }
    s_add(self, &receipt, line);
}

static void s_read_lines(import_t *self) {
    souk_str_t json;
    souk_feed_result_t result;
    while (self->code == SOUKCTL_OK &&
           (result = souk_feed_next(self->lines, &json)) != SOUK_FEED_END) {
        if (result == SOUK_FEED_BAD) {
            s_stop(self, souk_feed_line(self->lines), "", souk_feed_error(self->lines));
        } else {
            s_take(self, json, souk_feed_line(self->lines));
        }
    }
}

static bool s_find_columns(import_t *self) {
    bool sku = false, quantity = false;
    if (souk_csv_next(&self->csv) != SOUK_CSV_ROW) {
        return false;
    }
    for (size_t i = 0; i < self->csv.columns; i++) {
        const char *name = souk_csv_field(&self->csv, i);
        if (strcasecmp(name, "sku") == 0) {
            self->sku_column = i;
            sku = true;
        } else if (strcasecmp(name, "quantity") == 0) {
            self->quantity_column = i;
            quantity = true;
        }
    }
    return sku && quantity;
}

static void s_read_rows(import_t *self) {
    if (!s_find_columns(self)) {
        s_stop(self, 1, "", "the first row must name the columns sku and quantity");
        return;
    }
    souk_csv_result_t result;
    while (self->code == SOUKCTL_OK && (result = souk_csv_next(&self->csv)) != SOUK_CSV_END) {
        int64_t quantity = 0;
        const char *text = souk_csv_field(&self->csv, self->quantity_column);
        if (result == SOUK_CSV_BAD) {
            s_stop(self, self->csv.row_line, "", self->csv.error);
        } else if (!souk_command_int(text, 1, 1000000, &quantity)) {
            s_stop(self, self->csv.row_line, "quantity", "must be a number from 1 to 1000000");
        } else {
            SOUK_CLEANUP(souk_buf_done) souk_buf_t json;
            souk_buf_init(&json, SOUK_FEED_LINE_BYTES_MAX);
            souk_buf_append_str(&json, SOUK_STR("{\"sku\":"));
            souk_json_write_str(&json, souk_str_of(souk_csv_field(&self->csv, self->sku_column)));
            souk_buf_printf(&json, ",\"quantity\":%lld}", (long long)quantity);
            s_take(self, souk_buf_str(&json), self->csv.row_line);
        }
    }
}

int souk_import_stock(FILE *file, const souk_stock_options_t *options, souk_http_t *http) {
    import_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->options = options;
    self->http = http;
    self->arena = souk_arena_new(ARENA_BYTES, ARENA_BYTES);
    souk_buf_init(&self->items, BODY_BYTES_MAX);
    souk_buf_init(&self->reply, REPLY_BYTES_MAX);
    souk_csv_init(&self->csv, file);
    self->lines = souk_feed_new(file, false, &(souk_feed_options_t){.currency = ""});
    if (options->csv) {
        s_read_rows(self);
    } else {
        s_read_lines(self);
    }
    s_send(self);
    if (self->code == SOUKCTL_REFUSED) {
        (void)fputs("soukctl import: stopped: nothing from this batch on was taken in; mend the "
                    "file and send it again\n",
                    stderr);
    }
    (void)printf("%s%lu received\n", options->dry_run ? "dry run: " : "", self->received);
    int code = self->code;
    souk_feed_destroy(&self->lines);
    souk_csv_done(&self->csv);
    souk_arena_destroy(&self->arena);
    souk_buf_done(&self->items);
    souk_buf_done(&self->reply);
    free(self);
    return code;
}
