/*
 * unpromised.c - see unpromised.h.
 */
#include "unpromised.h"

#include "context.h"
#include "log.h"
#include "settings.h"

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

bool unpromised_admit(struct host_lane *home, const char *topic, int qos)
{
	struct host *host = home->host;
	board_count(&host->board->account.qos0, 1);
	tell_once(&host->unpromised, topic, qos);
	if (home->unpromised < host->settings->window) {
		home->unpromised++;
		return true;
	}
	unpromised_dropped(host, topic, NULL, 0, "too many are waiting");
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
