/* The engine over the golden vectors: every request and reply of every method in each of its forms,
 * and the bodies that have to be refused. The vectors are made from the examples in schemas/ by an
 * encoder of the generator, which its own tests compare with another one. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "gen/vectors.h"
#include "souk/transcode.h"

#define BYTES_MAX ((size_t)1 << 20)

static souk_arena_t *s_arena;
static souk_buf_t s_buf;
static souk_issues_t s_issues;

static void s_setup(void) {
    s_arena = souk_arena_new(BYTES_MAX, BYTES_MAX);
    souk_buf_init(&s_buf, BYTES_MAX);
}

static void s_teardown(void) {
    souk_arena_destroy(&s_arena);
    souk_buf_done(&s_buf);
}

TestSuite(golden, .init = s_setup, .fini = s_teardown);

/* A zeroed struct of the type; nothing of an earlier one is left. */
static void *s_fresh(const souk_type_t *type) {
    souk_arena_reset(s_arena);
    souk_buf_clear(&s_buf);
    souk_issues_init(&s_issues);
    void *value = souk_arena_alloc(s_arena, type->struct_bytes);
    cr_assert_not_null(value);
    return value;
}

static const char *s_first_issue(void) {
    static char text[SOUK_POINTER_BYTES_MAX + 128];
    const souk_issue_t *issue = &s_issues.items[0];
    (void)snprintf(text, sizeof(text), "%s %s", s_issues.count > 0 ? issue->pointer : "no issue",
                   s_issues.count > 0 ? issue->reason : "");
    return text;
}

static void s_expect_mp(const souk_vector_t *vector, const void *value, const char *from) {
    souk_schema_to_mp(vector->type, value, &s_buf);
    cr_assert(!s_buf.overflow);
    cr_assert(s_buf.size == vector->mp_size && memcmp(s_buf.data, vector->mp, s_buf.size) == 0,
              "%s from %s: other msgpack (%zu bytes for %zu)", vector->name, from, s_buf.size,
              vector->mp_size);
}

static void s_read_texts(const souk_type_t *type, const souk_vector_text_t *texts, size_t count,
                         void *value) {
    for (size_t i = 0; i < count; i++) {
        souk_str_t key;
        const souk_field_t *field =
            souk_type_field_from(type, texts[i].source, souk_str_of(texts[i].name), &key);
        cr_assert_not_null(field, "%s: no field for %s", type->name, texts[i].name);
        souk_err_t err = souk_schema_from_text(type, field, key, souk_str_of(texts[i].text),
                                               s_arena, value, &s_issues);
        cr_assert_eq(err, SOUK_OK, "%s %s: %s", type->name, texts[i].name, s_first_issue());
    }
}

Test(golden, http_becomes_the_canonical_msgpack) {
    for (size_t i = 0; i < souk_vectors_count; i++) {
        const souk_vector_t *vector = &souk_vectors[i];
        if (vector->is_reply) {
            continue;
        }
        void *value = s_fresh(vector->type);
        s_read_texts(vector->type, vector->texts, vector->texts_count, value);
        souk_err_t err = souk_schema_from_json(vector->type, souk_str_of(vector->json), s_arena,
                                               value, &s_issues);
        cr_assert_eq(err, SOUK_OK, "%s: %s", vector->name, s_first_issue());
        cr_assert_eq(souk_schema_check(vector->type, value, &s_issues), SOUK_OK, "%s: %s",
                     vector->name, s_first_issue());
        s_expect_mp(vector, value, "HTTP");
    }
}

Test(golden, msgpack_becomes_itself) {
    for (size_t i = 0; i < souk_vectors_count; i++) {
        const souk_vector_t *vector = &souk_vectors[i];
        void *value = s_fresh(vector->type);
        souk_str_t bytes = {.data = (const char *)vector->mp, .size = vector->mp_size};
        souk_err_t err = souk_schema_from_mp(vector->type, bytes, s_arena, value, &s_issues);
        cr_assert_eq(err, SOUK_OK, "%s: %s", vector->name, s_first_issue());
        s_expect_mp(vector, value, "msgpack");
    }
}

Test(golden, every_shorter_msgpack_is_refused) {
    for (size_t i = 0; i < souk_vectors_count; i++) {
        const souk_vector_t *vector = &souk_vectors[i];
        for (size_t size = 0; size < vector->mp_size; size++) {
            void *value = s_fresh(vector->type);
            souk_str_t bytes = {.data = (const char *)vector->mp, .size = size};
            cr_assert_neq(souk_schema_from_mp(vector->type, bytes, s_arena, value, &s_issues),
                          SOUK_OK, "%s cut to %zu bytes", vector->name, size);
        }
    }
}

Test(golden, replies_print_as_their_json) {
    for (size_t i = 0; i < souk_vectors_count; i++) {
        const souk_vector_t *vector = &souk_vectors[i];
        if (!vector->is_reply) {
            continue;
        }
        souk_buf_clear(&s_buf);
        souk_str_t bytes = {.data = (const char *)vector->mp, .size = vector->mp_size};
        cr_assert_eq(souk_transcode(bytes, &s_buf, NULL, 0), SOUK_OK, "%s", vector->name);
        cr_assert(souk_str_equal(souk_buf_str(&s_buf), souk_str_of(vector->json)),
                  "%s: %.*s\nbut expected %s", vector->name, (int)s_buf.size,
                  (const char *)s_buf.data, vector->json);
    }
}

Test(golden, bad_bodies_are_refused_at_the_right_field) {
    for (size_t i = 0; i < souk_vectors_refused_count; i++) {
        const souk_vector_refused_t *refused = &souk_vectors_refused[i];
        void *value = s_fresh(refused->type);
        s_read_texts(refused->type, refused->texts, refused->texts_count, value);
        souk_err_t err = souk_schema_from_json(refused->type, souk_str_of(refused->json), s_arena,
                                               value, &s_issues);
        if (err == SOUK_OK) {
            err = souk_schema_check(refused->type, value, &s_issues);
        }
        cr_assert_eq(err, refused->err, "%s: error %d, but expected %d", refused->name, (int)err,
                     (int)refused->err);
        bool found = false;
        for (size_t at = 0; at < s_issues.count; at++) {
            found = found || strcmp(s_issues.items[at].pointer, refused->pointer) == 0;
        }
        cr_assert(found, "%s: no issue at %s, but %s", refused->name, refused->pointer,
                  s_first_issue());
    }
}
