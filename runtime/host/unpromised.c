/*
 * unpromised.c - see unpromised.h.
 */
#include "unpromised.h"

#include "context.h"
#include "log.h"
#include "settings.h"
#include "topic.h"
#include "users.h"

enum { TELL_MS = 10000 };

static void tell_once(struct unpromised *unpromised, const char *topic, int qos)
{
	bool *told = qos == 0 ? &unpromised->qos0_told : &unpromised->qos2_told;
	if (*told)
		return;
	*told = true;
	if (qos == 0)
		log_warn("qos0_command",
			"a command came at QoS 0, which carries no promise; further ones are not logged",
			LOG_TEXT("topic", topic));
	else
		log_warn("qos2_command",
			"a command came at QoS 2, of an old subscription: it is run without a promise; further ones are not logged",
			LOG_TEXT("topic", topic));
}

/* Whether the user has its part of the window, whatever they wait for: their events' PUBACKs too. */
static bool has_share(const struct host_lane *home, const char *topic)
{
	const size_t size = topic_user_size(topic);
	const struct user *user = users_find(home->users, users_key(topic, size), topic, size);
	return user && user->unpromised >= home->host->settings->user_window;
}

bool unpromised_admit(struct host_lane *home, const char *topic, int qos)
{
	struct host *host = home->host;
	board_count(&host->board->account.qos0, 1);
	tell_once(&host->unpromised, topic, qos);
	const char *reason = home->unpromised >= host->settings->window ? "too many are waiting"
			     : has_share(home, topic) ? "too many of this user's are waiting"
						      : NULL;
	if (!reason) {
		home->unpromised++;
		return true;
	}
	unpromised_dropped(host, topic, NULL, 0, reason);
	return false;
}

void unpromised_end(struct host_lane *home)
{
	home->unpromised--;
}

void unpromised_dropped(
	struct host *host, const char *topic, const char *user, unsigned attempt, const char *reason)
{
	struct unpromised *unpromised = &host->unpromised;
	board_count(&host->board->account.qos0_dropped, 1);
	const uint64_t untold = ++unpromised->dropped - unpromised->told;
	if (unpromised->told > 0 && host->now_ms < unpromised->told_ms + TELL_MS)
		return;
	unpromised->told = unpromised->dropped;
	unpromised->told_ms = host->now_ms;
	log_warn("qos0_dropped", "a QoS 0 command is dropped: no broker sends it again",
		LOG_INT("dropped", untold), LOG_TEXT("topic", topic), LOG_TEXT("user", user),
		LOG_INT("attempt", attempt), LOG_TEXT("reason", reason));
}
