/* device.c - see device.h. */
#include "device.h"
#include <errno.h>
#include <jwt.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DEVICES_MAX = 8, KEEPALIVE_S = 30, RECONNECT_MS = 500, TOKEN_SIZE_MAX = 4096 };

struct device {
	struct mosquitto *mosq;
	char *user, *host;
	int port;
	device_event_fn *on_event;
	void *context;
	bool connected; /* the broker has said CONNACK */
	bool ready;	/* .. and SUBACK */
	bool refused;
	bool told;	   /* the user knows that there is no connection */
	long reconnect_at; /* when to try again */
};

static struct device *devices[DEVICES_MAX];

long device_clock_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

long device_clock_ms(void)
{
	return device_clock_us() / 1000;
}

static const char *error_text(int error)
{
	if (error == MOSQ_ERR_ERRNO)
		return strerror(errno);
	if (error == MOSQ_ERR_TLS)
		return "TLS failed: is BROKER_CA_FILE the authority of its certificate, and BROKER_HOST a name in it?";
	return mosquitto_strerror(error);
}

/* The first word about a connection that does not come about; the next ones are the same again. */
static void tell_once(struct device *device, const char *what)
{
	if (!device->told)
		fprintf(stderr, "%s: no connection to the broker at %s:%d: %s\n", device->user, device->host,
			device->port, what);
	device->told = true;
}

static void refuse(struct device *device, const char *what, const char *why)
{
	if (!device->refused)
		fprintf(stderr, "%s: the broker refused %s: %s\n", device->user, what, why);
	device->refused = true;
}

/* ---- What the broker says: libmosquitto calls these from within devices_run() ---- */

static void on_connect(
	struct mosquitto *mosq, void *context, int reason, int flags, const mosquitto_property *props)
{
	struct device *device = context;
	(void)flags;
	(void)props;

	if (reason == MQTT_RC_SERVER_BUSY || reason == MQTT_RC_SERVER_UNAVAILABLE) {
		tell_once(device, mosquitto_reason_string(reason));
		return;
	}
	if (reason != MQTT_RC_SUCCESS) {
		refuse(device, "the connection", mosquitto_reason_string(reason));
		return;
	}
	device->connected = true;

	/* A device's own commands lie below its user id too: "no local" keeps them from coming back to it. */
	char filter[80];
	snprintf(filter, sizeof(filter), "%s/#", device->user);
	if (mosquitto_subscribe_v5(mosq, NULL, filter, 1, MQTT_SUB_OPT_NO_LOCAL, NULL) != MOSQ_ERR_SUCCESS)
		refuse(device, "the subscription", "it could not be sent");
}

static void on_subscribe(struct mosquitto *mosq, void *context, int mid, int count, const int *granted,
	const mosquitto_property *props)
{
	struct device *device = context;
	(void)mosq;
	(void)mid;
	(void)props;

	if (count == 1 && granted[0] >= 128) {
		refuse(device, "the subscription", mosquitto_reason_string(granted[0]));
		return;
	}
	device->ready = true;
	device->told = false;
}

static void on_publish(
	struct mosquitto *mosq, void *context, int mid, int reason, const mosquitto_property *props)
{
	(void)mosq;
	(void)mid;
	(void)props;
	/* "No matching subscribers" is a success: cashewd may be away, and the command be repeated. */
	if (reason >= 128)
		refuse(context, "a command", mosquitto_reason_string(reason));
}

static void on_message(struct mosquitto *mosq, void *context, const struct mosquitto_message *message,
	const mosquitto_property *props)
{
	struct device *device = context;
	(void)mosq;
	(void)props;

	const size_t user_size = strlen(device->user);
	if (strncmp(message->topic, device->user, user_size) != 0 || message->topic[user_size] != '/')
		return;
	json_t *payload = json_loadb(message->payload, (size_t)message->payloadlen,
		JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	device->on_event(device->context, device, message->topic + user_size + 1, payload);
	json_decref(payload);
}

static void lost(struct device *device, int reason)
{
	device->connected = device->ready = false;
	device->reconnect_at = device_clock_ms() + RECONNECT_MS;
	if (!device->refused)
		tell_once(device, reason >= 128 ? mosquitto_reason_string(reason) : error_text(reason));
}

static void on_disconnect(struct mosquitto *mosq, void *context, int reason, const mosquitto_property *props)
{
	(void)mosq;
	(void)props;
	if (reason != MOSQ_ERR_SUCCESS)
		lost(context, reason);
}

/* ---- Open and close ---- */

/* The user id that the token speaks for. The broker verifies the token; its owner need not. */
static char *token_user(const char *token)
{
	jwt_t *jwt = NULL;
	char *user = NULL;
	if (strlen(token) <= TOKEN_SIZE_MAX && jwt_decode(&jwt, token, NULL, 0) == 0) {
		const char *claim = jwt_get_grant(jwt, "user_id");
		user = claim ? strdup(claim) : NULL;
	}
	jwt_free(jwt);
	return user;
}

static int configure(struct device *device, const struct device_options *options)
{
	mosquitto_connect_v5_callback_set(device->mosq, on_connect);
	mosquitto_subscribe_v5_callback_set(device->mosq, on_subscribe);
	mosquitto_publish_v5_callback_set(device->mosq, on_publish);
	mosquitto_message_v5_callback_set(device->mosq, on_message);
	mosquitto_disconnect_v5_callback_set(device->mosq, on_disconnect);

	int error = mosquitto_int_option(device->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
	/* A small packet is not to wait for the next one. */
	if (error == MOSQ_ERR_SUCCESS)
		error = mosquitto_int_option(device->mosq, MOSQ_OPT_TCP_NODELAY, 1);
	if (error == MOSQ_ERR_SUCCESS)
		error = mosquitto_username_pw_set(device->mosq, "JWT", options->token);
	if (error != MOSQ_ERR_SUCCESS || !options->tls)
		return error;
	/* The broker's certificate and its host name are verified: libmosquitto does so unless told otherwise. */
	if (options->ca_file)
		return mosquitto_tls_set(device->mosq, options->ca_file, NULL, NULL, NULL, NULL);
	return mosquitto_int_option(device->mosq, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
}

struct device *device_open(const struct device_options *options)
{
	size_t slot = 0;
	while (slot < DEVICES_MAX && devices[slot])
		slot++;
	if (slot == DEVICES_MAX) {
		fprintf(stderr, "more than %d devices in one process\n", DEVICES_MAX);
		return NULL;
	}
	struct device *device = calloc(1, sizeof(*device));
	if (!device)
		return NULL;
	mosquitto_lib_init(); /* libmosquitto counts: device_close() undoes one */
	device->host = strdup(options->host);
	device->user = token_user(options->token);
	if (!device->host || !device->user) {
		fprintf(stderr, "the token is not one of a user: it has no \"user_id\"\n");
		device_close(device);
		return NULL;
	}
	device->port = options->port;
	device->on_event = options->on_event;
	device->context = options->context;

	/* Client ids are unique in a broker, and begin with the user id: the demo broker insists on it. */
	char client_id[128];
	snprintf(client_id, sizeof(client_id), "%s/device-%d-%zu", device->user, (int)getpid(), slot);
	device->mosq = mosquitto_new(client_id, true, device);
	const int error = device->mosq ? configure(device, options) : MOSQ_ERR_NOMEM;
	if (error != MOSQ_ERR_SUCCESS) {
		fprintf(stderr, "%s: cannot set up a connection: %s (BROKER_CA_FILE: %s)\n", device->user,
			mosquitto_strerror(error), options->ca_file ? options->ca_file : "none");
		device_close(device);
		return NULL;
	}
	devices[slot] = device;
	return device;
}

void device_close(struct device *device)
{
	if (!device)
		return;
	for (size_t i = 0; i < DEVICES_MAX; i++)
		if (devices[i] == device)
			devices[i] = NULL;
	if (device->connected) {
		mosquitto_disconnect(device->mosq);
		mosquitto_loop_write(device->mosq, 1);
	}
	mosquitto_destroy(device->mosq);
	mosquitto_lib_cleanup();
	free(device->user);
	free(device->host);
	free(device);
}

const char *device_user(const struct device *device)
{
	return device->user;
}

bool device_ready(const struct device *device)
{
	return device->ready;
}

bool device_refused(const struct device *device)
{
	return device->refused;
}

/* ---- Send and run ---- */

void device_send(struct device *device, const char *topic, const char *payload)
{
	/* What is published without a connection would pile up inside libmosquitto. */
	if (!device->ready)
		return;
	const int error = mosquitto_publish_v5(
		device->mosq, NULL, topic, (int)strlen(payload), payload, 1, false, NULL);
	if (error != MOSQ_ERR_SUCCESS && error != MOSQ_ERR_NO_CONN)
		refuse(device, topic, mosquitto_strerror(error));
}

static void connect_again(struct device *device)
{
	if (device->refused || device_clock_ms() < device->reconnect_at)
		return;
	device->reconnect_at = device_clock_ms() + RECONNECT_MS;
	const int error = mosquitto_connect(device->mosq, device->host, device->port, KEEPALIVE_S);
	if (error != MOSQ_ERR_SUCCESS)
		tell_once(device, error_text(error));
}

void devices_run(int timeout_ms)
{
	enum { SLICE_MS = 50 }; /* how long what could not be written at once may lie */
	struct pollfd polls[DEVICES_MAX];
	struct device *polled[DEVICES_MAX];
	nfds_t count = 0;

	for (size_t i = 0; i < DEVICES_MAX; i++) {
		if (!devices[i])
			continue;
		if (mosquitto_socket(devices[i]->mosq) < 0)
			connect_again(devices[i]);
		const int fd = mosquitto_socket(devices[i]->mosq);
		if (fd >= 0) {
			polled[count] = devices[i];
			polls[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
		}
	}
	if (poll(polls, count, timeout_ms < SLICE_MS ? timeout_ms : SLICE_MS) < 0)
		return;
	for (nfds_t i = 0; i < count; i++) {
		/* on_disconnect hears of most errors, but not of a TLS handshake that fails. */
		const int error = mosquitto_loop(polled[i]->mosq, 0, 1);
		if (error != MOSQ_ERR_SUCCESS)
			lost(polled[i], error);
	}
}
