#include "souk/address.h"

#include <arpa/inet.h>

_Static_assert(SOUK_ADDRESS_FORM_BYTES == INET6_ADDRSTRLEN, "an address has room");

void souk_address_form(souk_str_t address, char ret_form[SOUK_ADDRESS_FORM_BYTES]) {
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[SOUK_ADDRESS_FORM_BYTES];
    unsigned char bytes[16];
    const char *form = NULL;
    if (address.size > 0 && address.size < sizeof(text)) {
        memcpy(text, address.data, address.size);
        text[address.size] = '\0';
        if (inet_pton(AF_INET, text, bytes) == 1) {
            form = inet_ntop(AF_INET, bytes, ret_form, SOUK_ADDRESS_FORM_BYTES);
        } else if (inet_pton(AF_INET6, text, bytes) == 1) {
            bool is_mapped = memcmp(bytes, mapped, sizeof(mapped)) == 0;
            memset(bytes + 8, 0, is_mapped ? 0 : 8);
            form = inet_ntop(is_mapped ? AF_INET : AF_INET6, is_mapped ? bytes + 12 : bytes,
                             ret_form, SOUK_ADDRESS_FORM_BYTES);
        }
    }
    if (form == NULL) {
        ret_form[0] = '\0';
    }
}
