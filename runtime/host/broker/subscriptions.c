/*
 * subscriptions.c - see subscriptions.h.
 */
#include "subscriptions.h"

#include "clock.h"
#include "log.h"
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STALE_FILTER_SIZE = 256, REFUSED_MIN = 0x80 };

struct subscription {
	int mid; /* of the SUBSCRIBE that waits for its SUBACK, and may have other filters; 0: none */
	bool refused;
	unsigned limited;    /* how often in a row it was refused by a limit of the broker's */
	int64_t retry_at_ms; /* of a refused one */
};

struct subscriptions {
	const struct route_lane *routes;
	bool mqtt5;
	size_t together; /* filters of one SUBSCRIBE, at most; outlives links */
	bool suspected; /* the size of a SUBSCRIBE: the link before this one ended over it, which may be chance */
	size_t granted;
	int64_t retry_at_ms;
	char stale[STALE_FILTER_SIZE]; /* the one unsubscribed last */
	/* What is asked for now: places in `filters`, and a SUBSCRIBE's texts. */
	size_t *asked;
	char **texts;
	struct subscription filters[];
};

struct subscriptions *subscriptions_new(const struct route_lane *routes)
{
	struct subscriptions *subscriptions =
		calloc(1, sizeof(*subscriptions) + routes->route_count * sizeof(subscriptions->filters[0]));
	if (!subscriptions)
		return NULL;
	subscriptions->routes = routes;
	subscriptions->together = routes->route_count;
	subscriptions->retry_at_ms = INT64_MAX;
	subscriptions->asked = calloc(routes->route_count, sizeof(subscriptions->asked[0]));
	subscriptions->texts = calloc(routes->route_count, sizeof(subscriptions->texts[0]));
	if (!subscriptions->asked || !subscriptions->texts) {
		subscriptions_free(subscriptions);
		return NULL;
	}
	return subscriptions;
}

void subscriptions_free(struct subscriptions *subscriptions)
{
	if (!subscriptions)
		return;
	free(subscriptions->asked);
	free(subscriptions->texts);
	free(subscriptions);
}

static void retry_later(struct subscriptions *subscriptions, struct subscription *filter, int64_t at_ms)
{
	filter->mid = 0;
	filter->refused = true;
	filter->retry_at_ms = at_ms;
	if (at_ms < subscriptions->retry_at_ms)
		subscriptions->retry_at_ms = at_ms;
}

/* ---- Asking ---- */

static void tell_unsent(
	struct subscriptions *subscriptions, const size_t *asked, size_t count, int code, int64_t now_ms)
{
	for (size_t i = 0; i < count; i++) {
		retry_later(
			subscriptions, &subscriptions->filters[asked[i]], now_ms + SUBSCRIPTIONS_RETRY_MS);
		log_error("subscribe_failed", "a SUBSCRIBE cannot be sent",
			LOG_TEXT("lane", subscriptions->routes->name),
			LOG_TEXT("filter", subscriptions->routes->routes[asked[i]].filter),
			LOG_TEXT("reason", mosquitto_strerror(code)),
			LOG_INT("retry_ms", SUBSCRIPTIONS_RETRY_MS));
	}
}

/* One SUBSCRIBE with so many of the filters, or with fewer where the broker takes no packet that large; how many have been seen to. */
static size_t subscribe(struct subscriptions *subscriptions, struct mosquitto *mosquitto, const size_t *asked,
	size_t count, int64_t now_ms)
{
	const int options = subscriptions->mqtt5 ? MQTT_SUB_OPT_SEND_RETAIN_NEVER : 0;
	int mid = 0, code;
	/* libmosquitto only reads the texts. */
	for (size_t i = 0; i < count; i++)
		subscriptions->texts[i] = (char *)(uintptr_t)subscriptions->routes->routes[asked[i]].filter;
	while ((code = mosquitto_subscribe_multiple(mosquitto, &mid, (int)count, subscriptions->texts, 1,
			options, NULL)) == MOSQ_ERR_OVERSIZE_PACKET &&
		count > 1)
		count = (count + 1) / 2;
	for (size_t i = 0; i < count; i++) {
		struct subscription *filter = &subscriptions->filters[asked[i]];
		*filter = (struct subscription){.limited = filter->limited, .mid = mid};
	}
	if (code != MOSQ_ERR_SUCCESS)
		tell_unsent(subscriptions, asked, count, code, now_ms);
	return count;
}

/* The first so many of `asked`. */
static void ask(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, size_t count, int64_t now_ms)
{
	for (size_t done = 0; done < count;) {
		const size_t left = count - done;
		done += subscribe(subscriptions, mosquitto, subscriptions->asked + done,
			left < subscriptions->together ? left : subscriptions->together, now_ms);
	}
}

/* So many filters in one SUBSCRIBE were too many for the broker, or may have been: from now on there are fewer. */
static void split(struct subscriptions *subscriptions, size_t count, const char *reason)
{
	subscriptions->together = count > SUBSCRIPTIONS_SPLIT ? SUBSCRIPTIONS_SPLIT : 1;
	subscriptions->suspected = false;
	log_warn("subscribe_split",
		"the broker may not take a SUBSCRIBE of so many filters: the next ones have fewer",
		LOG_TEXT("lane", subscriptions->routes->name), LOG_INT("filters", count),
		LOG_INT("next", subscriptions->together), LOG_TEXT("reason", reason));
}

/* How many filters that SUBSCRIBE asks for. */
static size_t count_of(const struct subscriptions *subscriptions, int mid)
{
	size_t count = 0;
	for (size_t i = 0; i < subscriptions->routes->route_count; i++)
		count += subscriptions->filters[i].mid == mid;
	return count;
}

/* What was asked for with most others, and has no answer. */
static size_t most_unanswered(const struct subscriptions *subscriptions)
{
	size_t most = 0;
	for (size_t i = 0; i < subscriptions->routes->route_count; i++) {
		const int mid = subscriptions->filters[i].mid;
		const size_t count = mid != 0 ? count_of(subscriptions, mid) : 0;
		most = count > most ? count : most;
	}
	return most;
}

void subscriptions_reset(struct subscriptions *subscriptions, bool lost)
{
	const size_t most = lost ? most_unanswered(subscriptions) : 0;
	if (most > 1 && subscriptions->suspected)
		split(subscriptions, most, "the connection ended before its SUBACK");
	else if (most > 1)
		subscriptions->suspected = true;
	for (size_t i = 0; i < subscriptions->routes->route_count; i++)
		subscriptions->filters[i] = (struct subscription){0};
	subscriptions->granted = 0;
	subscriptions->retry_at_ms = INT64_MAX;
	subscriptions->stale[0] = '\0';
}

void subscriptions_start(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, bool mqtt5, int64_t now_ms)
{
	const size_t count = subscriptions->routes->route_count;
	subscriptions_reset(subscriptions, false);
	subscriptions->mqtt5 = mqtt5;
	for (size_t i = 0; i < count; i++)
		subscriptions->asked[i] = i;
	ask(subscriptions, mosquitto, count, now_ms);
}

/* ---- Answers ---- */

/* What may pass by itself: MQTT 5, section 3.9.3. */
static bool is_limit(int code)
{
	return code == MQTT_RC_IMPLEMENTATION_SPECIFIC || code == MQTT_RC_PACKET_ID_IN_USE ||
	       code == MQTT_RC_QUOTA_EXCEEDED;
}

static const char *advice_of(int code)
{
	if (code == MQTT_RC_NOT_AUTHORIZED)
		return "the broker does not grant a filter, so its commands do not arrive: give the handler's token the right to subscribe to it";
	if (is_limit(code))
		return "the broker does not grant a filter for now, so its commands do not arrive: it has reached a limit of its own";
	if (code == MQTT_RC_SHARED_SUBS_NOT_SUPPORTED)
		return "the broker does not do shared subscriptions, so no commands arrive: leave SHARED_GROUP empty, or take a broker that does them";
	if (code == MQTT_RC_UNSPECIFIED) /* the only one that MQTT 3.1.1 has */
		return "the broker does not grant a filter, so its commands do not arrive, and does not say why: the handler's token may lack the right to "
		       "subscribe to it, or the broker has reached a limit; its log may tell";
	return "the broker does not grant a filter at QoS 1, so its commands do not arrive with the promise";
}

static void take_code(struct subscriptions *subscriptions, size_t index, int code, int64_t now_ms)
{
	struct subscription *filter = &subscriptions->filters[index];
	if (code == 1) {
		*filter = (struct subscription){0};
		subscriptions->granted++;
		return;
	}
	const unsigned pause_ms = is_limit(code) ? backoff_ms(filter->limited++, SUBSCRIPTIONS_SOON_MS,
							   SUBSCRIPTIONS_LIMITED_MS)
						 : SUBSCRIPTIONS_RETRY_MS;
	retry_later(subscriptions, filter, now_ms + pause_ms);
	log_error("subscription_refused", advice_of(code), LOG_TEXT("lane", subscriptions->routes->name),
		LOG_TEXT("filter", subscriptions->routes->routes[index].filter), LOG_INT("granted", code),
		LOG_TEXT("reason",
			code >= REFUSED_MIN ? mosquitto_reason_string(code) : "another QoS was granted"),
		LOG_INT("retry_ms", pause_ms));
}

static bool all_refused(const int *granted, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (granted[i] < REFUSED_MIN)
			return false;
	return true;
}

/* It may be their number that the broker refuses: no filter is blamed so far. */
static void ask_in_parts(struct subscriptions *subscriptions, int mid, size_t count, int code, int64_t now_ms)
{
	split(subscriptions, count, mosquitto_reason_string(code));
	for (size_t i = 0; i < subscriptions->routes->route_count; i++)
		if (subscriptions->filters[i].mid == mid)
			retry_later(
				subscriptions, &subscriptions->filters[i], now_ms + SUBSCRIPTIONS_SOON_MS);
}

int subscriptions_granted(
	struct subscriptions *subscriptions, int mid, int count, const int *granted, int64_t now_ms)
{
	const size_t asked = mid != 0 ? count_of(subscriptions, mid) : 0;
	if (asked == 0)
		return 0;
	if (count < 0 || (size_t)count != asked) {
		log_error("suback_malformed",
			"the broker's SUBACK has not one code for each filter of its SUBSCRIBE",
			LOG_TEXT("lane", subscriptions->routes->name), LOG_INT("filters", asked),
			LOG_INT("codes", count));
		subscriptions->suspected = true;
		return SUBSCRIPTIONS_E_COUNT;
	}
	subscriptions->suspected = false;
	if (asked > SUBSCRIPTIONS_SPLIT && all_refused(granted, asked)) {
		ask_in_parts(subscriptions, mid, asked, granted[0], now_ms);
		return 0;
	}
	/* In the order in which they were asked for, which is that of the routes. */
	for (size_t i = 0; i < subscriptions->routes->route_count; i++)
		if (subscriptions->filters[i].mid == mid)
			take_code(subscriptions, i, *granted++, now_ms);
	return 0;
}

void subscriptions_retry(struct subscriptions *subscriptions, struct mosquitto *mosquitto, int64_t now_ms)
{
	size_t count = 0;
	if (now_ms < subscriptions->retry_at_ms)
		return;
	subscriptions->retry_at_ms = INT64_MAX;
	for (size_t i = 0; i < subscriptions->routes->route_count; i++) {
		struct subscription *filter = &subscriptions->filters[i];
		if (filter->refused && now_ms >= filter->retry_at_ms)
			subscriptions->asked[count++] = i;
		else if (filter->refused)
			retry_later(subscriptions, filter, filter->retry_at_ms);
	}
	ask(subscriptions, mosquitto, count, now_ms);
}

int64_t subscriptions_due_ms(const struct subscriptions *subscriptions)
{
	return subscriptions->retry_at_ms;
}

bool subscriptions_ready(const struct subscriptions *subscriptions)
{
	return subscriptions->granted == subscriptions->routes->route_count;
}

size_t subscriptions_granted_count(const struct subscriptions *subscriptions)
{
	return subscriptions->granted;
}

bool subscriptions_drop_stale(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, const char *topic)
{
	char filter[STALE_FILTER_SIZE];
	const char *rest = strchr(topic, '/');
	if (!rest || (size_t)snprintf(filter, sizeof(filter), "+%s", rest) >= sizeof(filter) ||
		strcmp(filter, subscriptions->stale) == 0)
		return false;
	memcpy(subscriptions->stale, filter, sizeof(filter));
	if (mosquitto_unsubscribe_v5(mosquitto, NULL, filter, NULL) == MOSQ_ERR_SUCCESS)
		log_warn("stale_subscription",
			"the session still brings commands that no handler wants: unsubscribing from their "
			"filter",
			LOG_TEXT("lane", subscriptions->routes->name), LOG_TEXT("filter", filter));
	return true;
}

void subscriptions_unsubscribed(const struct subscriptions *subscriptions)
{
	log_info("unsubscribed", "a filter that no handler wants is unsubscribed",
		LOG_TEXT("lane", subscriptions->routes->name));
}
