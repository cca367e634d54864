/*
 * doctor_broker.c - the broker as the handlers see it: whether it takes their token, grants their filters,
 * keeps retained commands, how long it keeps a session, and whether a host serves it.
 *
 * Happy path: connect with a client id that nobody else has, subscribe to each filter and unsubscribe again.
 * The commands that come meanwhile are copies, which are dropped; the host gets its own. The host's session
 * is never touched: to ask for it is to take it over. So a `ping` of a user who does not exist, which the
 * broker forgets after seconds, tells what can be told. Failure modes: a connection that the broker ends is
 * opened again for the next question.
 */
#include "doctor_broker.h"

#include "cashew.h"
#include "clock.h"
#include "configuration.h"
#include "doctor_ear.h"
#include "doctor_link.h"
#include "doctor_shared.h"
#include "handler_token.h"
#include "resolver.h"

#include <inttypes.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSED_MIN = 0x80, RETAINED_LISTED = 5, PING_EXPIRY_S = 10, SESSION_EXPIRY_MIN_S = 60 };

/* ---- Connections ---- */

static int new_resolver(struct doctor *doctor)
{
	const char **filters = NULL;
	struct handler_topics topics;
	int error = resolver_new(&doctor->configuration->settings, &doctor->resolver);
	if (error == 0)
		error = doctor_topics(doctor, &filters, &topics);
	if (error == 0)
		error = resolver_lock(doctor->resolver, &topics);
	free(filters);
	return error;
}

static int open_link(struct doctor *doctor, const char *client_id, const struct connection_login *login,
	bool keeps, struct doctor_link **ret)
{
	const struct settings *settings = &doctor->broker;
	if (!doctor->resolver) {
		const int error = new_resolver(doctor);
		if (error != 0)
			return error;
	}
	const struct doctor_link_options options = {
		.settings = settings,
		.resolver = doctor->resolver,
		.client_id = client_id,
		.login = login,
		.timeout_ms = doctor->timeout_ms,
		.keeps = keeps,
	};
	return doctor_link_open(&options, ret);
}

int doctor_broker_open(
	struct doctor *doctor, const char *client_id, const char *password, struct doctor_link **ret)
{
	return open_link(doctor, client_id, &(struct connection_login){.password = password}, false, ret);
}

/* Of a handler's, which nobody else has. */
static void new_client_id(const struct doctor *doctor, char ret[static DOCTOR_TEXT_SIZE])
{
	char random[DOCTOR_USER_SIZE];
	doctor_random_name(random, "doctor-", 8);
	snprintf(ret, DOCTOR_TEXT_SIZE, "%s-%s", doctor->configuration->settings.client_id, random);
}

bool doctor_broker_unwanted(const struct doctor *doctor)
{
	char topic[2 * DOCTOR_USER_SIZE];
	snprintf(topic, sizeof(topic), "%s/%s", doctor->user_id, doctor->command);
	for (size_t i = 0; i < doctor->routes.lane_count; i++)
		if (routes_find(&doctor->routes.lanes[i], topic))
			return false;
	return true;
}

/* ---- The handler's token ---- */

static void login_fails(struct doctor *doctor, const struct doctor_link *link)
{
	const struct settings *settings = &doctor->configuration->settings;
	if (link->connack == -1) {
		doctor_fail(doctor, "the broker does not answer CONNECT: %s", link->reason);
		doctor_advise(doctor,
			settings->broker_tls
				? "does a broker listen there? Its log may say why; see also broker_tls"
				: "does a broker listen there, and without TLS? BROKER_TLS is off");
		return;
	}
	doctor_fail(doctor, "the broker refuses the handler's token: %s", link->reason);
	doctor_advise(doctor, "%s; the broker's log says why",
		settings->handler_token_file[0] != '\0'
			? "is the token in HANDLER_TOKEN_FILE one that it accepts?"
			: "is JWT_SECRET the secret that the broker verifies tokens with, and are both "
			  "clocks right?");
}

/* "" is TCP or TLS as it is. */
static const char *over_what(const struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	return settings->broker_transport == BROKER_TRANSPORT_WEBSOCKET ? " over WebSocket" : "";
}

static void tell_terms(struct doctor *doctor, const struct doctor_link *link)
{
	if (!doctor->mqtt5) {
		doctor_warn(doctor, "the broker speaks MQTT 3.1.1 only: it does not tell why it refuses an "
				    "event, and sends as many commands ahead as it likes");
		doctor_advise(doctor,
			"raise its in-flight window (mosquitto: max_inflight_messages), or take a "
			"broker that speaks MQTT 5");
	}
	if (link->terms.qos_max < 1) {
		doctor_fail(doctor, "the broker does not do QoS 1: commands could be lost");
		doctor_advise(doctor, "let it do QoS 1, or take another broker");
	}
	if (!link->terms.wildcards) {
		doctor_fail(doctor, "the broker does not do wildcards in filters");
		doctor_advise(doctor, "let it do them, or take another broker");
	}
	if (!link->terms.shared && doctor->group[0] != '\0') {
		doctor_fail(doctor, "the broker does not do shared subscriptions, which SHARED_GROUP needs");
		doctor_advise(doctor, "leave SHARED_GROUP empty, or take a broker that does them");
	}
}

void doctor_check_login(struct doctor *doctor)
{
	new_client_id(doctor, doctor->client_id);
	doctor_random_name(doctor->user_id, "doctor_", 12);
	doctor_random_name(doctor->other_user, "doctor_", 12);
	snprintf(doctor->command, sizeof(doctor->command), "%s", DOCTOR_COMMAND);

	struct doctor_link *link = NULL;
	const int64_t start = clock_ms();
	const int error = open_link(doctor, doctor->client_id, NULL, false, &link);
	doctor->handler = link;
	doctor->mqtt5 = link && link->mqtt5;
	if (error != 0) {
		doctor_fail(doctor, "out of memory");
	} else if (!link->up) {
		login_fails(doctor, link);
	} else {
		doctor_ok(doctor, "the handler's token is accepted, MQTT %s%s (%" PRId64 " ms, client id %s)",
			doctor->mqtt5 ? "5" : "3.1.1", over_what(doctor), clock_ms() - start,
			doctor->client_id);
		tell_terms(doctor, link);
	}
}

/* ---- The handlers' filters ---- */

struct listening {
	struct doctor *doctor;
	struct doctor_ear *end; /* comes after what was retained */
};

static void note_retained(struct doctor *doctor, const char *topic)
{
	const size_t size = strlen(doctor->retained_topics);
	if (doctor->retained++ == 0)
		snprintf(doctor->retained_first, sizeof(doctor->retained_first), "%s", topic);
	if (doctor->retained <= RETAINED_LISTED)
		snprintf(doctor->retained_topics + size, sizeof(doctor->retained_topics) - size, "%s%.100s",
			size > 0 ? ", " : "", topic);
}

static void listen_for_retained(void *context, const struct mosquitto_message *message)
{
	struct listening *listening = context;
	struct doctor_ear *end = listening->end;
	if (message->retain)
		note_retained(listening->doctor, message->topic);
	else if (strcmp(message->topic, end->topic) == 0)
		end->heard = true;
}

static bool subscribe(struct doctor *doctor, const char *lane, const char *filter)
{
	const int code = doctor_link_subscribe(doctor->handler, filter, 1, MQTT_SUB_OPT_SEND_RETAIN_ALWAYS);
	if (code == 1)
		return true;
	if (code == 0 || code == 2)
		doctor_fail(doctor, "%s (lane %s) is granted at QoS %d, not 1: commands could be lost",
			filter, lane, code);
	else
		doctor_fail(doctor, "%s (lane %s) is refused: %s", filter, lane,
			doctor_link_words(doctor->handler, code));
	doctor_advise(
		doctor, "let the user name JWT with a handler's token subscribe to %s at QoS 1", filter);
	return false;
}

void doctor_check_subscriptions(struct doctor *doctor)
{
	struct doctor_ear end;
	struct listening listening = {.doctor = doctor, .end = &end};
	unsigned granted = 0, all = 0;
	doctor_ear_new(&end, doctor->user_id, doctor->command);
	doctor->handler->context = &listening;
	doctor->handler->message = listen_for_retained;
	for (size_t i = 0; i < doctor->routes.lane_count; i++) {
		const struct route_lane *lane = &doctor->routes.lanes[i];
		for (size_t j = 0; j < lane->route_count; j++, all++) {
			const char *filter = lane->routes[j].filter;
			if (!doctor_link_again(&doctor->handler))
				break;
			doctor->handler->context = &listening;
			doctor->handler->message = listen_for_retained;
			if (subscribe(doctor, lane->name, filter))
				granted++;
			/* Retained ones come right behind SUBACK, and before what is published from now on. */
			if (doctor_broker_unwanted(doctor) &&
				doctor_link_subscribe(doctor->handler, end.topic, 1, 0) == 1) {
				end.heard = false;
				if (doctor_link_publish(doctor->handler, end.topic, end.payload, false,
					    PING_EXPIRY_S) >= 0)
					(void)doctor_ear_wait(&end, doctor->timeout_ms);
			}
			(void)doctor_link_unsubscribe(doctor->handler, filter);
		}
	}
	(void)doctor_link_unsubscribe(doctor->handler, end.topic);
	doctor_ear_put(doctor->handler, NULL);
	if (granted == all)
		doctor_ok(doctor, "all %u filters of the handlers are granted at QoS 1%s", all,
			doctor->group[0] != '\0' ? ", as shared ones" : "");
	else if (doctor->outcome != DOCTOR_FAIL)
		doctor_fail(doctor, "the broker is not there any more: %s", doctor->handler->reason);
	if (doctor->group[0] != '\0' && doctor->outcome != DOCTOR_FAIL)
		doctor_shared_delivery(doctor);
}

void doctor_check_retained(struct doctor *doctor)
{
	const struct settings *settings = &doctor->broker;
	if (doctor->group[0] != '\0') {
		doctor_ok(doctor, "retained commands are not sent to shared subscriptions");
		return;
	}
	if (doctor->retained == 0) {
		doctor_ok(doctor, "no retained commands wait at the broker");
		return;
	}
	doctor_warn(doctor, "%u retained %s at the broker, which the host ignores: %s%s", doctor->retained,
		doctor->retained == 1 ? "command waits" : "commands wait", doctor->retained_topics,
		doctor->retained > RETAINED_LISTED ? ", ..." : "");
	doctor_advise(doctor,
		"devices must publish commands without the retain flag; this clears one: mosquitto_pub -h %s "
		"-p "
		"%u -u %s -P TOKEN -r -n -t '%s'",
		settings->broker_host, settings->broker_port, settings->broker_user, doctor->retained_first);
}

/* ---- How long the broker keeps a session ---- */

static void tell_expiry(struct doctor *doctor, uint32_t granted_s)
{
	const uint32_t asked_s = doctor->configuration->settings.session_expiry_s;
	if (granted_s >= asked_s)
		return;
	doctor_warn(doctor,
		"the broker keeps the session for less time than SESSION_EXPIRY: for %" PRIu32
		" s, not %" PRIu32 " s. Commands are lost if no host comes back within it",
		granted_s, asked_s);
	doctor_advise(doctor,
		"raise the broker's limit for sessions to %" PRIu32
		" s or more (HiveMQ: session-expiry, EMQX: mqtt.session_expiry_interval), or set SESSION_EXPIRY=%" PRIu32
		" and have a host back by then",
		asked_s, granted_s < SESSION_EXPIRY_MIN_S ? SESSION_EXPIRY_MIN_S : granted_s);
}

/* Only a session that is asked for is told of: one of the doctor's own, without subscriptions, which is ended at once. MQTT 3.1.1 says nothing of it. */
static void look_at_expiry(struct doctor *doctor)
{
	char client_id[DOCTOR_TEXT_SIZE];
	struct doctor_link *link = NULL;
	if (!doctor->mqtt5)
		return;
	new_client_id(doctor, client_id);
	if (open_link(doctor, client_id, NULL, true, &link) != 0)
		return;
	if (link->up)
		tell_expiry(doctor, link->terms.session_expiry_s);
	else
		doctor_skip(doctor, "how long the broker keeps a session could not be found out: %s",
			link->reason);
	doctor_link_close(link);
}

/* ---- Whether a host serves the session ---- */

static bool has_ping(const struct doctor *doctor)
{
	const struct cashew_handler *const *handlers = doctor->configuration->handlers;
	for (; *handlers; handlers++)
		if (strcmp((*handlers)->name, "ping") == 0)
			return true;
	return false;
}

static void ping(struct doctor *doctor, struct doctor_ear *pong)
{
	char topic[EAR_TOPIC_SIZE];
	const char *client_id = doctor->configuration->settings.client_id;
	snprintf(topic, sizeof(topic), "%s/ping", doctor->user_id);
	const int64_t start = clock_us();
	const int code = doctor_link_publish(doctor->handler, topic, pong->payload, false, PING_EXPIRY_S);
	if (code == MQTT_RC_NO_MATCHING_SUBSCRIBERS) {
		doctor_warn(doctor, "no session at the broker takes commands: the session %s is not there",
			client_id);
		doctor_advise(doctor,
			"start cashewd: commands are kept for it from then on. It was there before? "
			"SESSION_EXPIRY may be too short, or the broker keeps nothing on disk");
	} else if (code < 0 || code >= REFUSED_MIN) {
		doctor_fail(doctor, "a handler may not publish to %s: %s", topic,
			doctor_link_words(doctor->handler, code));
		doctor_advise(doctor, "let a handler's token publish below every user");
	} else if (doctor_ear_wait(pong, doctor->timeout_ms)) {
		doctor_ok(doctor, "a host answers ping (%.1f ms)", (double)(pong->heard_us - start) / 1000);
	} else {
		doctor_warn(doctor, "a ping was taken and nobody answers: no host serves the session now, or "
				    "it waits for the "
				    "database");
		doctor_advise(doctor,
			"start cashewd, or look into its log; until then commands wait in the session. "
			"Whether that is %s's cannot be seen without taking it over",
			client_id);
	}
}

static void ask_the_host(struct doctor *doctor)
{
	struct doctor_ear pong;
	const char *client_id = doctor->configuration->settings.client_id;
	if (!has_ping(doctor)) {
		doctor_skip(doctor,
			"without the handler ping there is no harmless command to ask with, and "
			"asking for the session %s would take it over",
			client_id);
		return;
	}
	if (!doctor->mqtt5) {
		doctor_skip(doctor,
			"under MQTT 3.1.1 a ping would wait for an absent host for ever, and asking "
			"for the session %s would take it over",
			client_id);
		return;
	}
	if (!doctor_link_again(&doctor->handler)) {
		doctor_fail(doctor, "the broker is not there any more: %s", doctor->handler->reason);
		return;
	}
	doctor_ear_new(&pong, doctor->user_id, DOCTOR_ANSWER);
	doctor_ear_put(doctor->handler, &pong);
	const int code = doctor_link_subscribe(doctor->handler, pong.topic, 1, 0);
	if (code != 1) {
		doctor_fail(doctor, "a handler may not subscribe to %s: %s", pong.topic,
			doctor_link_words(doctor->handler, code));
	} else {
		ping(doctor, &pong);
		(void)doctor_link_unsubscribe(doctor->handler, pong.topic);
	}
	doctor_ear_put(doctor->handler, NULL);
}

void doctor_check_session(struct doctor *doctor)
{
	look_at_expiry(doctor);
	ask_the_host(doctor);
}
