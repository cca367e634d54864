/* try_rights.c - see try_rights.h. */
#include "try_rights.h"

#include "connection.h"
#include "random.h"
#include "topic.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPEN_MAX = 16, /* questions that wait for an answer: any broker takes so many */
	REFUSED_MIN = 0x80,
	EXPIRY_S = 10,
	TOPIC_SIZE = 2 * (USER_ID_MAX + 1),
	GROUP_SIZE = 128,
};

/* A filter that is subscribed to, or a topic to which is published. */
struct question {
	const char *filter;	/* the handlers'; NULL: it is a topic */
	char topic[TOPIC_SIZE]; /* of an event */
	int mid;		/* while the answer is awaited; 0: it is not, yet or any more */
};

struct try_rights {
	enum try_rights_state state;
	char reason[TLS_REASON_SIZE];
	char group[GROUP_SIZE]; /* "": filters are not shared */
	bool mqtt5;
	unsigned open_max, open, answered;
	size_t count, asked; /* the first `asked` of them have been */
	struct question questions[];
};

static const char *words(const struct question *question)
{
	return question->filter ? question->filter : question->topic;
}

/* ---- What is asked ---- */

static bool is_among(const struct try_rights *rights, const char *topic)
{
	for (size_t i = 0; i < rights->count; i++)
		if (!rights->questions[i].filter && strcmp(rights->questions[i].topic, topic) == 0)
			return true;
	return false;
}

/* Not one that a handler here would be run by. */
static void add_event(
	struct try_rights *rights, const struct routes *routes, const char *user, const char *event)
{
	char topic[TOPIC_SIZE];
	if (!topic_event_valid(event))
		return;
	snprintf(topic, sizeof(topic), "%s/%s", user, event);
	for (size_t i = 0; i < routes->lane_count; i++)
		if (routes_find(&routes->lanes[i], topic))
			return;
	if (!is_among(rights, topic))
		memcpy(rights->questions[rights->count++].topic, topic, sizeof(topic));
}

static size_t events_count(const struct cashew_handler *handler)
{
	size_t count = 0;
	while (handler->events && handler->events[count])
		count++;
	return count;
}

int try_rights_new(const struct routes *routes, const char *group, struct try_rights **ret)
{
	static const char *const own_events[] = {"command_rejected", "command_failed"};
	const size_t own_count = sizeof(own_events) / sizeof(own_events[0]);
	char user[USER_ID_MAX + 1];
	const char **filters = NULL;
	size_t filter_count = 0, event_count = own_count;
	const int error = routes_filters(routes, &filters, &filter_count);
	if (error != 0)
		return error;
	for (size_t i = 0; i < routes->handler_count; i++)
		event_count += events_count(routes->handlers[i]);
	struct try_rights *rights =
		calloc(1, sizeof(*rights) + (filter_count + event_count) * sizeof(rights->questions[0]));
	for (size_t i = 0; rights && i < filter_count; i++)
		rights->questions[rights->count++].filter = filters[i];
	free(filters);
	if (!rights)
		return -ENOMEM;
	snprintf(rights->group, sizeof(rights->group), "%s", group);
	snprintf(user, sizeof(user), "trial_%08x", random_below(UINT32_MAX));
	for (size_t i = 0; i < own_count; i++)
		add_event(rights, routes, user, own_events[i]);
	for (size_t i = 0; i < routes->handler_count; i++)
		for (size_t j = 0; j < events_count(routes->handlers[i]); j++)
			add_event(rights, routes, user, routes->handlers[i]->events[j]->name);
	*ret = rights;
	return 0;
}

void try_rights_free(struct try_rights *rights)
{
	free(rights);
}

/* ---- Asking ---- */

static void refuse(struct try_rights *rights, const struct question *question, const char *why)
{
	if (rights->state == TRY_RIGHTS_REFUSED)
		return;
	rights->state = TRY_RIGHTS_REFUSED;
	snprintf(rights->reason, sizeof(rights->reason), "the token may not %s %.150s: %.120s",
		question->filter ? "subscribe to" : "publish to", words(question), why);
}

static void advance(struct try_rights *rights)
{
	if (rights->state == TRY_RIGHTS_ASKED && rights->answered == rights->count)
		rights->state = TRY_RIGHTS_GRANTED;
}

void try_rights_begin(struct try_rights *rights, const struct connection_terms *terms)
{
	rights->state = TRY_RIGHTS_ASKED;
	rights->reason[0] = '\0';
	rights->mqtt5 = terms->mqtt5;
	rights->open_max = terms->receive_maximum < OPEN_MAX ? terms->receive_maximum : OPEN_MAX;
	rights->open = rights->answered = 0;
	rights->asked = 0;
	for (size_t i = 0; i < rights->count; i++)
		rights->questions[i].mid = 0;
	if (terms->qos_max < 1) {
		rights->state = TRY_RIGHTS_REFUSED;
		snprintf(rights->reason, sizeof(rights->reason),
			"it takes nothing at QoS 1: events could be lost");
	} else if (!terms->shared && rights->group[0] != '\0') {
		rights->state = TRY_RIGHTS_REFUSED;
		snprintf(rights->reason, sizeof(rights->reason),
			"it does not do shared subscriptions, which SHARED_GROUP needs");
	}
}

static int subscribe(const struct try_rights *rights, struct mosquitto *mosquitto, struct question *question)
{
	const bool shared = rights->group[0] != '\0';
	char *filter = NULL;
	if (asprintf(&filter, "%s%s%s%s", shared ? "$share/" : "", rights->group, shared ? "/" : "",
		    question->filter) < 0)
		return MOSQ_ERR_NOMEM;
	const int code = mosquitto_subscribe_v5(mosquitto, &question->mid, filter, 1,
		rights->mqtt5 ? MQTT_SUB_OPT_SEND_RETAIN_NEVER : 0, NULL);
	free(filter);
	return code;
}

static int publish(struct mosquitto *mosquitto, struct question *question)
{
	mosquitto_property *properties = NULL;
	int code = mosquitto_property_add_int32(&properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, EXPIRY_S);
	if (code == MOSQ_ERR_SUCCESS)
		code = mosquitto_publish_v5(
			mosquitto, &question->mid, question->topic, 2, "{}", 1, false, properties);
	mosquitto_property_free_all(&properties);
	return code;
}

void try_rights_ask(struct try_rights *rights, struct mosquitto *mosquitto)
{
	while (rights->state == TRY_RIGHTS_ASKED && rights->asked < rights->count &&
		rights->open < rights->open_max) {
		struct question *question = &rights->questions[rights->asked];
		int code;
		if (!question->filter && !rights->mqtt5) {
			rights->asked++;
			rights->answered++;
			continue;
		}
		if (question->filter)
			code = subscribe(rights, mosquitto, question);
		else
			code = publish(mosquitto, question);
		/* The link's end, or more memory, is waited for. */
		if (code == MOSQ_ERR_NO_CONN || code == MOSQ_ERR_NOMEM) {
			question->mid = 0;
			return;
		}
		rights->asked++;
		if (code == MOSQ_ERR_SUCCESS)
			rights->open++;
		else
			refuse(rights, question, mosquitto_strerror(code));
	}
	advance(rights);
}

/* ---- Answers ---- */

/* The question that the answer is to; NULL: none. */
static struct question *take(struct try_rights *rights, int mid)
{
	for (size_t i = 0; i < rights->asked; i++) {
		if (rights->questions[i].mid != mid)
			continue;
		rights->questions[i].mid = 0;
		rights->open--;
		rights->answered++;
		return &rights->questions[i];
	}
	return NULL;
}

void try_rights_subscribed(struct try_rights *rights, int mid, int granted_count, const int *granted)
{
	const struct question *question = take(rights, mid);
	if (!question)
		return;
	const int code = granted_count == 1 ? granted[0] : REFUSED_MIN;
	if (code != 1)
		refuse(rights, question,
			code < REFUSED_MIN ? "at QoS 1: another QoS was granted"
					   : mosquitto_reason_string(code));
	advance(rights);
}

void try_rights_published(struct try_rights *rights, int mid, int reason_code)
{
	const struct question *question = take(rights, mid);
	if (!question)
		return;
	if (reason_code >= REFUSED_MIN)
		refuse(rights, question, mosquitto_reason_string(reason_code));
	advance(rights);
}

bool try_rights_lost(struct try_rights *rights, char ret_reason[static TLS_REASON_SIZE])
{
	if (rights->state != TRY_RIGHTS_ASKED)
		return false;
	for (size_t i = 0; i < rights->asked; i++) {
		const struct question *question = &rights->questions[i];
		if (question->mid == 0)
			continue;
		snprintf(ret_reason, TLS_REASON_SIZE, "it ends the connection when asked to %s %.150s",
			question->filter ? "subscribe to" : "publish to", words(question));
		return true;
	}
	return false;
}

enum try_rights_state try_rights_state(const struct try_rights *rights, const char **ret_reason)
{
	if (rights->state == TRY_RIGHTS_REFUSED)
		*ret_reason = rights->reason;
	return rights->state;
}
