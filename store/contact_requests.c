/*
 * contact_requests.c - who asked whom and is not answered: {_id: "<to>/<from>", user_id: to, from,
 * requested_at}.
 *
 * A request belongs to the one who is asked, who lists and answers it.
 */
#include "store_pair.h"

static const struct pair_kind contact_requests = {
	.collection = STORE_CONTACT_REQUESTS, .other = "from", .since = "requested_at"};

int contact_request_add(struct store_client *client, const char *from, const char *to)
{
	mongoc_bulk_operation_t *bulk = store_bulk(client, STORE_CONTACT_REQUESTS);
	const int r = pair_add(client, &contact_requests, bulk, to, from);

	if (r != 0) {
		mongoc_bulk_operation_destroy(bulk);
		return r;
	}
	return store_bulk_execute(client, STORE_CONTACT_REQUESTS, bulk);
}

int contact_request_find(struct store_client *client, const char *from, const char *to)
{
	return pair_find(client, &contact_requests, to, from);
}

int contact_request_remove(struct store_client *client, const char *from, const char *to)
{
	mongoc_bulk_operation_t *bulk = store_bulk(client, STORE_CONTACT_REQUESTS);
	const int r = pair_remove(client, &contact_requests, bulk, to, from);

	if (r != 0) {
		mongoc_bulk_operation_destroy(bulk);
		return r;
	}
	return store_bulk_execute(client, STORE_CONTACT_REQUESTS, bulk);
}

int contact_request_list(struct store_client *client, const char *user, const char *after, unsigned limit,
	store_contact_visitor visit, void *context)
{
	return pair_list(client, &contact_requests, user, after, limit, visit, context);
}
