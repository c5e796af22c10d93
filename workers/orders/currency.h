/* How an amount in minor units is written for people. */
#ifndef ORDERS_CURRENCY_H
#define ORDERS_CURRENCY_H

#include "souk/base.h"

/* Longest text of orders_currency_print with its NUL. */
#define ORDERS_CURRENCY_TEXT_BYTES 32

/* Decimal places of an ISO 4217 currency (as of 2024); 2 for codes that are not listed. */
int orders_currency_exponent(souk_str_t currency);

/* "19.99 EUR", "1999 JPY", "0.005 KWD"; currency has three characters. Returns text. */
const char *orders_currency_print(int64_t amount, souk_str_t currency,
                                  char text[static ORDERS_CURRENCY_TEXT_BYTES]);

#endif
