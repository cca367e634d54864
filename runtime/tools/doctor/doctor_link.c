/*
 * doctor_link.c - see doctor_link.h.
 *
 * How libmosquitto is made not to wait is opening.c's way: packets are queued, and written by
 * mosquitto_loop_write(); over TLS mosquitto_loop_read() advances the handshake.
 */
#include "doctor_link.h"

#include "clock.h"
#include "doctor.h"
#include "settings.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LINKS_MAX = 8, NOT_YET = -3 };

/* Those that are open: one thread uses them. */
static struct doctor_link *links;

static void end(struct doctor_link *link, const char *reason)
{
	if (!link->over)
		snprintf(link->reason, sizeof(link->reason), "%s", reason);
	link->over = true;
	link->up = false;
	if (link->answer == NOT_YET)
		link->answer = LINK_CLOSED;
}

/* ---- libmosquitto's callbacks ---- */

static void on_connect(struct mosquitto *mosquitto, void *object, int reason_code, int flags,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	struct doctor_link *link = object;
	uint16_t word;
	uint8_t byte;
	link->connack = reason_code;
	link->up = reason_code == 0;
	link->session_present = (flags & 1) != 0;
	if (mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &word, false) != NULL)
		link->receive_maximum = word;
	if (mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE, &word, false) != NULL)
		link->keepalive_s = word;
	if (mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &byte, false) != NULL)
		link->qos_maximum = byte;
	if (mosquitto_property_read_byte(properties, MQTT_PROP_WILDCARD_SUB_AVAILABLE, &byte, false) != NULL)
		link->wildcards = byte != 0;
	if (reason_code != 0)
		end(link, link->options.mqtt5 ? mosquitto_reason_string(reason_code)
					      : mosquitto_connack_string(reason_code));
}

static void on_disconnect(
	struct mosquitto *mosquitto, void *object, int reason_code, const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	struct doctor_link *link = object;
	if (reason_code >= 0x80)
		link->disconnect = reason_code;
}

static void answered(struct doctor_link *link, int mid, int answer)
{
	if (mid == link->mid && link->answer == NOT_YET)
		link->answer = answer;
}

static void on_publish(struct mosquitto *mosquitto, void *object, int mid, int reason_code,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	answered(object, mid, reason_code);
}

static void on_subscribe(struct mosquitto *mosquitto, void *object, int mid, int count, const int *granted,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	answered(object, mid, count > 0 ? granted[0] : MQTT_RC_UNSPECIFIED);
}

static void on_unsubscribe(
	struct mosquitto *mosquitto, void *object, int mid, const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	answered(object, mid, 0);
}

static void on_message(struct mosquitto *mosquitto, void *object, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	struct doctor_link *link = object;
	if (link->message != NULL)
		link->message(link->context, message);
	errno = 0;
}

/* ---- The loop ---- */

static SSL *shaking_hands(const struct doctor_link *link)
{
	SSL *ssl = mosquitto_ssl_get(link->mosquitto);
	return ssl != NULL && !SSL_is_init_finished(ssl) ? ssl : NULL;
}

static bool wants_to_write(const struct doctor_link *link)
{
	const SSL *ssl = shaking_hands(link);
	if (!link->connected)
		return true;
	return ssl != NULL ? SSL_want_write(ssl) : mosquitto_want_write(link->mosquitto);
}

/* Ends the link if libmosquitto says that it is over. */
static bool failed(struct doctor_link *link, int rc)
{
	const int error = errno;
	char reason[LINK_REASON_SIZE];
	if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(link->mosquitto) >= 0)
		return false;
	if (link->disconnect != 0)
		snprintf(reason, sizeof(reason), "the broker closed it: %s",
			mosquitto_reason_string(link->disconnect));
	else if (rc == MOSQ_ERR_CONN_LOST || rc == MOSQ_ERR_SUCCESS)
		snprintf(reason, sizeof(reason), "the broker closed it without a word");
	else if (link->options.tls != NULL &&
		 (rc == MOSQ_ERR_TLS || (rc == MOSQ_ERR_ERRNO && error == EPROTO)))
		snprintf(reason, sizeof(reason), "TLS failed");
	else
		snprintf(reason, sizeof(reason), "%s",
			rc == MOSQ_ERR_ERRNO ? strerror(error) : mosquitto_strerror(rc));
	end(link, reason);
	return true;
}

static bool tcp_connected(struct doctor_link *link)
{
	struct sockaddr_storage peer;
	socklen_t peer_size = sizeof(peer), size = sizeof(int);
	int error = 0;
	const int fd = mosquitto_socket(link->mosquitto);
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0) {
		link->connected = true;
		return true;
	}
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	end(link, strerror(error != 0 ? error : ECONNREFUSED));
	return false;
}

static void serve(struct doctor_link *link, short revents)
{
	if (revents != 0 && !link->connected && !tcp_connected(link))
		return;
	errno = 0;
	if (revents != 0 && failed(link, mosquitto_loop_read(link->mosquitto, 1)))
		return;
	/* libmosquitto may call it a success that the socket died in the handshake. */
	if (shaking_hands(link) != NULL && (revents & (POLLERR | POLLHUP | POLLRDHUP)) != 0) {
		(void)failed(link, MOSQ_ERR_TLS);
		return;
	}
	errno = 0;
	if (link->connected && shaking_hands(link) == NULL && mosquitto_want_write(link->mosquitto) &&
		failed(link, mosquitto_loop_write(link->mosquitto, 1)))
		return;
	if (link->up)
		(void)failed(link, mosquitto_loop_misc(link->mosquitto));
}

bool doctor_link_wait(bool (*condition)(void *context), void *context, unsigned timeout_ms)
{
	const int64_t until = clock_ms() + timeout_ms;
	while (!condition(context)) {
		struct pollfd polls[LINKS_MAX];
		struct doctor_link *served[LINKS_MAX];
		nfds_t count = 0;
		const int64_t left = until - clock_ms();
		if (left <= 0)
			return false;
		for (struct doctor_link *link = links; link != NULL; link = link->next) {
			if (link->over)
				continue;
			const short writes = wants_to_write(link) ? POLLOUT : 0;
			served[count] = link;
			polls[count++] = (struct pollfd){.fd = mosquitto_socket(link->mosquitto),
				.events = (short)(POLLIN | POLLRDHUP | writes)};
		}
		if (poll(polls, count, (int)left) < 0 && errno != EINTR)
			return false;
		for (nfds_t i = 0; i < count; i++)
			serve(served[i], polls[i].revents);
	}
	return true;
}

/* ---- Opening and closing ---- */

static int set_up(struct doctor_link *link)
{
	const struct doctor_link_options *options = &link->options;
	struct mosquitto *mosquitto = link->mosquitto;
	mosquitto_threaded_set(mosquitto, true);
	mosquitto_connect_v5_callback_set(mosquitto, on_connect);
	mosquitto_disconnect_v5_callback_set(mosquitto, on_disconnect);
	mosquitto_publish_v5_callback_set(mosquitto, on_publish);
	mosquitto_subscribe_v5_callback_set(mosquitto, on_subscribe);
	mosquitto_unsubscribe_v5_callback_set(mosquitto, on_unsubscribe);
	mosquitto_message_v5_callback_set(mosquitto, on_message);
	int rc = mosquitto_int_option(
		mosquitto, MOSQ_OPT_PROTOCOL_VERSION, options->mqtt5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_int_option(mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
	if (rc == MOSQ_ERR_SUCCESS && options->tls != NULL)
		rc = mosquitto_void_option(mosquitto, MOSQ_OPT_SSL_CTX, options->tls);
	if (rc == MOSQ_ERR_SUCCESS && options->tls != NULL)
		rc = mosquitto_int_option(mosquitto, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
	if (rc == MOSQ_ERR_SUCCESS && options->password != NULL)
		rc = mosquitto_username_pw_set(mosquitto, "JWT", options->password);
	return rc;
}

static bool connack_or_end(void *context)
{
	const struct doctor_link *link = context;
	return link->up || link->over;
}

int doctor_link_open(const struct doctor_link_options *options, struct doctor_link **ret)
{
	struct doctor_link *link = calloc(1, sizeof(*link));
	if (link == NULL)
		return -ENOMEM;
	link->options = *options;
	link->connack = -1;
	link->receive_maximum = 65535;
	link->qos_maximum = 2;
	link->wildcards = true;
	link->mosquitto = mosquitto_new(options->client_id, true, link);
	if (link->mosquitto == NULL) {
		free(link);
		return -ENOMEM;
	}
	link->next = links;
	links = link;
	int rc = set_up(link);
	errno = 0;
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_connect_bind_async(link->mosquitto, options->settings->broker_host,
			(int)options->settings->broker_port, (int)options->settings->keepalive_s,
			options->ipv4 ? "0.0.0.0" : NULL);
	if (!failed(link, rc)) {
		SSL *ssl = mosquitto_ssl_get(link->mosquitto);
		/* What it would read ahead poll() does not tell of. */
		if (ssl != NULL)
			SSL_set_read_ahead(ssl, 0);
		if (!doctor_link_wait(connack_or_end, link, options->timeout_ms))
			end(link, "no CONNACK came in time");
	}
	*ret = link;
	return 0;
}

static bool written_or_end(void *context)
{
	const struct doctor_link *link = context;
	return link->over || !mosquitto_want_write(link->mosquitto);
}

void doctor_link_close(struct doctor_link *link)
{
	if (link == NULL)
		return;
	link->message = NULL;
	if (link->up && mosquitto_disconnect_v5(link->mosquitto, 0, NULL) == MOSQ_ERR_SUCCESS)
		(void)doctor_link_wait(written_or_end, link, link->options.timeout_ms);
	for (struct doctor_link **at = &links; *at != NULL; at = &(*at)->next) {
		if (*at == link) {
			*at = link->next;
			break;
		}
	}
	mosquitto_destroy(link->mosquitto);
	free(link);
}

/* ---- Packets that are answered ---- */

static bool answer_came(void *context)
{
	const struct doctor_link *link = context;
	return link->answer != NOT_YET;
}

static int await(struct doctor_link *link, int rc)
{
	if (rc != MOSQ_ERR_SUCCESS) {
		end(link, mosquitto_strerror(rc));
		return LINK_CLOSED;
	}
	if (!doctor_link_wait(answer_came, link, link->options.timeout_ms))
		link->answer = LINK_SILENT;
	return link->answer;
}

int doctor_link_subscribe(struct doctor_link *link, const char *filter, int qos, int options)
{
	if (!link->up)
		return LINK_CLOSED;
	link->answer = NOT_YET;
	return await(link, mosquitto_subscribe_v5(link->mosquitto, &link->mid, filter, qos,
				   link->options.mqtt5 ? options : 0, NULL));
}

int doctor_link_unsubscribe(struct doctor_link *link, const char *filter)
{
	if (!link->up)
		return LINK_CLOSED;
	link->answer = NOT_YET;
	return await(link, mosquitto_unsubscribe_v5(link->mosquitto, &link->mid, filter, NULL));
}

int doctor_link_publish(
	struct doctor_link *link, const char *topic, const char *payload, bool retain, unsigned expiry_s)
{
	mosquitto_property *properties = NULL;
	if (!link->up)
		return LINK_CLOSED;
	if (expiry_s > 0 && link->options.mqtt5 &&
		mosquitto_property_add_int32(&properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, expiry_s) !=
			MOSQ_ERR_SUCCESS)
		return LINK_CLOSED;
	link->answer = NOT_YET;
	const int rc = mosquitto_publish_v5(
		link->mosquitto, &link->mid, topic, (int)strlen(payload), payload, 1, retain, properties);
	mosquitto_property_free_all(&properties);
	return await(link, rc);
}

const char *doctor_link_words(const struct doctor_link *link, int code)
{
	if (code == LINK_CLOSED)
		return link->reason;
	if (code == LINK_SILENT)
		return "no answer came in time";
	return mosquitto_reason_string(code);
}
