/* soukctl import: fills the catalogue and the stock through the gateway. Items are checked here
 * line by line, sent in batches, and reported one by one; repeating an import is harmless, because
 * what is already so is left alone. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "feed.h"
#include "gen/catalog.h"
#include "http.h"
#include "import_categories.h"
#include "import_stock.h"
#include "souk/arena.h"
#include "souk/schema.h"

#define BATCH_ITEMS_MAX 200
#define BATCH_BYTES_MAX ((size_t)900 * 1024)
#define REPLY_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define ARENA_KEEP_BYTES ((size_t)256 * 1024)
#define PROGRESS_WIDTH 30

static const char s_usage[] =
    "usage: soukctl import products FILE [--format jsonl|csv] [--url URL] [--currency CODE] "
    "[--category-by-type]\n"
    "                      [--batch N] [--dry-run] [--strict]\n"
    "       soukctl import categories FILE [--url URL] [--dry-run]\n"
    "       soukctl import stock FILE [--format jsonl|csv] [--url URL] [--reference TEXT] "
    "[--dry-run]\n"
    "\n"
    "Creates and replaces products by slug, or categories by slug, through the gateway. FILE - is "
    "standard input.\n"
    "JSON Lines: one object a line, fields as in POST /v1/admin/products or /v1/admin/categories.\n"
    "CSV: Shopify's product export; rows of one Handle are one product.\n"
    "Stock: lines {\"sku\": ..., \"quantity\": ...}, or CSV with these columns, are added to what "
    "is "
    "there; 500 at a time, all of\n"
    "them or none. It stops at the first that cannot be taken in. The same file again adds nothing "
    "twice within a day;\n"
    "another delivery of the same content needs another --reference.\n"
    "\n"
    "  --url URL            the gateway (default SOUK_GATEWAY_URL)\n"
    "  --format F           jsonl or csv (default: by the file's name)\n"
    "  --currency CODE      of prices in CSV (default EUR)\n"
    "  --category-by-type   CSV: the column Type names the category\n"
    "  --batch N            products in a request, 1 to 200 (default 200)\n"
    "  --dry-run            only check\n"
    "  --strict             stop at the first bad line; nothing of its batch is sent\n"
    "  --reference TEXT     stock: noted with each change\n"
    "\n"
    "The API key is read from SOUK_API_KEY. Exit codes: 0 all done, 1 some items failed, 2 usage, "
    "3 the gateway\n"
    "cannot be reached or refused the request, 4 the file cannot be read.\n";

typedef struct {
    const char *url, *path, *format, *currency, *reference;
    const char *what; /* products, categories or stock */
    bool category_by_type, dry_run, strict;
    int64_t batch;
} options_t;

typedef struct {
    unsigned long line;
    size_t start, size; /* in the batch's buffer */
} item_t;

typedef struct {
    const options_t *options;
    souk_http_t *http;
    souk_feed_t *source;
    FILE *file;
    long file_bytes; /* 0: unknown */
    souk_arena_t *arena;
    souk_buf_t items_text, body, reply;
    item_t items[BATCH_ITEMS_MAX];
    size_t items_count;
    unsigned long created, updated, unchanged, failed;
    bool progress;
    int code; /* of the exit, when it is decided early */
} import_t;

static void s_report(import_t *self, unsigned long line, const char *where, const char *what) {
    self->failed++;
    if (self->progress) {
        (void)fputs("\r\033[K", stderr);
    }
    (void)fprintf(stderr, "%s:%lu: %s%s%s\n", self->options->path, line, where,
                  where[0] != '\0' ? ": " : "", what);
}

static void s_progress(const import_t *self) {
    if (!self->progress) {
        return;
    }
    unsigned long done = self->created + self->updated + self->unchanged + self->failed;
    long at = self->file_bytes > 0 ? ftell(self->file) : 0;
    int filled = self->file_bytes > 0 ? (int)(at * PROGRESS_WIDTH / self->file_bytes) : 0;
    (void)fprintf(stderr, "\r\033[K[%.*s%*s] %lu", filled, "##############################",
                  PROGRESS_WIDTH - filled, "", done);
}

/* ---- a batch ---- */

/* {"items": [...]} of items from..from+count. */
static void s_body(import_t *self, size_t from, size_t count) {
    souk_buf_clear(&self->body);
    souk_buf_append_str(&self->body, SOUK_STR("{\"items\":["));
    for (size_t i = from; i < from + count; i++) {
        if (i > from) {
            souk_buf_append_byte(&self->body, ',');
        }
        souk_buf_append(&self->body, self->items_text.data + self->items[i].start,
                        self->items[i].size);
    }
    souk_buf_append_str(&self->body,
                        self->options->dry_run ? SOUK_STR("],\"dry_run\":true}") : SOUK_STR("]}"));
}

static void s_count(import_t *self, const item_t *item, const json_t *result) {
    const char *outcome = json_string_value(json_object_get(result, "outcome"));
    if (outcome == NULL) {
        s_report(self, item->line, "", "the gateway's answer has no outcome for it");
    } else if (strcmp(outcome, "created") == 0) {
        self->created++;
    } else if (strcmp(outcome, "updated") == 0) {
        self->updated++;
    } else if (strcmp(outcome, "unchanged") == 0) {
        self->unchanged++;
    } else {
        const char *code = json_string_value(json_object_get(result, "code"));
        const char *detail = json_string_value(json_object_get(result, "detail"));
        s_report(self, item->line, code != NULL ? code : "failed", detail != NULL ? detail : "");
    }
}

static void s_read_results(import_t *self, size_t from, size_t count) {
    json_error_t error;
    json_t *root = json_loadb((const char *)self->reply.data, self->reply.size, 0, &error);
    const json_t *results = json_object_get(root, "results");
    for (size_t i = 0; i < count; i++) {
        s_count(self, &self->items[from + i], json_array_get(results, i));
    }
    json_decref(root);
}

static char *s_problem_text(const souk_buf_t *reply) {
    json_error_t error;
    char *text = NULL;
    json_t *root = json_loadb((const char *)reply->data, reply->size, 0, &error);
    const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
    const char *code = json_string_value(json_object_get(root, "code"));
    const char *detail = json_string_value(json_object_get(root, "detail"));
    const char *pointer = json_string_value(json_object_get(first, "pointer"));
    const char *reason = json_string_value(json_object_get(first, "reason"));
    int size = first != NULL
                   ? asprintf(&text, "%s: %s %s", code != NULL ? code : "",
                              pointer != NULL ? pointer : "", reason != NULL ? reason : "")
                   : asprintf(&text, "%s: %s", code != NULL ? code : "no problem+json",
                              detail != NULL ? detail : "");
    souk_assert(size >= 0);
    json_decref(root);
    return text;
}

/* Sends items; a batch that is refused whole is halved until the item is found that the gateway
 * does not take. */
static void s_send(import_t *self, size_t from, size_t count) {
    s_body(self, from, count);
    const souk_http_request_t request = {.verb = "POST",
                                         .path = "/v1/admin/products/import",
                                         .body = souk_buf_str(&self->body),
                                         .repeatable = true};
    long status = souk_http_send(self->http, &request, &self->reply);
    if (status == 200) {
        s_read_results(self, from, count);
        return;
    }
    bool about_items = status == 400 || status == 413 || status == 422;
    if (about_items && count > 1) {
        s_send(self, from, count / 2);
        if (self->code == SOUKCTL_OK) {
            s_send(self, from + count / 2, count - count / 2);
        }
        return;
    }
    char *problem = status != 0 ? s_problem_text(&self->reply) : NULL;
    if (about_items) {
        s_report(self, self->items[from].line, "", problem);
    } else {
        (void)fprintf(stderr, "soukctl import: %s: %s\n", self->options->url,
                      problem != NULL ? problem : souk_http_error(self->http));
        self->code = SOUKCTL_AWAY;
    }
    free(problem);
}

static void s_flush(import_t *self) {
    if (self->items_count > 0 && self->code == SOUKCTL_OK) {
        s_send(self, 0, self->items_count);
    }
    self->items_count = 0;
    souk_buf_clear(&self->items_text);
    s_progress(self);
}

/* ---- lines ---- */

/* The same checks as the gateway's, so that a bad line is named without a round trip. */
static bool s_check(import_t *self, souk_str_t json, unsigned long line) {
    catalog_product_input_t *product;
    souk_issues_t issues;
    souk_arena_reset(self->arena);
    souk_issues_init(&issues);
    product = souk_arena_alloc(self->arena, sizeof *product);
    souk_err_t err = product == NULL ? SOUK_ERR_NO_MEMORY
                                     : souk_schema_from_json(&catalog_product_input_type, json,
                                                             self->arena, product, &issues);
    if (err == SOUK_OK) {
        err = souk_schema_check(&catalog_product_input_type, product, &issues);
    }
    if (err == SOUK_OK) {
        return true;
    }
    if (issues.count == 0) {
        s_report(self, line, "", souk_err_info(err)->title);
        return false;
    }
    /* One line of the file is one failure, however many of its fields are bad. */
    for (size_t i = 0; i < issues.count; i++) {
        s_report(self, line, issues.items[i].pointer, issues.items[i].reason);
    }
    self->failed -= issues.count - 1;
    return false;
}

static void s_add(import_t *self, souk_str_t json, unsigned long line) {
    if (self->items_count == (size_t)self->options->batch ||
        self->items_text.size + json.size > BATCH_BYTES_MAX) {
        s_flush(self);
    }
    self->items[self->items_count++] =
        (item_t){.line = line, .start = self->items_text.size, .size = json.size};
    souk_buf_append_str(&self->items_text, json);
}

static int s_products(import_t *self) {
    souk_str_t json;
    souk_feed_result_t result;
    while (self->code == SOUKCTL_OK &&
           (result = souk_feed_next(self->source, &json)) != SOUK_FEED_END) {
        unsigned long line = souk_feed_line(self->source);
        if (result == SOUK_FEED_BAD) {
            s_report(self, line, "", souk_feed_error(self->source));
        } else if (s_check(self, json, line)) {
            s_add(self, json, line);
        }
        if (self->options->strict && self->failed > 0) {
            self->items_count = 0;
            break;
        }
    }
    s_flush(self);
    if (self->progress) {
        (void)fputs("\r\033[K", stderr);
    }
    (void)printf("%s%lu created, %lu updated, %lu unchanged, %lu failed\n",
                 self->options->dry_run ? "dry run: " : "", self->created, self->updated,
                 self->unchanged, self->failed);
    return self->code != SOUKCTL_OK ? self->code : self->failed > 0 ? SOUKCTL_REFUSED : SOUKCTL_OK;
}

/* ---- the command ---- */

static bool s_ends_with(const char *text, const char *end) {
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static long s_file_bytes(FILE *file) {
    long size = 0;
    if (fseek(file, 0, SEEK_END) == 0) {
        size = ftell(file);
        (void)fseek(file, 0, SEEK_SET);
    }
    return size > 0 ? size : 0;
}

static bool s_is_csv(const options_t *options) {
    return options->format != NULL ? strcmp(options->format, "csv") == 0
                                   : s_ends_with(options->path, ".csv");
}

static int s_import_stock(const options_t *options, FILE *file, souk_http_t *http) {
    const souk_stock_options_t stock = {.path = options->path,
                                        .csv = s_is_csv(options),
                                        .dry_run = options->dry_run,
                                        .reference = options->reference};
    return souk_import_stock(file, &stock, http);
}

static int s_import_products(const options_t *options, FILE *file, souk_http_t *http) {
    bool csv = s_is_csv(options);
    const souk_feed_options_t source = {.currency = options->currency,
                                        .category_by_type = options->category_by_type};
    import_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->options = options;
    self->http = http;
    self->file = file;
    self->file_bytes = s_file_bytes(file);
    self->progress = isatty(STDERR_FILENO) == 1;
    self->source = souk_feed_new(file, csv, &source);
    self->arena = souk_arena_new(ARENA_BYTES, ARENA_KEEP_BYTES);
    souk_buf_init(&self->items_text, BATCH_BYTES_MAX + SOUK_FEED_LINE_BYTES_MAX);
    souk_buf_init(&self->body, BATCH_BYTES_MAX + 2 * SOUK_FEED_LINE_BYTES_MAX);
    souk_buf_init(&self->reply, REPLY_BYTES_MAX);
    int code = s_products(self);
    souk_feed_destroy(&self->source);
    souk_arena_destroy(&self->arena);
    souk_buf_done(&self->items_text);
    souk_buf_done(&self->body);
    souk_buf_done(&self->reply);
    free(self);
    return code;
}

static bool s_is_known(const char *what) {
    return strcmp(what, "products") == 0 || strcmp(what, "categories") == 0 ||
           strcmp(what, "stock") == 0;
}

static int s_parse(int argc, char **argv, options_t *ret) {
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'},
        {"url", required_argument, NULL, 'u'},
        {"format", required_argument, NULL, 'f'},
        {"currency", required_argument, NULL, 'c'},
        {"category-by-type", no_argument, NULL, 't'},
        {"batch", required_argument, NULL, 'b'},
        {"dry-run", no_argument, NULL, 'd'},
        {"strict", no_argument, NULL, 's'},
        {"reference", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    optind = 1;
    for (int c; (c = souk_command_option(argc, argv, longs)) >= 0;) {
        switch (c) {
        case 'h':
            return souk_command_help(&import_command);
        case 'u':
            ret->url = optarg;
            break;
        case 'f':
            ret->format = optarg;
            break;
        case 'c':
            ret->currency = optarg;
            break;
        case 't':
            ret->category_by_type = true;
            break;
        case 'd':
            ret->dry_run = true;
            break;
        case 's':
            ret->strict = true;
            break;
        case 'r':
            ret->reference = optarg;
            break;
        case 'b':
            if (!souk_command_int(optarg, 1, BATCH_ITEMS_MAX, &ret->batch)) {
                return souk_command_misuse(&import_command, "--batch takes 1 to %d, not %s",
                                           BATCH_ITEMS_MAX, optarg);
            }
            break;
        default:
            return souk_command_misuse(&import_command, "the flags are wrong");
        }
    }
    if (argc - optind != 2 || !s_is_known(argv[optind])) {
        return souk_command_misuse(&import_command,
                                   "it takes products, categories or stock, and a file");
    }
    if (ret->format != NULL && strcmp(ret->format, "csv") != 0 &&
        strcmp(ret->format, "jsonl") != 0) {
        return souk_command_misuse(&import_command, "--format takes jsonl or csv, not %s",
                                   ret->format);
    }
    ret->what = argv[optind];
    ret->path = argv[optind + 1];
    return -1;
}

static int s_run(const souk_soukctl_config_t *config, int argc, char **argv) {
    options_t options = {.url = config->gateway_url, .currency = "EUR", .batch = BATCH_ITEMS_MAX};
    int code = s_parse(argc, argv, &options);
    if (code >= 0) {
        return code;
    }
    souk_assert(options.path != NULL);
    bool standard = strcmp(options.path, "-") == 0;
    FILE *file = standard ? stdin : fopen(options.path, "re");
    if (file == NULL) {
        (void)fprintf(stderr, "soukctl import: %s: %s\n", options.path, strerrordesc_np(errno));
        return SOUKCTL_FAILED;
    }
    souk_http_t *http =
        souk_http_new(options.url, config->api_key[0] != '\0' ? config->api_key : NULL);
    if (strcmp(options.what, "categories") == 0) {
        code = souk_import_categories(file, options.path, http, options.dry_run);
    } else if (strcmp(options.what, "stock") == 0) {
        code = s_import_stock(&options, file, http);
    } else {
        code = s_import_products(&options, file, http);
    }
    souk_http_destroy(&http);
    if (!standard) {
        (void)fclose(file);
    }
    return code;
}

const souk_command_t import_command = {
    .name = "import",
    .summary = "create and replace products or categories, or receive stock, from a file",
    .usage = s_usage,
    .run = s_run,
};
