#include <criterion/criterion.h>
#include <stdalign.h>
#include <stdlib.h>

#include "souk/arena.h"

static souk_arena_t *s_arena;
static char s_calls[8];
static size_t s_calls_count;

static void s_setup(void) {
    s_arena = souk_arena_new(/* cap_bytes */ 10000, /* keep_bytes */ 5000);
    s_calls_count = 0;
}

static void s_teardown(void) {
    souk_arena_destroy(&s_arena);
}

static void s_note(void *arg) {
    s_calls[s_calls_count++] = *(const char *)arg;
    s_calls[s_calls_count] = '\0';
}

TestSuite(arena, .init = s_setup, .fini = s_teardown);

Test(arena, memory_is_zeroed_and_aligned_and_apart) {
    unsigned char *last = NULL;
    for (size_t bytes = 0; bytes < 100; bytes++) {
        unsigned char *memory = souk_arena_alloc(s_arena, bytes);
        cr_assert_not_null(memory);
        cr_assert_neq(memory, last);
        cr_assert_eq((uintptr_t)memory % alignof(max_align_t), 0);
        for (size_t i = 0; i < bytes; i++) {
            cr_assert_eq(memory[i], 0);
        }
        memset(memory, 0xa5, bytes);
        last = memory;
    }
}

Test(arena, memory_is_zeroed_again_after_reset) {
    memset(souk_arena_alloc(s_arena, 1000), 0xff, 1000);
    souk_arena_reset(s_arena);
    const unsigned char *memory = souk_arena_alloc(s_arena, 1000);
    for (size_t i = 0; i < 1000; i++) {
        cr_assert_eq(memory[i], 0);
    }
}

Test(arena, cap_is_exact_and_overflow_is_sticky_until_reset) {
    cr_assert_not_null(souk_arena_alloc(s_arena, 4096));
    cr_assert_not_null(souk_arena_alloc(s_arena, 5888));
    cr_assert(!souk_arena_overflowed(s_arena));
    cr_assert_not_null(souk_arena_alloc(s_arena, 16));
    cr_assert_eq(souk_arena_used_bytes(s_arena), 10000);
    cr_assert_null(souk_arena_alloc(s_arena, 1));
    cr_assert(souk_arena_overflowed(s_arena));
    souk_arena_reset(s_arena);
    cr_assert(!souk_arena_overflowed(s_arena));
    cr_assert_eq(souk_arena_used_bytes(s_arena), 0);
    cr_assert_not_null(souk_arena_alloc(s_arena, 10000),
                       "kept chunks must not count against a request");
}

Test(arena, sizes_that_wrap_are_an_overflow) {
    cr_assert_null(souk_arena_alloc(s_arena, SIZE_MAX));
    cr_assert_null(souk_arena_alloc(s_arena, SIZE_MAX - 15));
    cr_assert_null(souk_arena_alloc_array(s_arena, SIZE_MAX / 2, 4));
    cr_assert(souk_arena_overflowed(s_arena));
    cr_assert_not_null(souk_arena_alloc_array(s_arena, 3, 4));
}

Test(arena, empty_cap_gives_nothing) {
    souk_arena_t *none = souk_arena_new(0, 0);
    cr_assert_null(souk_arena_alloc(none, 1));
    cr_assert(souk_arena_overflowed(none));
    souk_arena_destroy(&none);
    cr_assert_null(none);
    souk_arena_destroy(&none);
}

Test(arena, big_request_leaves_the_head_chunk_in_use) {
    const char *first = souk_arena_alloc(s_arena, 16);
    cr_assert_not_null(souk_arena_alloc(s_arena, 5000));
    const char *second = souk_arena_alloc(s_arena, 16);
    cr_assert_eq(second, first + 16);
}

Test(arena, copies_end_with_nul) {
    souk_str_t copy = souk_arena_copy(s_arena, (souk_str_t){.data = "a\0b", .size = 3});
    cr_assert_eq(copy.size, 3);
    cr_assert_arr_eq(copy.data, "a\0b", 4);
    copy = souk_arena_copy(s_arena, (souk_str_t){0});
    cr_assert_eq(copy.size, 0);
    cr_assert_str_eq(copy.data, "");
    char *big = calloc(1, 20000);
    copy = souk_arena_copy(s_arena, (souk_str_t){.data = big, .size = 20000});
    cr_assert_null(copy.data);
    cr_assert_eq(copy.size, 0);
    free(big);
}

Test(arena, prints) {
    souk_str_t text = souk_arena_printf(s_arena, "%s-%d", "item", 42);
    cr_assert_str_eq(text.data, "item-42");
    cr_assert_eq(text.size, 7);
    text = souk_arena_printf(s_arena, "%20000d", 1);
    cr_assert_null(text.data);
    cr_assert_eq(text.size, 0);
}

Test(arena, hooks_run_once_last_first_before_memory_goes) {
    char *names = souk_arena_alloc(s_arena, 3);
    memcpy(names, "abc", 3);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(souk_arena_on_reset(s_arena, s_note, names + i), SOUK_OK);
    }
    souk_arena_reset(s_arena);
    cr_assert_str_eq(s_calls, "cba");
    souk_arena_reset(s_arena);
    cr_assert_str_eq(s_calls, "cba");
    char last = 'd';
    cr_assert_eq(souk_arena_on_reset(s_arena, s_note, &last), SOUK_OK);
    souk_arena_destroy(&s_arena);
    cr_assert_str_eq(s_calls, "cbad");
}

Test(arena, hook_without_room_is_refused) {
    cr_assert_not_null(souk_arena_alloc(s_arena, 10000));
    char name = 'x';
    cr_assert_eq(souk_arena_on_reset(s_arena, s_note, &name), SOUK_ERR_NO_MEMORY);
    souk_arena_reset(s_arena);
    cr_assert_eq(s_calls_count, 0);
}

/* Whatever is asked for, what was handed out stays apart, and the cap is never passed. */
Test(arena, random_requests_never_overlap) {
    srand(7);
    for (int round = 0; round < 200; round++) {
        struct {
            unsigned char *at;
            size_t bytes;
        } blocks[200];
        size_t count = 0, sum = 0;
        while (count < 200) {
            size_t bytes = (size_t)(rand() % (round % 2 == 0 ? 64 : 3000));
            unsigned char *memory = souk_arena_alloc(s_arena, bytes);
            if (memory == NULL) {
                break;
            }
            memset(memory, (int)count, bytes);
            blocks[count].at = memory;
            blocks[count++].bytes = bytes;
            sum += bytes;
        }
        cr_assert_leq(sum, 10000);
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < blocks[i].bytes; j++) {
                cr_assert_eq(blocks[i].at[j], i);
            }
        }
        souk_arena_reset(s_arena);
    }
}
