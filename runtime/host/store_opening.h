/*
 * store_opening.h - the store's pool is made before the host's loop turns.
 *
 * Happy path: the URL is understood, and the pool is there at once. The name in a mongodb+srv:// URL has to be looked up for that, which takes as
 * long as the resolver likes: a thread does it, so that the host can be told to stop meanwhile. Where it cannot be looked up now this waits, and
 * says so once, as the host waits for a server that is away. Failure modes: a URL or a database name that cannot be used.
 */
#ifndef STORE_OPENING_H
#define STORE_OPENING_H

#include "store.h"

struct pollfd;
struct settings;

enum store_opening_error {
	STORE_OPENING_E_REFUSED = 1, /* the URL or the database's name; logged as a bad setting */
	STORE_OPENING_E_AWAY,	     /* of store_opening_try() */
	STORE_OPENING_E_STOPPED,     /* of store_opening_wait() */
};

enum { STORE_OPENING_AGAIN_MS = 1000 };

/* What the settings say of the store. Their texts outlive it. */
struct store_options store_opening_options(const struct settings *settings);

/*
 * Opens the store, and waits for its name; again_ms lie between two tries. It ends where one of the `stops`, `stop_count` descriptors with the
 * events to poll for, has something to tell. 0 and *ret_store; STORE_OPENING_E_...; a negative errno. I/O thread.
 */
__attribute__((warn_unused_result)) int store_opening_wait(const struct store_options *options,
	unsigned again_ms, const struct pollfd *stops, size_t stop_count, struct store **ret_store);

/* Opens it once: 0; STORE_OPENING_E_REFUSED, or STORE_OPENING_E_AWAY where its name cannot be looked up now, with the reason, which is not logged;
 * a negative errno, with a reason as well. */
__attribute__((warn_unused_result)) int store_opening_try(const struct store_options *options,
	struct store **ret_store, char reason[static STORE_MESSAGE_SIZE]);

#endif
