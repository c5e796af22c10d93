/* A request's path is taken segment by segment as it came: '/' splits before decoding, so an
 * encoded slash stays inside its segment. A literal is compared with the segment as decoded on the
 * way ("/v1/%70roducts" is "/v1/products": RFC 3986, 6.2.2.2). Dot segments are not removed: "."
 * and ".." are just names, and no resource has them. */
#include "gateway/router.h"

#include <stdlib.h>

typedef struct node node_t;
struct node {
    souk_str_t literal;
    node_t *children; /* with a literal: a linked list, as there are few to a node */
    node_t *next;
    node_t *param; /* any one segment */
    const souk_router_entry_t *entries[SOUK_HTTP_METHODS_COUNT];
    char allow[64];
};

struct souk_router {
    node_t root;
    souk_router_entry_t **entries;
    size_t count;
};

/* A process that cannot have a few kilobytes at its start cannot go on. */
static void *s_alloc(size_t bytes) {
    void *memory = calloc(1, bytes);
    souk_assert(memory != NULL);
    return memory;
}

souk_router_t *souk_router_new(void) {
    return s_alloc(sizeof(souk_router_t));
}

static void s_free_nodes(node_t *node) {
    while (node != NULL) {
        node_t *next = node->next;
        s_free_nodes(node->children);
        s_free_nodes(node->param);
        free(node);
        node = next;
    }
}

void souk_router_destroy(souk_router_t **self_p) {
    souk_router_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    s_free_nodes(self->root.children);
    s_free_nodes(self->root.param);
    for (size_t i = 0; i < self->count; i++) {
        free(self->entries[i]);
    }
    free(self->entries);
    free(self);
    *self_p = NULL;
}

/* Takes the next segment off *rest, which begins with '/'. False: the path has ended. */
static bool s_next_segment(souk_str_t *rest, souk_str_t *ret_segment) {
    if (rest->size == 0 || rest->data[0] != '/') {
        return false;
    }
    const char *from = rest->data + 1;
    const char *slash = memchr(from, '/', rest->size - 1);
    size_t size = slash != NULL ? (size_t)(slash - from) : rest->size - 1;
    *ret_segment = (souk_str_t){.data = from, .size = size};
    rest->data = from + size;
    rest->size -= size + 1;
    return true;
}

static node_t *s_require_child(node_t *node, souk_str_t segment, souk_router_entry_t *entry) {
    if (segment.size > 0 && segment.data[0] == '{') {
        souk_assert(segment.size > 2 && segment.data[segment.size - 1] == '}');
        souk_assert(entry->params_count < SOUK_ROUTER_PARAMS_MAX);
        entry->params[entry->params_count++] = (souk_str_t){segment.data + 1, segment.size - 2};
        if (node->param == NULL) {
            node->param = s_alloc(sizeof(*node->param));
        }
        return node->param;
    }
    for (node_t *child = node->children; child != NULL; child = child->next) {
        if (souk_str_equal(child->literal, segment)) {
            return child;
        }
    }
    node_t *child = s_alloc(sizeof(*child));
    child->literal = segment;
    child->next = node->children;
    node->children = child;
    return child;
}

static void s_write_allow(node_t *node) {
    size_t size = 0;
    for (unsigned method = 0; method < SOUK_HTTP_METHODS_COUNT; method++) {
        bool here = node->entries[method] != NULL || method == SOUK_HTTP_OPTIONS ||
                    (method == SOUK_HTTP_HEAD && node->entries[SOUK_HTTP_GET] != NULL);
        if (!here) {
            continue;
        }
        souk_str_t name = souk_str_of(souk_http_method_name((souk_http_method_t)method));
        souk_assert(size + name.size + 3 <= sizeof(node->allow));
        if (size > 0) {
            memcpy(node->allow + size, ", ", 2);
            size += 2;
        }
        memcpy(node->allow + size, name.data, name.size + 1);
        size += name.size;
    }
}

void souk_router_add(souk_router_t *self, const char *verb, const char *path,
                     const souk_route_t *route, const void *local) {
    souk_assert((route != NULL) != (local != NULL));
    souk_router_entry_t *entry = s_alloc(sizeof(*entry));
    *entry = (souk_router_entry_t){
        .verb = verb, .path = path, .route = route, .local = local, .number = self->count};
    node_t *node = &self->root;
    souk_str_t rest = souk_str_of(path);
    souk_str_t segment;
    while (s_next_segment(&rest, &segment)) {
        node = s_require_child(node, segment, entry);
    }
    souk_http_method_t method = SOUK_HTTP_GET;
    bool known = souk_http_method_of(souk_str_of(verb), &method);
    souk_assert(known && rest.size == 0 && node != &self->root);
    souk_assert(node->entries[method] == NULL);
    node->entries[method] = entry;
    s_write_allow(node);
    self->entries = realloc(self->entries, (self->count + 1) * sizeof(souk_router_entry_t *));
    souk_assert(self->entries != NULL);
    self->entries[self->count++] = entry;
}

size_t souk_router_count(const souk_router_t *self) {
    return self->count;
}

const souk_router_entry_t *souk_router_entry(const souk_router_t *self, size_t number) {
    souk_assert(number < self->count);
    return self->entries[number];
}

/* ---- decoding ---- */

/* The byte that text stands for at offset at, and how many characters it took; -1: malformed, or a
 * control character. */
static int s_decode_at(souk_str_t text, size_t at, size_t *ret_taken) {
    *ret_taken = 1;
    if (text.data[at] != '%') {
        return (uint8_t)text.data[at];
    }
    if (text.size - at < 3) {
        return -1;
    }
    int high = souk_http_hex_digit(text.data[at + 1]);
    int low = souk_http_hex_digit(text.data[at + 2]);
    int byte = high * 16 + low;
    *ret_taken = 3;
    return high < 0 || low < 0 || byte < 0x20 || byte == 0x7f ? -1 : byte;
}

bool souk_http_decode(souk_str_t text, bool plus, char *out, size_t *ret_size) {
    size_t size = 0;
    size_t taken = 1;
    for (size_t at = 0; at < text.size; at += taken) {
        int byte = s_decode_at(text, at, &taken);
        if (byte < 0) {
            return false;
        }
        out[size++] = plus && text.data[at] == '+' ? ' ' : (char)byte;
    }
    *ret_size = size;
    return true;
}

static bool s_means(souk_str_t segment, souk_str_t literal) {
    if (memchr(segment.data, '%', segment.size) == NULL) {
        return souk_str_equal(segment, literal);
    }
    size_t size = 0;
    size_t taken = 1;
    for (size_t at = 0; at < segment.size; at += taken) {
        int byte = s_decode_at(segment, at, &taken);
        if (byte < 0 || size == literal.size || byte != (uint8_t)literal.data[size]) {
            return false;
        }
        size++;
    }
    return size == literal.size;
}

/* ---- matching ---- */

/* Depth-first, literals before the parameter: at most 2^depth steps, and depth is what the table
 * has. */
static const node_t *s_find(const node_t *node, souk_str_t rest, souk_str_t *values,
                            size_t values_count) {
    souk_str_t segment;
    if (!s_next_segment(&rest, &segment)) {
        return node->allow[0] != '\0' ? node : NULL;
    }
    for (const node_t *child = node->children; child != NULL; child = child->next) {
        if (s_means(segment, child->literal)) {
            const node_t *found = s_find(child, rest, values, values_count);
            if (found != NULL) {
                return found;
            }
            break;
        }
    }
    if (node->param == NULL || segment.size == 0) {
        return NULL;
    }
    values[values_count] = segment; /* souk_router_add asserted that there is room */
    return s_find(node->param, rest, values, values_count + 1);
}

bool souk_router_match(const souk_router_t *self, souk_http_method_t method, souk_str_t path,
                       souk_router_match_t *ret_match) {
    if (path.size == 0 || path.data[0] != '/') {
        return false;
    }
    const node_t *node = s_find(&self->root, path, ret_match->values, 0);
    if (node == NULL) {
        return false;
    }
    ret_match->allow = node->allow;
    ret_match->entry = node->entries[method];
    if (ret_match->entry == NULL && method == SOUK_HTTP_HEAD) {
        ret_match->entry = node->entries[SOUK_HTTP_GET];
    }
    return true;
}
