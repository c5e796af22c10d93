#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "souk/clock.h"
#include "souk/id.h"

Test(id, has_prefix_time_and_random_part) {
    char id[SOUK_ID_BYTES_MAX];
    int64_t before_ms = souk_clock_unix_us() / 1000;
    size_t size = souk_id_new("prod_", id);
    int64_t after_ms = souk_clock_unix_us() / 1000;
    cr_assert_eq(size, 31);
    cr_assert_eq(strlen(id), 31);
    cr_assert(souk_id_valid(souk_str_of(id), "prod_"));
    int64_t ms = 0;
    for (int i = 0; i < 10; i++) {
        static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        ms = ms * 32 + (strchr(alphabet, id[5 + i]) - alphabet);
    }
    cr_assert(ms >= before_ms && ms <= after_ms);
}

Test(id, ids_of_one_thread_ascend) {
    char last[SOUK_ID_BYTES_MAX] = "", id[SOUK_ID_BYTES_MAX];
    for (int i = 0; i < 100000; i++) {
        souk_id_new("", id);
        cr_assert_lt(strcmp(last, id), 0, "%s then %s", last, id);
        memcpy(last, id, sizeof(last));
    }
}

Test(id, ids_of_one_millisecond_are_not_one_apart) {
    char ids[64][SOUK_ID_BYTES_MAX];
    for (int i = 0; i < 64; i++) {
        souk_id_new("", ids[i]);
    }
    /* Steps of 1 to 2^32: the last characters cannot all be the same or counted up. */
    bool differs = false;
    for (int i = 1; i < 64; i++) {
        differs |= strncmp(ids[i - 1] + 16, ids[i] + 16, 9) != 0;
    }
    cr_assert(differs);
}

Test(id, prefix_has_a_limit, .signal = SIGABRT) {
    char id[SOUK_ID_BYTES_MAX];
    cr_assert_eq(souk_id_new("twelve_chars", id), 38);
    souk_id_new("thirteen_char", id);
}

Test(id, valid_tells_ids_from_other_text) {
    static const struct {
        const char *text, *prefix;
        bool valid;
    } rows[] = {
        {"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B", "prod_", true},
        {"prod_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "prod_", true},
        {"prod_00000000000000000000000000", "prod_", true},
        {"00000000000000000000000000", "", true},
        {"prod_80000000000000000000000000", "prod_", false},
        {"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1", "prod_", false},
        {"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1BC", "prod_", false},
        {"prod_01jd3yv4m8q6t0r7zk5n2x9w1b", "prod_", false},
        {"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1I", "prod_", false},
        {"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1L", "prod_", false},
        {"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1O", "prod_", false},
        {"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1U", "prod_", false},
        {"var_01JD3YV4M8Q6T0R7ZK5N2X9W1B0", "prod_", false},
        {"Prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B", "prod_", false},
        {"", "prod_", false},
        {"", "", false},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        cr_assert_eq(souk_id_valid(souk_str_of(rows[i].text), rows[i].prefix), rows[i].valid, "%s",
                     rows[i].text);
    }
    char nul[] = "prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B";
    nul[12] = '\0';
    cr_assert(!souk_id_valid((souk_str_t){.data = nul, .size = 31}, "prod_"));
    cr_assert(!souk_id_valid((souk_str_t){0}, ""));
}

Test(id, floor_divides_what_was_made_before_from_what_is_made_after) {
    char before[SOUK_ID_BYTES_MAX], floor[SOUK_ID_BYTES_MAX], after[SOUK_ID_BYTES_MAX];
    (void)souk_id_new("x_", before);
    /* The first millisecond that is behind the last id's. */
    int64_t now_ms = souk_clock_unix_us() / 1000 + 2;
    cr_assert_eq(souk_id_floor("x_", now_ms, floor), 28);
    cr_assert(souk_id_valid(souk_str_of(floor), "x_"));
    cr_assert_lt(strcmp(before, floor), 0);
    while (souk_clock_unix_us() / 1000 < now_ms) {
    }
    (void)souk_id_new("x_", after);
    cr_assert_gt(strcmp(after, floor), 0);
    (void)souk_id_floor("x_", 1469918176385, floor); /* github.com/ulid/spec: 01ARYZ6S41 */
    cr_assert_str_eq(floor, "x_01ARYZ6S410000000000000000");
    (void)souk_id_floor("x_", -1, floor);
    cr_assert_str_eq(floor, "x_00000000000000000000000000");
    (void)souk_id_floor("x_", INT64_MAX, floor);
    cr_assert_str_eq(floor, "x_7ZZZZZZZZZ0000000000000000");
}

Test(id, random_bytes_of_every_size_differ_and_stay_inside) {
    for (size_t bytes = 16; bytes < 300; bytes++) {
        unsigned char *a = malloc(bytes), *b = malloc(bytes);
        souk_random(a, bytes);
        souk_random(b, bytes);
        cr_assert_neq(memcmp(a, b, bytes), 0);
        free(a);
        free(b);
    }
    souk_random(NULL, 0);
}

Test(id, child_does_not_repeat_its_parent) {
    unsigned char theirs[16], mine[16];
    souk_random(mine, sizeof(mine)); /* fills the pool */
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        souk_random(theirs, sizeof(theirs));
        _exit(write(ends[1], theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
    }
    souk_random(mine, sizeof(mine));
    cr_assert_eq(read(ends[0], theirs, sizeof(theirs)), sizeof(theirs));
    cr_assert_neq(memcmp(theirs, mine, sizeof(mine)), 0);
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    close(ends[0]);
    close(ends[1]);
}

Test(id, hex_is_lower_case) {
    char hex[11] = "";
    souk_hex("\x00\x1f\xab\xff\x80", 5, hex);
    cr_assert_str_eq(hex, "001fabff80");
    souk_hex(NULL, 0, hex);
    cr_assert_str_eq(hex, "001fabff80");
}
