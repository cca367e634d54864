/*
 * store_failpoint.c - a failpoint inside of handlers, inside_handler: before each write of documents that a handler makes, and behind each change that counts
 * once, where the document has it and nobody knows.
 *
 * The linker leads the calls here (--wrap) and names the store's own function __real_...
 */
#include "failpoint.h"
#include "store_documents.h"

/* Their names are the linker's. */
int __real_store_documents_write(struct store_client *client, const char *collection,
	const struct store_statement *first, const struct store_statement **ret_failed);
int __wrap_store_documents_write(struct store_client *client, const char *collection,
	const struct store_statement *first, const struct store_statement **ret_failed);
int __wrap_store_documents_write(struct store_client *client, const char *collection,
	const struct store_statement *first, const struct store_statement **ret_failed)
{
	failpoint("inside_handler");
	return __real_store_documents_write(client, collection, first, ret_failed);
}

int __real_store_documents_modify(struct store_client *client, const struct store_modification *modification,
	bson_t *ret_reply, bson_iter_t *ret_document);
int __wrap_store_documents_modify(struct store_client *client, const struct store_modification *modification,
	bson_t *ret_reply, bson_iter_t *ret_document);
int __wrap_store_documents_modify(struct store_client *client, const struct store_modification *modification,
	bson_t *ret_reply, bson_iter_t *ret_document)
{
	const int error = __real_store_documents_modify(client, modification, ret_reply, ret_document);
	failpoint("inside_handler");
	return error;
}
