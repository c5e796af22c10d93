#include "shopify.h"

#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#define OPTIONS_MAX 3
#define AMOUNT_MAX 1000000000000LL
#define TEXT_BYTES_MAX ((size_t)64 * 1024)

typedef enum {
    HANDLE,
    TITLE,
    BODY,
    VENDOR,
    TYPE,
    TAGS,
    PUBLISHED,
    STATUS,
    OPTION1_NAME,
    OPTION1_VALUE,
    OPTION2_NAME,
    OPTION2_VALUE,
    OPTION3_NAME,
    OPTION3_VALUE,
    SKU,
    GRAMS,
    PRICE,
    COMPARE_AT_PRICE,
    BARCODE,
    IMAGE_SRC,
    IMAGE_ALT,
    COLUMNS_COUNT,
} column_t;

static const char *const s_names[COLUMNS_COUNT] = {
    [HANDLE] = "Handle",
    [TITLE] = "Title",
    [BODY] = "Body (HTML)",
    [VENDOR] = "Vendor",
    [TYPE] = "Type",
    [TAGS] = "Tags",
    [PUBLISHED] = "Published",
    [STATUS] = "Status",
    [OPTION1_NAME] = "Option1 Name",
    [OPTION1_VALUE] = "Option1 Value",
    [OPTION2_NAME] = "Option2 Name",
    [OPTION2_VALUE] = "Option2 Value",
    [OPTION3_NAME] = "Option3 Name",
    [OPTION3_VALUE] = "Option3 Value",
    [SKU] = "Variant SKU",
    [GRAMS] = "Variant Grams",
    [PRICE] = "Variant Price",
    [COMPARE_AT_PRICE] = "Variant Compare At Price",
    [BARCODE] = "Variant Barcode",
    [IMAGE_SRC] = "Image Src",
    [IMAGE_ALT] = "Image Alt Text",
};

struct souk_shopify {
    const char *currency;
    bool category_by_type, has_header;
    size_t columns[COLUMNS_COUNT]; /* SIZE_MAX: absent */
    json_t *product;               /* NULL: none begun */
    char *handle;                  /* of the product */
    unsigned long line;
    char *options[OPTIONS_MAX]; /* slugs, as the product's first row names them; NULL: none */
    const char *error;
};

souk_shopify_t *souk_shopify_new(const char *currency, bool category_by_type) {
    souk_shopify_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->currency = currency;
    self->category_by_type = category_by_type;
    return self;
}

static void s_forget(souk_shopify_t *self) {
    json_decref(self->product);
    free(self->handle);
    self->product = NULL;
    self->handle = NULL;
    self->error = NULL;
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        free(self->options[i]);
        self->options[i] = NULL;
    }
}

void souk_shopify_destroy(souk_shopify_t **self_p) {
    souk_assert(self_p != NULL);
    if (*self_p != NULL) {
        s_forget(*self_p);
        free(*self_p);
        *self_p = NULL;
    }
}

bool souk_shopify_header(souk_shopify_t *self, const souk_csv_t *row) {
    for (size_t i = 0; i < COLUMNS_COUNT; i++) {
        self->columns[i] = SIZE_MAX;
        for (size_t c = 0; c < row->columns; c++) {
            if (strcasecmp(souk_csv_field(row, c), s_names[i]) == 0) {
                self->columns[i] = c;
            }
        }
    }
    self->has_header = self->columns[HANDLE] != SIZE_MAX && self->columns[TITLE] != SIZE_MAX &&
                       self->columns[SKU] != SIZE_MAX && self->columns[PRICE] != SIZE_MAX;
    return self->has_header;
}

bool souk_shopify_has_header(const souk_shopify_t *self) {
    return self->has_header;
}

static const char *s_get(const souk_shopify_t *self, const souk_csv_t *row, column_t column) {
    return self->columns[column] == SIZE_MAX ? "" : souk_csv_field(row, self->columns[column]);
}

bool souk_shopify_begun(const souk_shopify_t *self) {
    return self->product != NULL;
}

unsigned long souk_shopify_line(const souk_shopify_t *self) {
    return self->line;
}

bool souk_shopify_continues(const souk_shopify_t *self, const souk_csv_t *row) {
    return self->product == NULL || strcmp(self->handle, s_get(self, row, HANDLE)) == 0;
}

/* ---- texts ---- */

/* Words of a-z and 0-9 joined by single '-'; to be freed. Other characters separate words. */
static char *s_slug(const char *text, size_t size) {
    char *slug = malloc(size + 1);
    souk_assert(slug != NULL);
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            slug[at++] = c;
        } else if (at > 0 && slug[at - 1] != '-') {
            slug[at++] = '-';
        }
    }
    while (at > 0 && slug[at - 1] == '-') {
        at--;
    }
    slug[at] = '\0';
    return slug;
}

static size_t s_entity(const char *text, char *ret_char) {
    static const struct {
        const char *name;
        char value;
    } entities[] = {{"&amp;", '&'},  {"&lt;", '<'},   {"&gt;", '>'},
                    {"&quot;", '"'}, {"&#39;", '\''}, {"&nbsp;", ' '}};
    for (size_t i = 0; i < SOUK_COUNT_OF(entities); i++) {
        if (strncmp(text, entities[i].name, strlen(entities[i].name)) == 0) {
            *ret_char = entities[i].value;
            return strlen(entities[i].name);
        }
    }
    return 0;
}

/* HTML to plain text: tags go, blocks become line breaks. */
static json_t *s_plain_text(const char *html) {
    souk_buf_t text;
    souk_buf_init(&text, TEXT_BYTES_MAX);
    for (const char *at = html; *at != '\0';) {
        char c = *at;
        size_t entity = c == '&' ? s_entity(at, &c) : 0;
        if (c == '<' && entity == 0) {
            bool breaks = strncasecmp(at, "</p", 3) == 0 || strncasecmp(at, "<br", 3) == 0 ||
                          strncasecmp(at, "</li", 4) == 0 || strncasecmp(at, "</h", 3) == 0;
            const char *close = strchr(at, '>');
            at = close != NULL ? close + 1 : at + strlen(at);
            c = breaks ? '\n' : '\0';
        } else {
            at += entity > 0 ? entity : 1;
            c = c == '\r' ? ' ' : c;
        }
        if (c != '\0') {
            souk_buf_append_byte(&text, (uint8_t)c);
        }
    }
    size_t start = 0;
    while (start < text.size && (text.data[start] == ' ' || text.data[start] == '\n')) {
        start++;
    }
    while (text.size > start &&
           (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\n')) {
        text.size--;
    }
    json_t *value =
        text.size > start ? json_stringn((const char *)text.data + start, text.size - start) : NULL;
    souk_buf_done(&text);
    return value;
}

/* "19.99" to minor units; -1 when it is no price. Two digits of fraction. */
static long long s_amount(const char *text) {
    char *end = NULL;
    if (*text < '0' || *text > '9') {
        return -1;
    }
    long long amount = strtoll(text, &end, 10);
    if (amount > AMOUNT_MAX / 100) {
        return -1;
    }
    amount *= 100;
    if (*end == '.') {
        end++;
        for (int digit = 10; digit >= 1 && *end >= '0' && *end <= '9'; digit /= 10, end++) {
            amount += (*end - '0') * digit;
        }
        while (*end == '0') {
            end++;
        }
    }
    return *end == '\0' ? amount : -1;
}

/* ---- rows ---- */

static void s_tags(json_t *product, const char *text) {
    json_t *tags = json_array();
    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        char *slug = s_slug(text, size);
        bool known = false;
        size_t i;
        json_t *tag;
        json_array_foreach(tags, i, tag) {
            known = known || strcmp(json_string_value(tag), slug) == 0;
        }
        if (slug[0] != '\0' && !known) {
            json_array_append_new(tags, json_string(slug));
        }
        free(slug);
        text += size + (text[size] == ',');
    }
    json_object_set_new(product, "tags", tags);
}

static void s_begin(souk_shopify_t *self, const souk_csv_t *row) {
    const char *status = s_get(self, row, STATUS);
    bool hidden = strcasecmp(s_get(self, row, PUBLISHED), "false") == 0;
    self->line = row->row_line;
    self->product = json_object();
    self->handle = strdup(s_get(self, row, HANDLE));
    souk_assert(self->handle != NULL);
    json_object_set_new(self->product, "slug", json_string(s_get(self, row, HANDLE)));
    json_object_set_new(self->product, "name", json_string(s_get(self, row, TITLE)));
    json_object_set_new(self->product, "status",
                        json_string(status[0] != '\0' ? status
                                    : hidden          ? "draft"
                                                      : "active"));
    json_t *description = s_plain_text(s_get(self, row, BODY));
    if (description != NULL) {
        json_object_set_new(self->product, "description", description);
    }
    s_tags(self->product, s_get(self, row, TAGS));
    json_t *attributes = json_object();
    if (s_get(self, row, VENDOR)[0] != '\0') {
        json_object_set_new(attributes, "vendor", json_string(s_get(self, row, VENDOR)));
    }
    const char *type = s_get(self, row, TYPE);
    if (type[0] != '\0') {
        json_object_set_new(attributes, "type", json_string(type));
    }
    json_object_set_new(self->product, "attributes", attributes);
    if (self->category_by_type && type[0] != '\0') {
        char *slug = s_slug(type, strlen(type));
        json_object_set_new(self->product, "category_ids", json_pack("[s]", slug));
        free(slug);
    }
    json_t *options = json_array();
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        const char *name = s_get(self, row, (column_t)(OPTION1_NAME + 2 * i));
        if (name[0] != '\0' &&
            strcasecmp(name, "Title") != 0) { /* "Title": a product without options */
            self->options[i] = s_slug(name, strlen(name));
            json_array_append_new(options, json_string(self->options[i]));
        }
    }
    json_object_set_new(self->product, "options", options);
    json_object_set_new(self->product, "variants", json_array());
    json_object_set_new(self->product, "media", json_array());
}

static json_t *s_money(const souk_shopify_t *self, long long amount) {
    return json_pack("{s:I, s:s}", "amount", (json_int_t)amount, "currency", self->currency);
}

static void s_variant(souk_shopify_t *self, const souk_csv_t *row) {
    long long price = s_amount(s_get(self, row, PRICE));
    const char *compare = s_get(self, row, COMPARE_AT_PRICE);
    long long compare_at = compare[0] != '\0' ? s_amount(compare) : 0;
    const char *grams = s_get(self, row, GRAMS);
    const char *barcode = s_get(self, row, BARCODE);
    if (price < 0 || compare_at < 0) {
        self->error = "a price is no number such as 19.99";
        return;
    }
    json_t *variant = json_object();
    json_object_set_new(variant, "sku", json_string(s_get(self, row, SKU)));
    json_object_set_new(variant, "price", s_money(self, price));
    if (compare_at > price) {
        json_object_set_new(variant, "compare_at_price", s_money(self, compare_at));
    }
    if (grams[0] != '\0') {
        json_object_set_new(variant, "weight_g", json_integer(strtoll(grams, NULL, 10)));
    }
    if (barcode[0] != '\0') {
        json_object_set_new(variant, "barcode",
                            json_string(barcode[0] == '\'' ? barcode + 1 : barcode));
    }
    json_t *values = json_object();
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        if (self->options[i] != NULL) {
            json_object_set_new(values, self->options[i],
                                json_string(s_get(self, row, (column_t)(OPTION1_VALUE + 2 * i))));
        }
    }
    json_object_set_new(variant, "option_values", values);
    json_array_append_new(json_object_get(self->product, "variants"), variant);
}

void souk_shopify_row(souk_shopify_t *self, const souk_csv_t *row) {
    if (self->product == NULL) {
        s_begin(self, row);
    }
    const char *image = s_get(self, row, IMAGE_SRC);
    if (image[0] != '\0') {
        json_t *media = json_pack("{s:s}", "url", image);
        if (s_get(self, row, IMAGE_ALT)[0] != '\0') {
            json_object_set_new(media, "alt", json_string(s_get(self, row, IMAGE_ALT)));
        }
        json_array_append_new(json_object_get(self->product, "media"), media);
    }
    /* A row without SKU and price brings a picture only. */
    if (s_get(self, row, SKU)[0] != '\0' || s_get(self, row, PRICE)[0] != '\0') {
        s_variant(self, row);
    }
}

char *souk_shopify_finish(souk_shopify_t *self, const char **ret_error) {
    char *text = NULL;
    *ret_error = self->error;
    if (self->error == NULL) {
        text = json_dumps(self->product, JSON_COMPACT);
        *ret_error = text == NULL ? "a field is no valid UTF-8" : NULL;
    }
    s_forget(self);
    return text;
}
