/*
 * contacts.c - who is whose contact: {_id: "<user>/<contact>", user_id, contact_id, since}, one document for
 * each direction.
 *
 * Both directions are written by one command of two statements. A crash between them leaves one; calling
 * again adds the other.
 */
#include "store_pair.h"

static const struct pair_kind contacts = {
	.collection = STORE_CONTACTS, .other = "contact_id", .since = "since"};

int contact_add(struct store_client *client, const char *a, const char *b)
{
	mongoc_bulk_operation_t *bulk = store_bulk(client, STORE_CONTACTS);
	int r;

	r = pair_add(client, &contacts, bulk, a, b);
	if (r == 0)
		r = pair_add(client, &contacts, bulk, b, a);
	if (r != 0) {
		mongoc_bulk_operation_destroy(bulk);
		return r;
	}
	return store_bulk_execute(client, STORE_CONTACTS, bulk);
}

int contact_find(struct store_client *client, const char *user, const char *contact)
{
	return pair_find(client, &contacts, user, contact);
}

int contact_remove(struct store_client *client, const char *a, const char *b)
{
	mongoc_bulk_operation_t *bulk = store_bulk(client, STORE_CONTACTS);
	int r;

	r = pair_remove(client, &contacts, bulk, a, b);
	if (r == 0)
		r = pair_remove(client, &contacts, bulk, b, a);
	if (r != 0) {
		mongoc_bulk_operation_destroy(bulk);
		return r;
	}
	return store_bulk_execute(client, STORE_CONTACTS, bulk);
}

int contact_list(struct store_client *client, const char *user, const char *after, unsigned limit,
	store_contact_visitor visit, void *context)
{
	return pair_list(client, &contacts, user, after, limit, visit, context);
}
