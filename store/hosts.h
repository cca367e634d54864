/*
 * hosts.h - who is active: a lease for each host's client id.
 *
 * Whoever holds it connects to the broker; everybody else of that client id stands by and asks again. That somebody does is noted, so that the
 * holder can take it for a shorter time: without a standby nobody gains from a lease that ends soon. It is held in the name of a supervisor, so
 * that the supervisor's next host never waits for it. To renew it is to write, so it tells what no question does: that the database takes writes,
 * with a disk that has room, rights that suffice, and as many members as the write concern asks for.
 *
 * The same document has the groups of shared subscriptions that the client id's session was in.
 *
 * Times are the database's. Failure: a renewal whose outcome is unknown is none. The holder counts the lease from before it asked, and leaves off
 * before its end (see store_watch.h), so that two never hold it at once.
 */
#ifndef HOSTS_H
#define HOSTS_H

#include "store.h"

/* Who asked in vain within that time stands by: it asks far more often. */
enum { HOST_STANDBY_SEEN_MS = 5000 };

struct host_lease {
	bool ours;  /* it is held in the caller's name from now on, for the time that was asked for */
	bool taken; /* ours, and was not in our name before: somebody else may have been active meanwhile */
	bool awaited; /* ours, and a host stands by for it; shortly after it was taken that may have been the caller */
	int64_t free_in_ms; /* not ours: when the other's ends, if it is not renewed */
};

/*
 * Takes or renews the lease on the client id for owner, for lease_ms from now, where it is free, over, or the owner's already. One conditional
 * upsert; can be repeated. 0 and *ret, whether it is ours or not; or a store error, *ret untouched: then nothing is known.
 */
STORE_USE_RESULT int host_lease_hold(struct store_client *client, const char *client_id, const char *owner,
	unsigned lease_ms, struct host_lease *ret);

/* Names of groups of shared subscriptions (SHARED_GROUP). */
struct host_groups {
	char **names;
	size_t count;
};

/* Frees the names, and leaves an empty list. */
void host_groups_free(struct host_groups *groups);

/*
 * Notes that the client id's session is about to subscribe in that group, "" being none, and tells in which others it ever did: it may have filters of
 * theirs still. They are never forgotten, as nothing tells when a broker has. Can be repeated. 0 and *ret, freed by host_groups_free(); a store error or
 * -ENOMEM.
 */
STORE_USE_RESULT int host_groups_note(
	struct store_client *client, const char *client_id, const char *group, struct host_groups *ret);

/* Gives it up; does nothing where it is not the owner's. 0 or a store error. */
STORE_USE_RESULT int host_lease_release(
	struct store_client *client, const char *client_id, const char *owner);

#endif
