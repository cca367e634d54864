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

enum { STALE_FILTER_SIZE = 256 };

struct subscription {
	int mid; /* of the SUBSCRIBE that waits for its SUBACK; 0: none */
	bool refused;
	unsigned limited;    /* how often in a row it was refused by a limit of the broker's */
	int64_t retry_at_ms; /* of a refused one */
};

struct subscriptions {
	const struct route_lane *routes;
	bool mqtt5;
	size_t granted;
	int64_t retry_at_ms;
	char stale[STALE_FILTER_SIZE]; /* the one unsubscribed last */
	struct subscription filters[];
};

struct subscriptions *subscriptions_new(const struct route_lane *routes)
{
	struct subscriptions *subscriptions =
		calloc(1, sizeof(*subscriptions) + routes->route_count * sizeof(subscriptions->filters[0]));
	if (!subscriptions)
		return NULL;
	subscriptions->routes = routes;
	subscriptions->retry_at_ms = INT64_MAX;
	return subscriptions;
}

void subscriptions_free(struct subscriptions *subscriptions)
{
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

static void subscribe(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, size_t index, int64_t now_ms)
{
	struct subscription *filter = &subscriptions->filters[index];
	const int options = subscriptions->mqtt5 ? MQTT_SUB_OPT_SEND_RETAIN_NEVER : 0;
	*filter = (struct subscription){.limited = filter->limited};
	const int code = mosquitto_subscribe_v5(
		mosquitto, &filter->mid, subscriptions->routes->routes[index].filter, 1, options, NULL);
	if (code == MOSQ_ERR_SUCCESS)
		return;
	retry_later(subscriptions, filter, now_ms + SUBSCRIPTIONS_RETRY_MS);
	log_error("subscribe_failed", "a SUBSCRIBE cannot be sent",
		LOG_TEXT("lane", subscriptions->routes->name),
		LOG_TEXT("filter", subscriptions->routes->routes[index].filter),
		LOG_TEXT("reason", mosquitto_strerror(code)), LOG_INT("retry_ms", SUBSCRIPTIONS_RETRY_MS));
}

void subscriptions_start(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, bool mqtt5, int64_t now_ms)
{
	subscriptions_reset(subscriptions);
	subscriptions->mqtt5 = mqtt5;
	for (size_t i = 0; i < subscriptions->routes->route_count; i++)
		subscribe(subscriptions, mosquitto, i, now_ms);
}

void subscriptions_reset(struct subscriptions *subscriptions)
{
	for (size_t i = 0; i < subscriptions->routes->route_count; i++)
		subscriptions->filters[i] = (struct subscription){0};
	subscriptions->granted = 0;
	subscriptions->retry_at_ms = INT64_MAX;
	subscriptions->stale[0] = '\0';
}

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

void subscriptions_granted(
	struct subscriptions *subscriptions, int mid, int count, const int *granted, int64_t now_ms)
{
	size_t index = 0;
	while (index < subscriptions->routes->route_count && subscriptions->filters[index].mid != mid)
		index++;
	if (index == subscriptions->routes->route_count)
		return;
	struct subscription *filter = &subscriptions->filters[index];
	const int code = count == 1 ? granted[0] : -1;
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
		LOG_TEXT("reason", code >= 0x80 ? mosquitto_reason_string(code) : "another QoS was granted"),
		LOG_INT("retry_ms", pause_ms));
}

void subscriptions_retry(struct subscriptions *subscriptions, struct mosquitto *mosquitto, int64_t now_ms)
{
	if (now_ms < subscriptions->retry_at_ms)
		return;
	subscriptions->retry_at_ms = INT64_MAX;
	for (size_t i = 0; i < subscriptions->routes->route_count; i++) {
		struct subscription *filter = &subscriptions->filters[i];
		if (filter->refused && now_ms >= filter->retry_at_ms)
			subscribe(subscriptions, mosquitto, i, now_ms);
		else if (filter->refused)
			retry_later(subscriptions, filter, filter->retry_at_ms);
	}
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
