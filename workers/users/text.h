/* The names that users' sources know souk/text.h by. */
#ifndef USERS_TEXT_H
#define USERS_TEXT_H

#include "souk/text.h"

#define USERS_EMAIL_BYTES_MAX SOUK_EMAIL_BYTES_MAX
#define users_email_t souk_email_t
#define users_text_line souk_text_line
#define users_text_email souk_text_email
#define users_text_nfc souk_text_nfc
#define users_text_fold souk_text_fold
#define users_country_valid souk_country_valid
#define users_phone_valid souk_phone_valid

#endif
