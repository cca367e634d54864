/* promise_phone.c - see promise_phone.h. */
#include "promise_phone.h"

#include "harness_private.h"
#include "panic.h"
#include "token.h"
#include <mqtt_protocol.h>
#include <string.h>
#include <time.h>

enum {
	KEEPALIVE_S = 60,
	SESSION_S = 3600,
	TOKEN_LIFETIME_S = 24 * 3600,
	RECONNECT_MS = 100,
	CONNECT_MS = 10000, /* from the TCP connection to the last SUBACK */
	MISC_MS = 500,
	CORRELATION_SIZE = 32,
};

struct phone {
	struct phone_options options;
	const char *name;
	struct harness *harness;
	struct harness_part part;
	struct mosquitto *mosquitto;
	bool opened;
	size_t granted, filter_count; /* subscriptions */
	int64_t open_ms;	      /* when the last attempt began */
	int64_t ready_ms;	      /* 0: not ready */
	int64_t misc_ms;
};

static void check(const struct phone *phone, int result, const char *what)
{
	if (result != MOSQ_ERR_SUCCESS)
		harness_fail("phone %s: %s: %s", phone->name, what, mosquitto_strerror(result));
}

/* ---- libmosquitto's callbacks ---- */

static void on_connect(
	struct mosquitto *mosquitto, void *context, int reason, int flags, const mosquitto_property *p)
{
	struct phone *phone = context;
	(void)flags;
	(void)p;
	phone->granted = 0;
	if (reason != 0)
		return; /* the timer of the connection tries again, and the test's wait tells who is missing */
	for (size_t i = 0; i < phone->filter_count; i++)
		(void)mosquitto_subscribe_v5(
			mosquitto, NULL, phone->options.filters[i], 1, MQTT_SUB_OPT_NO_LOCAL, NULL);
}

static void on_disconnect(struct mosquitto *mosquitto, void *context, int reason, const mosquitto_property *p)
{
	struct phone *phone = context;
	(void)mosquitto;
	(void)reason;
	(void)p;
	phone->ready_ms = 0;
}

static void on_subscribe(struct mosquitto *mosquitto, void *context, int mid, int count, const int *granted,
	const mosquitto_property *p)
{
	struct phone *phone = context;
	(void)mosquitto;
	(void)mid;
	(void)p;
	phone->granted += count == 1 && granted[0] == 1;
	if (phone->granted == phone->filter_count)
		phone->ready_ms = harness_now_ms();
}

static void on_publish(
	struct mosquitto *mosquitto, void *context, int mid, int reason, const mosquitto_property *p)
{
	struct phone *phone = context;
	(void)mosquitto;
	(void)p;
	if (phone->options.puback)
		phone->options.puback(phone->options.context, mid, reason);
}

static void on_message(struct mosquitto *mosquitto, void *context, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	struct phone *phone = context;
	char correlation[CORRELATION_SIZE] = "";
	void *data = NULL;
	uint16_t size = 0;
	(void)mosquitto;
	if (mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &data, &size, false) &&
		size < CORRELATION_SIZE)
		memcpy(correlation, data, size);
	free(data);
	phone->options.event(phone->options.context, message->topic, message->payload,
		(size_t)message->payloadlen, correlation);
}

/* ---- Connecting ---- */

static void phone_open(struct phone *phone)
{
	int result;
	phone->open_ms = harness_now_ms();
	if (phone->opened) {
		result = mosquitto_reconnect(phone->mosquitto);
	} else {
		mosquitto_property *properties = NULL;
		check(phone,
			mosquitto_property_add_int32(
				&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_S),
			"session");
		result = mosquitto_connect_bind_v5(phone->mosquitto, "localhost",
			(int)broker_port(harness_broker(phone->harness)), KEEPALIVE_S, NULL, properties);
		mosquitto_property_free_all(&properties);
		phone->opened = true;
	}
	(void)result; /* there is a socket now, or the next turn tries again */
}

/* A part is asked what to poll for at each turn: this is where a lost connection is seen. */
static size_t phone_prepare(void *self, struct pollfd *polls, size_t room)
{
	struct phone *phone = self;
	const int64_t now_ms = harness_now_ms();
	if (mosquitto_socket(phone->mosquitto) < 0 && now_ms - phone->open_ms >= RECONNECT_MS)
		phone_open(phone);
	const int fd = mosquitto_socket(phone->mosquitto);
	if (fd < 0 || room == 0)
		return 0;
	polls[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	if (mosquitto_want_write(phone->mosquitto))
		polls[0].events |= POLLOUT;
	return 1;
}

static void phone_serve(void *self, const struct pollfd *polls, size_t count)
{
	struct phone *phone = self;
	const int64_t now_ms = harness_now_ms();
	if (count == 0)
		return;
	/* What they return is also told to on_disconnect(). Only reading advances a TLS handshake. */
	if (polls[0].revents != 0)
		(void)mosquitto_loop_read(phone->mosquitto, 1);
	if (mosquitto_want_write(phone->mosquitto))
		(void)mosquitto_loop_write(phone->mosquitto, 1);
	if (now_ms >= phone->misc_ms) {
		phone->misc_ms = now_ms + MISC_MS;
		(void)mosquitto_loop_misc(phone->mosquitto);
	}
	if (phone->ready_ms == 0 && now_ms - phone->open_ms >= CONNECT_MS)
		phone_open(phone);
}

static void phone_free(void *self)
{
	struct phone *phone = self;
	mosquitto_destroy(phone->mosquitto);
}

/* ---- Public ---- */

struct phone *phone_new(struct harness *h, const struct phone_options *options)
{
	struct phone *phone = harness_alloc(h, sizeof(*phone));
	const int64_t now_s = (int64_t)time(NULL);
	char *token = NULL;
	phone->options = *options;
	phone->harness = h;
	phone->name = options->user ? options->user : "observer";
	const int error =
		options->user
			? token_sign_user(HARNESS_SECRET, options->user, now_s, TOKEN_LIFETIME_S, &token)
			: token_sign_handler(HARNESS_SECRET, phone->name, now_s, TOKEN_LIFETIME_S, &token);
	if (error != 0)
		harness_fail("no token for %s", phone->name);
	while (options->filters[phone->filter_count])
		phone->filter_count++;
	struct mosquitto *m = phone->mosquitto = panic_if_null(mosquitto_new(phone->name, false, phone));
	mosquitto_connect_v5_callback_set(m, on_connect);
	mosquitto_disconnect_v5_callback_set(m, on_disconnect);
	mosquitto_subscribe_v5_callback_set(m, on_subscribe);
	mosquitto_publish_v5_callback_set(m, on_publish);
	mosquitto_message_v5_callback_set(m, on_message);
	check(phone, mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5),
		"protocol version");
	/* The limit is the broker's, not the library's. */
	check(phone, mosquitto_int_option(m, MOSQ_OPT_SEND_MAXIMUM, 65535), "send maximum");
	check(phone, mosquitto_int_option(m, MOSQ_OPT_RECEIVE_MAXIMUM, 65535), "receive maximum");
	check(phone, mosquitto_int_option(m, MOSQ_OPT_TCP_NODELAY, 1), "no delay");
	check(phone, mosquitto_tls_set(m, broker_ca_file(harness_broker(h)), NULL, NULL, NULL, NULL), "TLS");
	check(phone, mosquitto_username_pw_set(m, "JWT", token), "user name and token");
	free(token);
	phone->part = (struct harness_part){
		.self = phone, .prepare = phone_prepare, .serve = phone_serve, .free = phone_free};
	harness_add(h, &phone->part);
	return phone;
}

bool phone_ready(const struct phone *phone)
{
	return phone->ready_ms != 0;
}

int64_t phone_ready_since_ms(const struct phone *phone)
{
	return phone->ready_ms;
}

int phone_publish(struct phone *phone, const char *topic, const char *payload, const char *correlation)
{
	mosquitto_property *properties = NULL;
	int mid = 0;
	check(phone,
		mosquitto_property_add_binary(
			&properties, MQTT_PROP_CORRELATION_DATA, correlation, (uint16_t)strlen(correlation)),
		"correlation data");
	const int result = mosquitto_publish_v5(
		phone->mosquitto, &mid, topic, (int)strlen(payload), payload, 1, false, properties);
	mosquitto_property_free_all(&properties);
	/* libmosquitto keeps it before it writes: without a connection, or where that has just been lost, it
	 * is sent later all the same. */
	static const int kept[] = {
		MOSQ_ERR_NO_CONN, MOSQ_ERR_CONN_LOST, MOSQ_ERR_ERRNO, MOSQ_ERR_TLS, MOSQ_ERR_PROTOCOL};
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (result == kept[i])
			return mid;
	check(phone, result, "PUBLISH");
	return mid;
}
