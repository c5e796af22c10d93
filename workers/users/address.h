/* Client addresses as places where somebody is: an IPv4 address, or the first 64 bits of an IPv6
 * one, of which one customer has all. */
#ifndef USERS_ADDRESS_H
#define USERS_ADDRESS_H

#include "souk/base.h"

#define USERS_ADDRESS_BYTES_MAX 46

/* The form of address, NUL-terminated; "" for what is no address. IPv4 in IPv6 (::ffff:192.0.2.1)
 * is the IPv4 address. */
void users_address_form(souk_str_t address, char ret_form[USERS_ADDRESS_BYTES_MAX]);

#endif
