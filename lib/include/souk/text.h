/* What people write about themselves: one form for each text, so that equal texts are equal bytes.
 *
 * A line is NFC, without white space at its ends, without control characters, line and paragraph
 * separators, and the marks that turn the direction of what follows. An email address is a line of
 * one '@' between a local part and a host of two labels or more, both in any script (RFC 6531); it
 * is kept as written but for NFC and the host's case. Two addresses are the same when their folded
 * forms are: full case folding of the whole, in NFC. */
#ifndef SOUK_TEXT_H
#define SOUK_TEXT_H

#include "souk/arena.h"
#include "souk/base.h"
#include "souk/err.h"

#define SOUK_EMAIL_BYTES_MAX 254

typedef struct {
    souk_str_t shown;  /* where mail goes */
    souk_str_t folded; /* what is compared */
} souk_email_t;

/* Results are in the arena. SOUK_ERR_VALIDATION: the text has no such form, or is empty, or has
 * more than points_max code points in it. */
SOUK_MUST_CHECK souk_err_t souk_text_line(souk_arena_t *arena, souk_str_t text, size_t points_max,
                                          souk_str_t *ret_line);
SOUK_MUST_CHECK souk_err_t souk_text_email(souk_arena_t *arena, souk_str_t text,
                                           souk_email_t *ret_email);
/* NFC alone, for passwords: nothing is trimmed or refused. */
SOUK_MUST_CHECK souk_err_t souk_text_nfc(souk_arena_t *arena, souk_str_t text,
                                         souk_str_t *ret_text);
/* For comparing without regard to case; folding it again changes nothing. */
SOUK_MUST_CHECK souk_err_t souk_text_fold(souk_arena_t *arena, souk_str_t text,
                                          souk_str_t *ret_folded);

/* A country's code of two capital letters, ISO 3166-1 alpha-2, officially assigned. */
bool souk_country_valid(souk_str_t code);
/* 3 to 20 digits in all, with spaces, hyphens, dots, slashes and brackets between; may begin with
 * '+'. */
bool souk_phone_valid(souk_str_t phone);

#endif
