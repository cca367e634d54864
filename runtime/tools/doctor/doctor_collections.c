/*
 * doctor_collections.c - the database's collections, one by one: whether the host may use those that it and its handlers need, and whether they are as
 * it takes them to be.
 *
 * Happy path: what is tried changes nothing. Failure: a collection that is refused, that compares texts in such a way that two users are one, or that
 * is none of the ordinary kind, is named.
 */
#include "doctor.h"

#include "collections.h"
#include "configuration.h"
#include "store_describe.h"
#include "store_rights.h"
#include <stdio.h>
#include <string.h>

/* ---- Rights ---- */

struct there {
	struct collections needed;
	bool is[COLLECTIONS_MAX]; /* in the database, by number */
};

static void note_there(void *context, const struct store_collection_found *found)
{
	struct there *there = context;
	for (size_t i = 0; i < there->needed.count; i++)
		there->is[i] = there->is[i] || strcmp(there->needed.needs[i].name, found->name) == 0;
}

/* None is to be made by a trial. */
static enum store_rights rights_of(const struct there *there, size_t i)
{
	if (!there->needed.needs[i].writes)
		return STORE_RIGHTS_READ;
	return there->is[i] ? STORE_RIGHTS_WRITE : STORE_RIGHTS_DELETE;
}

void doctor_check_rights(struct doctor *doctor)
{
	struct there there = {.is = {false}};
	collections_of(doctor->configuration->handlers, &there.needed);
	/* Where they cannot be listed the next check tells so. */
	(void)!store_collections(doctor->client, note_there, &there);
	for (size_t i = 0; i < there.needed.count; i++) {
		const struct collections_need *need = &there.needed.needs[i];
		const int error = store_rights_try(doctor->client, need->name, rights_of(&there, i));
		char what[COLLECTIONS_NAME_SIZE + 64];
		if (error == 0)
			continue;
		snprintf(what, sizeof(what), "the collection %s cannot be %s", need->name,
			need->writes ? "used" : "read");
		doctor_store_fails(doctor, what, error);
		/* The others would say the same. */
		if (error != STORE_E_PERMANENT)
			return;
	}
	if (doctor->outcome == DOCTOR_OK)
		doctor_ok(doctor, "all %zu collections that the handlers and the host need may be used",
			there.needed.count);
}

/* ---- What they are like ---- */

struct seen {
	struct doctor *doctor;
	struct collections needed;
	unsigned count; /* of those that are there */
};

/* The database may hold others. */
static bool is_needed(const struct collections *needed, const char *name)
{
	for (size_t i = 0; i < needed->count; i++)
		if (strcmp(needed->needs[i].name, name) == 0)
			return true;
	return false;
}

static void see(void *context, const struct store_collection_found *found)
{
	struct seen *seen = context;
	struct doctor *doctor = seen->doctor;
	if (!is_needed(&seen->needed, found->name))
		return;
	seen->count++;
	if (found->same) {
		doctor_fail(doctor,
			"%s: its default collation (%s) takes texts for equal that are not: the users %s are one there",
			found->name, found->collation, found->same);
		doctor_advise(doctor,
			"make the collection anew without a collation, and copy its documents: a collation cannot be changed");
	}
	if (strcmp(found->type, "collection") != 0) {
		doctor_fail(doctor,
			"%s is a %s and no collection: what is written there cannot be changed as it has to be",
			found->name, found->type);
		doctor_advise(doctor, "drop it; cashewd makes a collection at its next start");
	}
	if (found->capped) {
		doctor_fail(doctor, "%s is capped: it forgets its oldest documents", found->name);
		doctor_advise(doctor, "make the collection anew without a limit, and copy its documents");
	}
	if (found->validated) {
		doctor_warn(doctor, "%s has a validator: it may refuse what cashewd writes", found->name);
		doctor_advise(
			doctor, "take the validator off (collMod), or see that it lets all fields through");
	}
}

void doctor_check_collections(struct doctor *doctor)
{
	struct seen seen = {.doctor = doctor};
	collections_of(doctor->configuration->handlers, &seen.needed);
	const int error = store_collections(doctor->client, see, &seen);
	if (error != 0)
		doctor_store_fails(doctor, "the collections cannot be listed", error);
	else if (seen.count == 0)
		doctor_ok(doctor,
			"the database %s has none of the collections yet: cashewd makes them at its first start",
			store_database_name(doctor->store));
	else if (doctor->outcome == DOCTOR_OK)
		doctor_ok(doctor, "%u %s ordinary, and no two users are one there", seen.count,
			seen.count == 1 ? "collection is" : "collections are");
}
