/*
 * store_document.h - inside of store/: fields of documents, written and read.
 *
 * A field that is not there or of another type, which only an operator's own hand can have done, is read as
 * empty. What is read points into the document.
 */
#ifndef STORE_DOCUMENT_H
#define STORE_DOCUMENT_H

#include "store_client.h"

/* Bytes outside of ASCII become ? where the text is not UTF-8. NULL is the empty text. */
void store_append_text(bson_t *document, const char *field, const char *text);

/* The field "reason", which may be the words of a library or a server: with secrets hidden (log_secret.h). */
void store_append_reason(bson_t *document, const char *reason);
void store_append_bytes(bson_t *document, const char *field, const void *bytes, size_t size);
void store_append_id(bson_t *document, const struct store_id *id);

const char *store_text_of(const bson_t *document, const char *field, const char *otherwise);
int64_t store_number_of(const bson_t *document, const char *field);
int64_t store_date_of(const bson_t *document, const char *field); /* INT64_MIN where there is none */
const void *store_bytes_of(const bson_t *document, const char *field, size_t *ret_size);
struct store_id store_id_of(const bson_t *document); /* zeroes where it is none */

#endif
