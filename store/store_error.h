/* store_error.h - inside of store/: what errors of reads mean; see store_classify(). */
#ifndef STORE_ERROR_H
#define STORE_ERROR_H

#include <bson/bson.h>

/* As store_classify(), for what makes no documents: no STORE_E_DUPLICATE. */
int store_classify_read(const bson_t *reply, const bson_error_t *error);

#endif
