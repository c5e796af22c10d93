#include "souk/base.h"

#include <stdio.h>
#include <stdlib.h>

void souk_assert_failed(const char *expr, const char *file, int line, const char *function) {
    fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, expr);
    abort();
}

const char *souk_version(void) {
    return SOUK_VERSION;
}
