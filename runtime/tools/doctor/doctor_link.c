/* doctor_link.c - see doctor_link.h: a loop of its own around the host's connections. */
#include "doctor_link.h"

#include "clock.h"
#include "settings.h"
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	LINKS_MAX = 8,
	NOT_YET = -3,
	ATTEMPTS_MAX =
		3, /* the host takes two closes without a word for a broker that does not speak MQTT 5 */
	READS_PER_TURN = 64,
};

/* Those that are open: one thread uses them. */
static struct doctor_link *links;

static void end(struct doctor_link *link, const char *reason)
{
	if (link->over)
		return;
	link->over = true;
	snprintf(link->reason, sizeof(link->reason), "%s", reason);
}

/* ---- What the connection tells ---- */

static void on_up(void *owner, const struct connection_terms *terms)
{
	struct doctor_link *link = owner;
	link->up = true;
	link->reached = true;
	link->connack = 0;
	link->mqtt5 = terms->mqtt5;
	link->terms = *terms;
}

static void on_down(void *owner, bool was_up)
{
	struct doctor_link *link = owner;
	struct connection_end ended;
	connection_ended(link->connection, &ended);
	const bool refused = !was_up && ended.connack > 0, other_version = ended.mqtt5 != link->mqtt5;
	link->up = false;
	link->reached = link->reached || ended.reached;
	link->connack = ended.connack;
	link->mqtt5 = ended.mqtt5;
	if (link->answer == NOT_YET)
		link->answer = LINK_CLOSED;
	/* The connection is about to try once more, as the host's would. */
	if (refused && other_version)
		return;
	if (!was_up && !refused && ++link->unanswered < ATTEMPTS_MAX)
		return;
	if (refused)
		end(link, link->mqtt5 ? mosquitto_reason_string(ended.connack)
				      : mosquitto_connack_string(ended.connack));
	else
		end(link, ended.reason);
}

static void on_message(void *owner, const struct mosquitto_message *message,
	const mosquitto_property *properties, uint64_t place, bool dup)
{
	(void)properties, (void)place, (void)dup;
	struct doctor_link *link = owner;
	if (link->message)
		link->message(link->context, message);
}

static void answered(struct doctor_link *link, int mid, int answer)
{
	if (mid == link->mid && link->answer == NOT_YET)
		link->answer = answer;
}

static void on_published(void *owner, int mid, int reason_code)
{
	answered(owner, mid, reason_code);
}

static void on_subscribed(void *owner, int mid, int granted_count, const int *granted)
{
	answered(owner, mid, granted_count > 0 ? granted[0] : MQTT_RC_UNSPECIFIED);
}

static void on_unsubscribed(void *owner, int mid, const mosquitto_property *properties)
{
	(void)properties;
	answered(owner, mid, 0);
}

static const struct connection_owner callbacks = {
	.up = on_up,
	.down = on_down,
	.message = on_message,
	.published = on_published,
	.subscribed = on_subscribed,
	.unsubscribed = on_unsubscribed,
};

/* ---- The loop ---- */

static bool is_up(const struct doctor_link *link)
{
	return connection_state(link->connection) == CONNECTION_UP;
}

/* What to wait for, and until when at most. */
static int64_t prepare(struct doctor_link *link, struct pollfd *ret_poll)
{
	/* What a check has queued since. */
	if (is_up(link))
		connection_flush(link->connection);
	connection_poll(link->connection, true, ret_poll);
	return connection_pending(link->connection) ? 0 : connection_due_ms(link->connection);
}

static void serve(struct doctor_link *link, short revents)
{
	/* It may have ended before poll(). */
	if (link->over)
		return;
	connection_serve(link->connection, revents, clock_ms());
	for (int i = 0; i < READS_PER_TURN && is_up(link); i++)
		if (!connection_read(link->connection))
			break;
	if (is_up(link))
		connection_flush(link->connection);
}

bool doctor_link_wait(bool (*condition)(void *context), void *context, unsigned timeout_ms)
{
	const int64_t until = clock_ms() + timeout_ms;
	while (!condition(context)) {
		struct pollfd polls[LINKS_MAX];
		struct doctor_link *served[LINKS_MAX];
		nfds_t count = 0;
		int64_t due = until;
		for (struct doctor_link *link = links; link && count < LINKS_MAX; link = link->next) {
			/* Its connection would open again: nobody serves it. */
			if (link->over)
				continue;
			const int64_t link_due = prepare(link, &polls[count]);
			due = link_due < due ? link_due : due;
			served[count++] = link;
		}
		const int64_t now = clock_ms();
		if (now >= until)
			return false;
		if (poll(polls, count, due > now ? (int)(due - now) : 0) < 0) {
			if (errno != EINTR)
				return false;
			continue;
		}
		for (nfds_t i = 0; i < count; i++)
			serve(served[i], polls[i].revents);
	}
	return true;
}

/* ---- Opening and closing ---- */

static int new_connection(struct doctor_link *link)
{
	const struct connection_options options = {
		.label = "doctor",
		.client_id = link->options.client_id,
		.persistent = link->options.keeps,
		.tries = link->options.keeps,
		.window = link->options.settings->window,
		.login = link->options.login,
		.settings = link->options.settings,
		.resolver = link->options.resolver,
		.callbacks = &callbacks,
		.owner = link,
	};
	return connection_new(&options, &link->connection);
}

static bool connack_or_end(void *context)
{
	const struct doctor_link *link = context;
	return link->up || link->over;
}

int doctor_link_open(const struct doctor_link_options *options, struct doctor_link **ret)
{
	struct doctor_link *link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	link->options = *options;
	if (options->login) {
		link->login = *options->login;
		link->options.login = &link->login;
	}
	link->connack = -1;
	link->mqtt5 = true;
	if (mosquitto_lib_init() != MOSQ_ERR_SUCCESS || new_connection(link) != 0) {
		free(link);
		return -ENOMEM;
	}
	link->next = links;
	links = link;
	connection_want(link->connection, true, clock_ms());
	if (!doctor_link_wait(connack_or_end, link, options->timeout_ms)) {
		end(link, "no CONNACK came in time");
		link->silent = true;
		connection_want(link->connection, false, clock_ms());
	}
	*ret = link;
	return 0;
}

bool doctor_link_again(struct doctor_link **link)
{
	struct doctor_link *fresh;
	if ((*link)->up)
		return true;
	if (doctor_link_open(&(*link)->options, &fresh) != 0)
		return false;
	doctor_link_close(*link);
	*link = fresh;
	return fresh->up;
}

void doctor_link_close(struct doctor_link *link)
{
	if (!link)
		return;
	link->message = NULL;
	end(link, "it was closed");
	if (is_up(link))
		connection_disconnect(link->connection);
	connection_free(link->connection);
	for (struct doctor_link **at = &links; *at; at = &(*at)->next) {
		if (*at == link) {
			*at = link->next;
			break;
		}
	}
	free(link);
	mosquitto_lib_cleanup();
}

/* ---- Packets that are answered ---- */

static bool answer_came(void *context)
{
	const struct doctor_link *link = context;
	return link->answer != NOT_YET;
}

/* code: of the call that has queued the packet. */
static int await(struct doctor_link *link, int code)
{
	if (code != MOSQ_ERR_SUCCESS) {
		connection_fail(link->connection, mosquitto_strerror(code));
		connection_flush(link->connection);
	} else if (!doctor_link_wait(answer_came, link, link->options.timeout_ms)) {
		link->answer = LINK_SILENT;
	}
	return link->answer;
}

/* The libmosquitto instance, for a packet whose answer is awaited; NULL: the link is not up. */
static struct mosquitto *asks(struct doctor_link *link)
{
	if (!link->up)
		return NULL;
	link->answer = NOT_YET;
	return connection_mosquitto(link->connection);
}

int doctor_link_subscribe(struct doctor_link *link, const char *filter, int qos, int options)
{
	struct mosquitto *mosquitto = asks(link);
	if (!mosquitto)
		return LINK_CLOSED;
	return await(link,
		mosquitto_subscribe_v5(mosquitto, &link->mid, filter, qos, link->mqtt5 ? options : 0, NULL));
}

int doctor_link_unsubscribe(struct doctor_link *link, const char *filter)
{
	struct mosquitto *mosquitto = asks(link);
	return mosquitto ? await(link, mosquitto_unsubscribe_v5(mosquitto, &link->mid, filter, NULL))
			 : LINK_CLOSED;
}

int doctor_link_publish(
	struct doctor_link *link, const char *topic, const char *payload, bool retain, unsigned expiry_s)
{
	mosquitto_property *properties = NULL;
	struct mosquitto *mosquitto = asks(link);
	if (!mosquitto)
		return LINK_CLOSED;
	int code = MOSQ_ERR_SUCCESS;
	if (expiry_s > 0 && link->mqtt5)
		code = mosquitto_property_add_int32(&properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, expiry_s);
	if (code == MOSQ_ERR_SUCCESS)
		code = mosquitto_publish_v5(
			mosquitto, &link->mid, topic, (int)strlen(payload), payload, 1, retain, properties);
	mosquitto_property_free_all(&properties);
	return await(link, code);
}

void doctor_link_acknowledge(struct doctor_link *link, bool at_once)
{
	const int value = at_once;
	struct pollfd socket;
	if (!link->up)
		return;
	connection_poll(link->connection, true, &socket);
	(void)setsockopt(socket.fd, IPPROTO_TCP, TCP_QUICKACK, &value, sizeof(value));
}

const char *doctor_link_words(const struct doctor_link *link, int code)
{
	if (code == LINK_CLOSED)
		return link->reason;
	if (code == LINK_SILENT)
		return "no answer came in time";
	return mosquitto_reason_string(code);
}
