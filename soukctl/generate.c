/* soukctl generate: plausible products by the thousand, for load tests. The same seed gives the
 * same products. They are synthetic. */
#include <errno.h>
#include <stdio.h>

#include "command.h"
#include "souk/buf.h"
#include "souk/json.h"

#define LINE_BYTES_MAX ((size_t)16 * 1024)
#define COUNT_MAX 10000000

static const char s_usage[] =
    "usage: soukctl generate products --count N [--seed S] [--currency CODE]\n"
    "\n"
    "Writes N synthetic products as JSON Lines to standard output, for soukctl import products - "
    "and load tests. The\n"
    "same seed gives the same products. They name the categories of the seed catalogue "
    "(deploy/local/seed).\n"
    "\n"
    "  --count N         1 to 10000000\n"
    "  --seed S          any whole number from 0 (default 1)\n"
    "  --currency CODE   of the prices (default EUR)\n";

static const char *const s_adjectives[] = {"Quiet",   "Everyday", "Folded", "Heavy",    "Northern",
                                           "Plain",   "Narrow",   "Bright", "Washed",   "Turned",
                                           "Braided", "Hollow",   "Slow",   "Polished", "Low",
                                           "Tall",    "Early",    "Little", "Harbour",  "Winter"};
static const char *const s_materials[] = {
    "oak",   "walnut", "linen",     "wool",   "steel", "brass", "stoneware", "glass",
    "paper", "canvas", "porcelain", "bamboo", "cork",  "slate", "leather",   "beech"};
static const char *const s_colors[] = {"chalk", "sand", "slate", "moss",
                                       "ink",   "rust", "ochre", "charcoal"};
static const char *const s_sizes[] = {"small", "medium", "large"};
static const char *const s_tags[] = {"gift",    "everyday", "travel", "desk",   "serving",
                                     "outdoor", "storage",  "winter", "summer", "care"};
static const struct {
    const char *name, *category;
} s_nouns[] = {
    {"Saucepan", "cookware"},
    {"Casserole", "cookware"},
    {"Chopping Board", "knives-and-boards"},
    {"Bread Knife", "knives-and-boards"},
    {"Dinner Plate", "tableware"},
    {"Tumbler", "tableware"},
    {"Teapot", "coffee-and-tea"},
    {"Grinder", "coffee-and-tea"},
    {"Table Lamp", "lighting"},
    {"Pendant", "lighting"},
    {"Blanket", "textiles"},
    {"Bath Towel", "textiles"},
    {"Crate", "storage"},
    {"Shelf", "storage"},
    {"Notebook", "stationery"},
    {"Pencil", "stationery"},
    {"Desk Tray", "desk"},
    {"Bookend", "desk"},
    {"Trowel", "tools"},
    {"Watering Can", "tools"},
    {"Planter", "pots-and-seeds"},
    {"Flower Pot", "pots-and-seeds"},
    {"Tent", "camping"},
    {"Mug", "camping"},
    {"Day Pack", "bags"},
    {"Tote", "bags"},
    {"Kite", "toys"},
    {"Puzzle", "toys"},
    {"Cookbook", "cookbooks"},
    {"Recipe Cards", "cookbooks"},
};

/* SplitMix64 (Steele, Lea, Flood 2014): every number of a product comes from its own ordinal, so
 * that products do not depend on each other. */
typedef struct {
    uint64_t state;
} random_t;

static uint64_t s_next(random_t *self) {
    uint64_t z = self->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static size_t s_pick(random_t *self, size_t count) {
    return (size_t)(s_next(self) % count);
}

typedef struct {
    uint64_t ordinal;
    const char *adjective, *material, *noun, *category, *currency;
    random_t random;
} product_t;

static void s_variants(souk_buf_t *line, product_t *product) {
    size_t sizes = s_pick(&product->random, 3) == 0 ? 3 : 1,
           colors = 1 + s_pick(&product->random, 3);
    size_t first_color = s_pick(&product->random, SOUK_COUNT_OF(s_colors));
    int64_t price = 500 + (int64_t)s_pick(&product->random, 240) * 100 -
                    (s_pick(&product->random, 2) == 0 ? 1 : 0);
    bool reduced = s_pick(&product->random, 8) == 0;
    souk_buf_printf(line, ",\"options\":[\"color\"%s],\"variants\":[",
                    sizes > 1 ? ",\"size\"" : "");
    for (size_t s = 0; s < sizes; s++) {
        for (size_t c = 0; c < colors; c++) {
            int64_t amount = price + (int64_t)s * 700;
            souk_buf_printf(
                line,
                "%s{\"sku\":\"GEN-%08llu-%zu%zu\",\"price\":{\"amount\":%lld,\"currency\":\"%s\"}",
                s + c > 0 ? "," : "", (unsigned long long)product->ordinal, s, c, (long long)amount,
                product->currency);
            if (reduced) {
                souk_buf_printf(line, ",\"compare_at_price\":{\"amount\":%lld,\"currency\":\"%s\"}",
                                (long long)amount * 5 / 4, product->currency);
            }
            souk_buf_printf(line, ",\"option_values\":{\"color\":\"%s\"",
                            s_colors[(first_color + c) % SOUK_COUNT_OF(s_colors)]);
            if (sizes > 1) {
                souk_buf_printf(line, ",\"size\":\"%s\"", s_sizes[s]);
            }
            souk_buf_printf(line, "},\"weight_g\":%zu}", 50 + s_pick(&product->random, 4000));
        }
    }
    souk_buf_append_byte(line, ']');
}

static void s_slug_part(souk_buf_t *line, const char *text) {
    for (; *text != '\0'; text++) {
        char c = *text == ' ' ? '-' : *text;
        souk_buf_append_byte(line, (uint8_t)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    }
    souk_buf_append_byte(line, '-');
}

static void s_product(souk_buf_t *line, uint64_t seed, uint64_t ordinal, const char *currency) {
    product_t product = {.ordinal = ordinal,
                         .currency = currency,
                         .random = {.state = seed * UINT64_C(0xD1342543DE82EF95) + ordinal}};
    size_t noun = s_pick(&product.random, SOUK_COUNT_OF(s_nouns));
    product.adjective = s_adjectives[s_pick(&product.random, SOUK_COUNT_OF(s_adjectives))];
    product.material = s_materials[s_pick(&product.random, SOUK_COUNT_OF(s_materials))];
    product.noun = s_nouns[noun].name;
    product.category = s_nouns[noun].category;
    souk_buf_clear(line);
    souk_buf_append_str(line, SOUK_STR("{\"slug\":\""));
    s_slug_part(line, product.adjective);
    s_slug_part(line, product.material);
    s_slug_part(line, product.noun);
    souk_buf_printf(line, "%llu\",\"name\":\"%s %c%s %s %llu\"", (unsigned long long)ordinal,
                    product.adjective, product.material[0] - 'a' + 'A', product.material + 1,
                    product.noun, (unsigned long long)ordinal);
    souk_buf_printf(line,
                    ",\"description\":\"A synthetic %s made of %s, number %llu of a generated "
                    "catalogue.\",\"status\":\"active\","
                    "\"category_ids\":[\"%s\"],\"tags\":[\"%s\"],\"attributes\":{\"material\":\"%"
                    "s\",\"line\":\"%s\"}",
                    product.noun, product.material, (unsigned long long)ordinal, product.category,
                    s_tags[s_pick(&product.random, SOUK_COUNT_OF(s_tags))], product.material,
                    product.adjective);
    s_variants(line, &product);
    souk_buf_append_str(line, SOUK_STR("}\n"));
}

static int s_parse(int argc, char **argv, int64_t *ret_count, int64_t *ret_seed,
                   const char **ret_currency) {
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'},
        {"count", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"currency", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    optind = 1;
    for (int c; (c = souk_command_option(argc, argv, longs)) >= 0;) {
        if (c == 'h') {
            return souk_command_help(&generate_command);
        }
        if (c == 'n' && souk_command_int(optarg, 1, COUNT_MAX, ret_count)) {
            continue;
        }
        if (c == 's' && souk_command_int(optarg, 0, INT64_MAX, ret_seed)) {
            continue;
        }
        if (c == 'c' && strlen(optarg) == 3 && strspn(optarg, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3) {
            *ret_currency = optarg;
            continue;
        }
        return souk_command_misuse(&generate_command, "a flag is wrong");
    }
    if (argc - optind != 1 || strcmp(argv[optind], "products") != 0 || *ret_count == 0) {
        return souk_command_misuse(&generate_command, "it takes products and --count");
    }
    return -1;
}

static int s_run(const souk_soukctl_config_t *config, int argc, char **argv) {
    (void)config;
    int64_t count = 0, seed = 1;
    const char *currency = "EUR";
    int code = s_parse(argc, argv, &count, &seed, &currency);
    if (code >= 0) {
        return code;
    }
    souk_buf_t line;
    souk_buf_init(&line, LINE_BYTES_MAX);
    code = SOUKCTL_OK;
    for (int64_t i = 1; i <= count && code == SOUKCTL_OK; i++) {
        s_product(&line, (uint64_t)seed, (uint64_t)i, currency);
        souk_assert(!line.overflow);
        if (fwrite(line.data, 1, line.size, stdout) != line.size) {
            code = SOUKCTL_FAILED;
        }
    }
    souk_buf_done(&line);
    if (fflush(stdout) != 0) {
        code = SOUKCTL_FAILED;
    }
    if (code != SOUKCTL_OK) {
        (void)fprintf(stderr, "soukctl generate: cannot write: %s\n", strerrordesc_np(errno));
    }
    return code;
}

const souk_command_t generate_command = {
    .name = "generate",
    .summary = "write synthetic products",
    .usage = s_usage,
    .run = s_run,
};
