#include "import_categories.h"

#include <jansson.h>
#include <stdlib.h>

#include "command.h"
#include "feed.h"

#define REPLY_BYTES_MAX ((size_t)2 * 1024 * 1024)
#define PATH_BYTES_MAX 256

typedef enum { CREATED, UPDATED, UNCHANGED, FAILED, AWAY, OUTCOMES_COUNT } outcome_t;

typedef struct {
    souk_http_t *http;
    const char *path;
    unsigned long line;
    bool dry_run;
    souk_buf_t reply;
} import_t;

static outcome_t s_refused(import_t *self, long status) {
    json_error_t error;
    if (status == 0) {
        (void)fprintf(stderr, "soukctl import: %s\n", souk_http_error(self->http));
        return AWAY;
    }
    json_t *problem = json_loadb((const char *)self->reply.data, self->reply.size, 0, &error);
    const char *code = json_string_value(json_object_get(problem, "code"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    char *errors = json_dumps(json_object_get(problem, "errors"), JSON_COMPACT);
    (void)fprintf(stderr, "%s:%lu: %s: %s %s\n", self->path, self->line,
                  code != NULL ? code : "refused", detail != NULL ? detail : "",
                  errors != NULL ? errors : "");
    free(errors);
    json_decref(problem);
    return status == 401 || status == 403 || status >= 500 ? AWAY : FAILED;
}

static long s_send(import_t *self, const char *verb, const char *path, json_t *body,
                   const char *if_match) {
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    const souk_http_request_t request = {.verb = verb,
                                         .path = path,
                                         .body = souk_str_of(text),
                                         .if_match = if_match,
                                         .repeatable = true};
    long status = souk_http_send(self->http, &request, &self->reply);
    free(text);
    return status;
}

/* The fields of wanted that differ from what is there. A parent is told by slug in the file and by
 * id in the reply: the ancestors have both. */
static json_t *s_changes(const json_t *wanted, const json_t *reply) {
    json_t *changes = json_object();
    const json_t *category = json_object_get(reply, "category");
    const json_t *ancestors = json_object_get(reply, "ancestors");
    const json_t *parent = json_array_get(ancestors, json_array_size(ancestors) - 1);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, name, value) {
        const json_t *now = json_object_get(category, name);
        bool same = now == NULL ? json_is_null(value) : json_equal(now, value) == 1;
        if (strcmp(name, "parent_id") == 0 && parent != NULL) {
            same = same || json_equal(json_object_get(parent, "slug"), value) == 1;
        }
        if (!same) {
            json_object_set(changes, name, value);
        }
    }
    return changes;
}

static outcome_t s_update(import_t *self, const json_t *wanted) {
    char path[PATH_BYTES_MAX], if_match[32];
    json_error_t error;
    json_t *reply = json_loadb((const char *)self->reply.data, self->reply.size, 0, &error);
    const json_t *category = json_object_get(reply, "category");
    const char *id = json_string_value(json_object_get(category, "id"));
    json_t *changes = s_changes(wanted, reply);
    outcome_t outcome = UNCHANGED;
    if (id == NULL) {
        outcome = FAILED;
    } else if (json_object_size(changes) > 0) {
        (void)snprintf(path, sizeof path, "/v1/admin/categories/%s", id);
        (void)snprintf(if_match, sizeof if_match, "\"%lld\"",
                       (long long)json_integer_value(json_object_get(category, "version")));
        long status = self->dry_run ? 200 : s_send(self, "PATCH", path, changes, if_match);
        outcome = status == 200 ? UPDATED : s_refused(self, status);
    }
    json_decref(changes);
    json_decref(reply);
    return outcome;
}

static outcome_t s_one(import_t *self, souk_str_t text) {
    char path[PATH_BYTES_MAX];
    json_error_t error;
    json_t *wanted = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    const char *slug = json_string_value(json_object_get(wanted, "slug"));
    outcome_t outcome = FAILED;
    if (slug == NULL || strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(slug) ||
        strlen(slug) > 120) {
        (void)fprintf(stderr, "%s:%lu: %s\n", self->path, self->line,
                      wanted == NULL ? error.text : "it has no slug of a-z, 0-9 and '-'");
    } else {
        (void)snprintf(path, sizeof path, "/v1/categories/%s", slug);
        long status = s_send(self, "GET", path, NULL, NULL);
        if (status == 200) {
            outcome = s_update(self, wanted);
        } else if (status == 404) {
            status =
                self->dry_run ? 201 : s_send(self, "POST", "/v1/admin/categories", wanted, NULL);
            outcome = status == 201 ? CREATED : s_refused(self, status);
        } else {
            outcome = s_refused(self, status);
        }
    }
    json_decref(wanted);
    return outcome;
}

int souk_import_categories(FILE *file, const char *path, souk_http_t *http, bool dry_run) {
    const souk_feed_options_t options = {.currency = ""};
    unsigned long counts[OUTCOMES_COUNT] = {0};
    import_t self = {.http = http, .path = path, .dry_run = dry_run};
    souk_feed_t *source = souk_feed_new(file, false, &options);
    souk_buf_init(&self.reply, REPLY_BYTES_MAX);
    souk_str_t text;
    souk_feed_result_t result;
    while (counts[AWAY] == 0 && (result = souk_feed_next(source, &text)) != SOUK_FEED_END) {
        self.line = souk_feed_line(source);
        if (result == SOUK_FEED_BAD) {
            (void)fprintf(stderr, "%s:%lu: %s\n", path, self.line, souk_feed_error(source));
            counts[FAILED]++;
        } else {
            counts[s_one(&self, text)]++;
        }
    }
    souk_buf_done(&self.reply);
    souk_feed_destroy(&source);
    (void)printf("%s%lu created, %lu updated, %lu unchanged, %lu failed\n",
                 dry_run ? "dry run: " : "", counts[CREATED], counts[UPDATED], counts[UNCHANGED],
                 counts[FAILED]);
    return counts[AWAY] > 0 ? SOUKCTL_AWAY : counts[FAILED] > 0 ? SOUKCTL_REFUSED : SOUKCTL_OK;
}
