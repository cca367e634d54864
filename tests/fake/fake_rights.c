/* fake_rights.c - the stand-in store's rights: all, but for a collection that the test has refused. */
#include "fake_store.h"
#include "fake_store_private.h"
#include "store_rights.h"
#include <stdatomic.h>
#include <string.h>

void fake_store_refuse(struct store *store, const char *collection)
{
	pthread_mutex_lock(&store->lock);
	store->refused = collection;
	pthread_mutex_unlock(&store->lock);
}

static _Atomic unsigned refusals;

void fake_store_note_refusal(void)
{
	refusals++;
}

unsigned store_rights_refusals(void)
{
	return refusals;
}

/* The stand-in has no server's codes. */
void store_rights_note(int code)
{
	(void)code;
}

unsigned fake_store_trials(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	const unsigned trials = store->trials;
	pthread_mutex_unlock(&store->lock);
	return trials;
}

int store_rights_try(struct store_client *client, const char *collection, enum store_rights rights)
{
	const int r = fake_operation_begin(client);

	(void)rights;
	if (r != 0)
		return r;
	client->store->trials++;
	const char *refused = client->store->refused;
	const bool is_refused = refused && strcmp(refused, collection) == 0;
	if (is_refused)
		client->last_error = "not authorized";
	return fake_operation_end(client, is_refused ? STORE_E_PERMANENT : 0);
}
