/* explained_documents.c - see explained_documents.h. */
#include "explained_documents.h"

#include "apples.h"
#include "contacts.h"
#include "documents.h"
#include "documents_indexes.h"

#include <stdio.h>
#include <string.h>

CASHEW_COLLECTION(visit, "visits", (user, user_id, .key = true), (text, place, .key = true), (integer, times),
	(time, first_at, .index = CASHEW_WITHIN), (time, last_at, .index = CASHEW_ACROSS));

enum { VISITS = 400, LISTED = 20, NOTES = 500 };

static struct store_client *client;

struct run {
	struct arena memory;
	struct documents d;
};

/* note: as of a sender's command; NULL: it has no id. */
static void begin(struct run *run, const char *note)
{
	arena_init(&run->memory, NULL, 0);
	documents_begin(&run->d, &run->memory, note, NOTES);
	run->d.client = client;
}

static int end(struct run *run, int error)
{
	if (error == 0)
		error = documents_flush(&run->d);
	if (run->d.reason)
		(void)fprintf(stderr, "%s\n", run->d.reason);
	documents_end(&run->d);
	arena_free(&run->memory);
	return error < DOCUMENTS_E_MISTAKE ? error : STORE_E_PERMANENT;
}

int explained_documents_want_indexes(struct store *store)
{
	const struct cashew_handler handler = {
		.collections = CASHEW_COLLECTIONS(contact, contact_request, apple, visit)};
	const struct cashew_handler *const handlers[] = {&handler, NULL};
	return documents_want_indexes(store, handlers);
}

int explained_documents_fill(struct store_client *with)
{
	struct run run;
	int error = 0;
	client = with;
	begin(&run, NULL);
	for (int i = 0; error == 0 && i < VISITS; i++) {
		char user[16], place[16];
		snprintf(user, sizeof(user), "u%d", i);
		snprintf(place, sizeof(place), "p%d", i);
		error = documents_add(&run.d, &visit_collection,
			&(const struct visit){.user_id = i % 2 ? "me" : user,
				.place = place,
				.times = 1,
				.first_at = 1000 + i,
				.last_at = 2000 + i});
	}
	return end(&run, error);
}

/* ---- Changes ---- */

/* is_there: whether there is to be a document then. */
static int change(const char *note, bool is_there, size_t count, const struct cashew_change *changes)
{
	struct run run;
	const void *found = NULL;
	begin(&run, note);
	int error = documents_update(&run.d, &visit_collection, count, changes, &found);
	if (error == 0 && (found != NULL) != is_there)
		error = STORE_E_NOT_FOUND;
	return end(&run, error);
}

#define CHANGE(note, is_there, ...) \
	change(note, is_there, CASHEW_CHANGES_(visit, (key, user_id, "me"), __VA_ARGS__))

int explained_update(void)
{
	return CHANGE(NULL, true, (key, place, "p7"), (max, last_at, 5000));
}

int explained_count(void)
{
	return CHANGE("visit/me/1", true, (key, place, "p7"), (inc, times, 1));
}

int explained_count_again(void)
{
	return explained_count();
}

int explained_count_first(void)
{
	return CHANGE("visit/me/2", true, (key, place, "new"), (inc, times, 1), (init, first_at, 1));
}

int explained_guarded(void)
{
	return CHANGE("visit/me/3", true, (key, place, "p7"), (if_least, times, 1), (inc, times, -1));
}

int explained_guarded_in_vain(void)
{
	return CHANGE("visit/me/4", false, (key, place, "p7"), (if_least, times, 1000), (inc, times, -1));
}

int explained_put_once(void)
{
	struct run run;
	const void *put = NULL;
	begin(&run, "visit/me/5");
	return end(
		&run, documents_put(&run.d, &visit_collection,
			      &(const struct visit){.user_id = "me", .place = "p9", .times = 3}, true, &put));
}

/* ---- Lists ---- */

static int list(size_t count, const struct cashew_change *changes)
{
	struct run run;
	const void *found = NULL;
	size_t found_count = 0;
	begin(&run, NULL);
	int error = documents_list(&run.d, &visit_collection, LISTED, count, changes, &found, &found_count);
	if (error == 0 && found_count != LISTED)
		error = STORE_E_NOT_FOUND;
	return end(&run, error);
}

int explained_list_within(void)
{
	return list(CASHEW_CHANGES_(
		visit, (key, user_id, "me"), (from, first_at, 1100), (before, first_at, 1300)));
}

int explained_list_across(void)
{
	return list(CASHEW_CHANGES_(visit, (from, last_at, 2100), (before, last_at, 2300)));
}

int explained_list_keys(void)
{
	return list(CASHEW_CHANGES_(visit, (key, user_id, "me"), (from, place, "p1")));
}
