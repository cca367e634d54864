/* contact_documents.c - see contact_documents.h. */
#include "contact_documents.h"

#include "apples.h"
#include "clock.h"
#include "contacts.h"
#include "documents.h"
#include "documents_indexes.h"

struct run {
	struct arena memory;
	struct documents documents;
};

static struct documents *begin(struct run *run, struct store_client *client)
{
	arena_init(&run->memory, NULL, 0);
	documents_begin(&run->documents, &run->memory, NULL, 1);
	run->documents.client = client;
	return &run->documents;
}

static int end(struct run *run, int error)
{
	if (!error)
		error = documents_flush(&run->documents);
	documents_end(&run->documents);
	arena_free(&run->memory);
	return error < DOCUMENTS_E_MISTAKE ? error : STORE_E_PERMANENT;
}

static int find(struct store_client *client, const struct cashew_collection *collection, const void *keys)
{
	const void *found = NULL;
	struct run run;
	const int error = documents_find(begin(&run, client), collection, keys, &found);
	return end(&run, error || found ? error : STORE_E_NOT_FOUND);
}

/* ---- requests ---- */

int contact_request_add(struct store_client *client, const char *from, const char *to)
{
	struct run run;
	return end(&run, documents_add(begin(&run, client), &contact_request_collection,
				 &(const struct contact_request){
					 .user_id = to, .from = from, .requested_at = clock_unix_ms()}));
}

int contact_request_find(struct store_client *client, const char *from, const char *to)
{
	return find(client, &contact_request_collection,
		&(const struct contact_request){.user_id = to, .from = from});
}

int contact_request_remove(struct store_client *client, const char *from, const char *to)
{
	struct run run;
	return end(&run, documents_remove(begin(&run, client), &contact_request_collection,
				 &(const struct contact_request){.user_id = to, .from = from}));
}

/* ---- contacts ---- */

int contact_add(struct store_client *client, const char *a, const char *b)
{
	struct run run;
	const int64_t now_ms = clock_unix_ms();
	struct documents *d = begin(&run, client);
	int error = documents_add(d, &contact_collection,
		&(const struct contact){.user_id = a, .contact_id = b, .since = now_ms});
	if (!error)
		error = documents_add(d, &contact_collection,
			&(const struct contact){.user_id = b, .contact_id = a, .since = now_ms});
	return end(&run, error);
}

int contact_remove(struct store_client *client, const char *a, const char *b)
{
	struct run run;
	struct documents *d = begin(&run, client);
	int error = documents_remove(
		d, &contact_collection, &(const struct contact){.user_id = a, .contact_id = b});
	if (!error)
		error = documents_remove(
			d, &contact_collection, &(const struct contact){.user_id = b, .contact_id = a});
	return end(&run, error);
}

int contact_find(struct store_client *client, const char *user, const char *contact)
{
	return find(
		client, &contact_collection, &(const struct contact){.user_id = user, .contact_id = contact});
}

/* ---- lists ---- */

struct visiting {
	store_contact_visitor visit;
	void *context;
};

static bool visit_contact(void *context, const void *document)
{
	const struct visiting *visiting = context;
	const struct contact *contact = document;
	return visiting->visit(
		&(const struct store_contact){contact->contact_id, contact->since}, visiting->context);
}

static bool visit_request(void *context, const void *document)
{
	const struct visiting *visiting = context;
	const struct contact_request *request = document;
	return visiting->visit(
		&(const struct store_contact){request->from, request->requested_at}, visiting->context);
}

static int list(struct store_client *client, const struct documents_page *page)
{
	struct run run;
	bool more;
	return page->limit == 0 ? 0 : end(&run, documents_page(begin(&run, client), page, &more));
}

int contact_request_list(struct store_client *client, const char *user, const char *after, unsigned limit,
	store_contact_visitor visit, void *context)
{
	const struct cashew_change key = {CASHEW_V_key, offsetof(struct contact_request, user_id), &user};
	struct visiting visiting = {visit, context};
	return list(client, &(const struct documents_page){&contact_request_collection, 1, &key, after, limit,
				    visit_request, &visiting});
}

int contact_list(struct store_client *client, const char *user, const char *after, unsigned limit,
	store_contact_visitor visit, void *context)
{
	const struct cashew_change key = {CASHEW_V_key, offsetof(struct contact, user_id), &user};
	struct visiting visiting = {visit, context};
	return list(client, &(const struct documents_page){
				    &contact_collection, 1, &key, after, limit, visit_contact, &visiting});
}

int apple_list(struct store_client *client, unsigned limit, store_apple_visitor visit, void *context)
{
	const int64_t first = 1;
	const struct cashew_change from = {CASHEW_V_from, offsetof(struct apple, position), &first};
	const void *found;
	size_t count;
	struct run run;
	int error = documents_list(begin(&run, client), &apple_collection, limit, 1, &from, &found, &count);
	const struct apple *apples = found;
	for (size_t i = 0; !error && i < count && visit(apples[i].colour, context); i++)
		;
	return end(&run, error);
}

int apples_add(struct store_client *client)
{
	static const char *const colours[] = {"orange", "pink", "white"};
	struct run run;
	struct documents *d = begin(&run, client);
	int error = 0;
	for (int i = 0; !error && i < 3; i++)
		error = documents_add(
			d, &apple_collection, &(const struct apple){.colour = colours[i], .position = i + 1});
	return end(&run, error);
}

int contact_documents_want_indexes(struct store *store)
{
	const struct cashew_handler handler = {
		.collections = CASHEW_COLLECTIONS(contact, contact_request, apple)};
	const struct cashew_handler *const handlers[] = {&handler, NULL};
	return documents_want_indexes(store, handlers);
}
