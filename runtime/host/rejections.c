/*
 * rejections.c - see rejections.h. A user's place is one of the few behind the hash of the name: one that is free, or whose second is over.
 */
#include "rejections.h"

#include "fingerprint.h"
#include "log.h"
#include <stdio.h>
#include <string.h>

enum { QUIET_MS = 1000, PROBES = 8 };

void rejections_init(struct rejections *rejections)
{
	*rejections = (struct rejections){.due_ms = INT64_MAX};
}

static struct rejections_user *place_of(struct rejections *rejections, const char *user, int64_t now_ms)
{
	const uint64_t hash = fingerprint_text(user, strlen(user));
	struct rejections_user *room = &rejections->others;
	for (size_t i = 0; i < PROBES; i++) {
		struct rejections_user *place = &rejections->users[(hash + i) % REJECTIONS_USERS];
		if (strcmp(place->name, user) == 0)
			return place;
		if (room == &rejections->others && place->count == 0 && now_ms >= place->quiet_until_ms)
			room = place;
	}
	if (room != &rejections->others) {
		(void)snprintf(room->name, sizeof(room->name), "%s", user);
		room->quiet_until_ms = now_ms;
	}
	return room;
}

unsigned rejections_count(struct rejections *rejections, const char *user, int64_t now_ms)
{
	struct rejections_user *place = place_of(rejections, user, now_ms);
	const unsigned count = ++place->count;
	if (now_ms < place->quiet_until_ms) {
		if (place->quiet_until_ms < rejections->due_ms)
			rejections->due_ms = place->quiet_until_ms;
		return 0;
	}
	place->count = 0;
	place->quiet_until_ms = now_ms + QUIET_MS;
	return count;
}

static void serve(struct rejections *rejections, struct rejections_user *user, int64_t now_ms)
{
	if (user->count == 0)
		return;
	if (now_ms < user->quiet_until_ms) {
		if (user->quiet_until_ms < rejections->due_ms)
			rejections->due_ms = user->quiet_until_ms;
		return;
	}
	log_info("command_rejected",
		"commands were rejected: of so many within a second the log has only the number",
		LOG_TEXT("user", user == &rejections->others ? NULL : user->name),
		LOG_INT("count", user->count));
	user->count = 0;
	user->quiet_until_ms += QUIET_MS;
}

void rejections_serve(struct rejections *rejections, int64_t now_ms)
{
	if (now_ms < rejections->due_ms)
		return;
	rejections->due_ms = INT64_MAX;
	for (size_t i = 0; i < REJECTIONS_USERS; i++)
		serve(rejections, &rejections->users[i], now_ms);
	serve(rejections, &rejections->others, now_ms);
}
