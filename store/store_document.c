/* store_document.c - fields of documents: see store_document.h. */
#include "store_document.h"

#include "log_secret.h"

#include <string.h>

void store_append_text(bson_t *document, const char *field, const char *text)
{
	const size_t size = text ? strlen(text) : 0;
	char *copy;

	if (bson_utf8_validate(text ? text : "", size, false)) {
		BSON_APPEND_UTF8(document, field, text ? text : "");
		return;
	}
	copy = bson_strdup(text);
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)copy[i] >= 0x80)
			copy[i] = '?';
	BSON_APPEND_UTF8(document, field, copy);
	bson_free(copy);
}

void store_append_reason(bson_t *document, const char *reason)
{
	char *copy = bson_strdup(reason ? reason : "");

	log_secret_hide(copy);
	store_append_text(document, "reason", copy);
	bson_free(copy);
}

struct store_id store_new_id(void)
{
	struct store_id id;
	bson_oid_t oid;

	bson_oid_init(&oid, NULL);
	memcpy(id.bytes, oid.bytes, sizeof(id.bytes));
	return id;
}

void store_append_id(bson_t *document, const struct store_id *id)
{
	bson_oid_t oid;

	memcpy(oid.bytes, id->bytes, sizeof(oid.bytes));
	BSON_APPEND_OID(document, "_id", &oid);
}

void store_append_bytes(bson_t *document, const char *field, const void *bytes, size_t size)
{
	BSON_APPEND_BINARY(document, field, BSON_SUBTYPE_BINARY, bytes ? bytes : "", (uint32_t)size);
}

const char *store_text_of(const bson_t *document, const char *field, const char *otherwise)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_UTF8(&iter)
		       ? bson_iter_utf8(&iter, NULL)
		       : otherwise;
}

int64_t store_number_of(const bson_t *document, const char *field)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, field) ? bson_iter_as_int64(&iter) : 0;
}

int64_t store_date_of(const bson_t *document, const char *field)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_DATE_TIME(&iter)
		       ? bson_iter_date_time(&iter)
		       : INT64_MIN;
}

struct store_id store_id_of(const bson_t *document)
{
	struct store_id id = {{0}};
	bson_iter_t iter;

	if (bson_iter_init_find(&iter, document, "_id") && BSON_ITER_HOLDS_OID(&iter))
		memcpy(id.bytes, bson_iter_oid(&iter)->bytes, sizeof(id.bytes));
	return id;
}

const void *store_bytes_of(const bson_t *document, const char *field, size_t *ret_size)
{
	const uint8_t *bytes = NULL;
	uint32_t size = 0;
	bson_iter_t iter;

	if (bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_BINARY(&iter))
		bson_iter_binary(&iter, NULL, &size, &bytes);
	*ret_size = size;
	return bytes;
}
