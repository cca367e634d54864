/*
 * rights_watch.c - see rights_watch.h.
 */
#include "rights_watch.h"

#include "clock.h"
#include "collections.h"
#include "figures.h"
#include "log.h"
#include "store_rights.h"

static void note(struct rights_watch *watch, bool refused, const struct store_client *client)
{
	const char *name = watch->needed->needs[watch->to_try].name;
	const bool news = refused != watch->refused;
	watch->refused = refused;
	figures_refuse_collection(watch->figures, refused ? watch->to_try : FIGURES_COLLECTIONS);
	if (news && refused)
		log_error("collection_refused",
			"the database does not let this host at a collection that it needs: not ready, and commands stay with the broker",
			LOG_TEXT("collection", name), LOG_TEXT("reason", store_last_error(client)));
	else if (news)
		log_info("collection_granted", "the database lets this host at the collection",
			LOG_TEXT("collection", name));
}

/* Somebody was refused something: then all collections are tried at once, but not each second for what no trial finds. */
static void hear_of_refusals(struct rights_watch *watch, int64_t now_ms)
{
	if (!watch->all_granted || store_rights_refusals() == watch->refusals || now_ms < watch->hear_at_ms)
		return;
	watch->all_granted = false;
	watch->try_at_ms = now_ms;
	watch->hear_at_ms = now_ms + watch->every_ms;
}

/* What is not answered is tried again. */
static bool try_collections(struct rights_watch *watch, struct store_client *client)
{
	const struct collections *needed = watch->needed;
	for (size_t left = watch->all_granted ? 1 : needed->count; left > 0; left--) {
		const struct collections_need *need = &needed->needs[watch->to_try];
		const int error = store_rights_try(
			client, need->name, need->writes ? STORE_RIGHTS_WRITE : STORE_RIGHTS_READ);
		if (error != 0 && error != STORE_E_PERMANENT)
			return !watch->refused;
		note(watch, error != 0, client);
		watch->all_granted = error == 0 && (watch->all_granted || left == 1);
		if (error != 0)
			return false;
		watch->to_try = (watch->to_try + 1) % needed->count;
	}
	return true;
}

bool rights_watch_ask(struct rights_watch *watch, struct store_client *client)
{
	const int64_t now_ms = clock_ms();
	if (!watch->needed)
		return true;
	hear_of_refusals(watch, now_ms);
	if (now_ms < watch->try_at_ms)
		return !watch->refused;
	watch->try_at_ms = now_ms + watch->every_ms;
	const unsigned before = store_rights_refusals();
	const bool granted = try_collections(watch, client);
	/* That of the trial is none of the others'. */
	watch->refusals = before + !granted;
	return granted;
}
