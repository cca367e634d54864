/*
 * subscriptions.c - see subscriptions.h.
 */
#include "subscriptions.h"

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

static void subscribe(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, size_t index, int64_t now_ms)
{
	struct subscription *filter = &subscriptions->filters[index];
	const int options = subscriptions->mqtt5 ? MQTT_SUB_OPT_SEND_RETAIN_NEVER : 0;
	*filter = (struct subscription){0};
	const int code = mosquitto_subscribe_v5(
		mosquitto, &filter->mid, subscriptions->routes->routes[index].filter, 1, options, NULL);
	if (code == MOSQ_ERR_SUCCESS)
		return;
	*filter = (struct subscription){.refused = true};
	subscriptions->retry_at_ms = now_ms + SUBSCRIPTIONS_RETRY_MS;
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

void subscriptions_granted(
	struct subscriptions *subscriptions, int mid, int count, const int *granted, int64_t now_ms)
{
	size_t index = 0;
	while (index < subscriptions->routes->route_count && subscriptions->filters[index].mid != mid)
		index++;
	if (index == subscriptions->routes->route_count)
		return;
	struct subscription *filter = &subscriptions->filters[index];
	filter->mid = 0;
	if (count == 1 && granted[0] == 1) {
		subscriptions->granted++;
		return;
	}
	filter->refused = true;
	subscriptions->retry_at_ms = now_ms + SUBSCRIPTIONS_RETRY_MS;
	const int code = count == 1 ? granted[0] : -1;
	log_error("subscription_refused",
		"the broker does not grant a filter at QoS 1, so its commands do not arrive with the "
		"promise: give the handler's "
		"token the right to subscribe to it",
		LOG_TEXT("lane", subscriptions->routes->name),
		LOG_TEXT("filter", subscriptions->routes->routes[index].filter), LOG_INT("granted", code),
		LOG_TEXT("reason", code >= 0x80 ? mosquitto_reason_string(code) : "another QoS was granted"),
		LOG_INT("retry_ms", SUBSCRIPTIONS_RETRY_MS));
}

void subscriptions_retry(struct subscriptions *subscriptions, struct mosquitto *mosquitto, int64_t now_ms)
{
	if (now_ms < subscriptions->retry_at_ms)
		return;
	subscriptions->retry_at_ms = INT64_MAX;
	for (size_t i = 0; i < subscriptions->routes->route_count; i++)
		if (subscriptions->filters[i].refused)
			subscribe(subscriptions, mosquitto, i, now_ms);
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

void subscriptions_drop_stale(
	struct subscriptions *subscriptions, struct mosquitto *mosquitto, const char *topic)
{
	char filter[STALE_FILTER_SIZE];
	const char *rest = strchr(topic, '/');
	if (!rest || (size_t)snprintf(filter, sizeof(filter), "+%s", rest) >= sizeof(filter) ||
		strcmp(filter, subscriptions->stale) == 0)
		return;
	memcpy(subscriptions->stale, filter, sizeof(filter));
	if (mosquitto_unsubscribe_v5(mosquitto, NULL, filter, NULL) == MOSQ_ERR_SUCCESS)
		log_warn("stale_subscription",
			"the session still brings commands that no handler wants: unsubscribing from their "
			"filter",
			LOG_TEXT("lane", subscriptions->routes->name), LOG_TEXT("filter", filter));
}
