/* Client addresses as places where somebody is: an IPv4 address, or the first 64 bits of an IPv6
 * one, of which one customer has all. */
#ifndef SOUK_ADDRESS_H
#define SOUK_ADDRESS_H

#include "souk/base.h"

#define SOUK_ADDRESS_FORM_BYTES 46

/* The form of address, NUL-terminated; "" for what is no address. IPv4 in IPv6 (::ffff:192.0.2.1)
 * is the IPv4 address. */
void souk_address_form(souk_str_t address, char ret_form[SOUK_ADDRESS_FORM_BYTES]);

#endif
