/* The page at /docs, made from docs.html by the build. */
#ifndef SOUK_GATEWAY_PAGE_DOCS_H
#define SOUK_GATEWAY_PAGE_DOCS_H

#include <stddef.h>

extern const unsigned char souk_page_docs[];
extern const size_t souk_page_docs_size;

#endif
