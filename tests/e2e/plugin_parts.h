/*
 * plugin_parts.h - tokens, handlers and the broker's log, for tests of the broker's plugin.
 *
 * Include it in one source file.
 */
#ifndef PLUGIN_PARTS_H
#define PLUGIN_PARTS_H

#include "harness.h"
#include "token.h"
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { REFUSED = MQTT_RC_NOT_AUTHORIZED, REFUSED_311 = 5, SUBSCRIPTION_REFUSED_311 = 0x80 };

/* ---- Tokens, handlers, logs ---- */

static char *user_token(
	struct harness *h, const char *secret, const char *user, int64_t age_s, int64_t lifetime_s)
{
	char *token = NULL;
	if (token_sign_user(secret, user, (int64_t)time(NULL) - age_s, lifetime_s, &token) != 0)
		harness_fail("no token for user %s", user);
	char *kept = harness_format(h, "%s", token);
	free(token);
	return kept;
}

static char *handler_token(struct harness *h, const char *name)
{
	char *token = NULL;
	if (token_sign_handler(HARNESS_SECRET, name, (int64_t)time(NULL), 3600, &token) != 0)
		harness_fail("no token for handler %s", name);
	char *kept = harness_format(h, "%s", token);
	free(token);
	return kept;
}

/* A client with a handler's token, which subscribes to nothing by itself. */
static struct device *handler_new(struct harness *h, const char *name)
{
	static unsigned number;
	struct device *handler = device_new(h, name);
	handler->token = handler_token(h, name);
	handler->client_id = harness_format(h, "%s-%u", name, ++number);
	handler->quiet = true;
	return handler;
}

/* A connected one that is sent everything below all user ids. */
static struct device *observer_new(struct harness *h)
{
	struct device *observer = handler_new(h, "observer");
	device_connect(observer);
	assert_int_equal(device_subscribe(observer, "#", 2), 2);
	return observer;
}

static void expect_log(struct harness *h, const char *text)
{
	broker_wait_log(h, harness_broker(h), text, 1);
}

/* ---- Visitors: clients of any kind, to see whether they are let in ---- */

struct visitor {
	const char *username, *password, *client_id; /* NULL: none */
	bool mqtt311;
	const char *auth_method; /* MQTT 5's enhanced authentication; NULL: none */
	const char *will_topic;	 /* NULL: no will */
	bool will_retain;
};

static void visitor_connected(
	struct mosquitto *m, void *context, int reason, int flags, const mosquitto_property *p)
{
	int *connack = context;
	(void)m;
	(void)flags;
	(void)p;
	*connack = reason;
}

/* Connects and waits for the CONNACK, or for the connection's end: -1 then. */
static struct mosquitto *visitor_connect(struct harness *h, const struct visitor *visitor, int *ret_connack)
{
	static int connack;
	struct broker *broker = harness_broker(h);
	struct mosquitto *m = mosquitto_new(visitor->client_id, true, &connack);
	assert_non_null(m);
	mosquitto_connect_v5_callback_set(m, visitor_connected);
	mosquitto_property *properties = NULL;
	bool made = mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION,
			    visitor->mqtt311 ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5) == 0 &&
		    mosquitto_tls_set(m, broker_ca_file(broker), NULL, NULL, NULL, NULL) == 0 &&
		    mosquitto_username_pw_set(m, visitor->username, visitor->password) == 0;
	if (made && visitor->auth_method)
		made = mosquitto_property_add_string(
			       &properties, MQTT_PROP_AUTHENTICATION_METHOD, visitor->auth_method) == 0;
	if (made && visitor->will_topic)
		made = mosquitto_will_set(m, visitor->will_topic, 4, "will", 1, visitor->will_retain) == 0;
	connack = -1;
	if (!made || mosquitto_connect_bind_v5(
			     m, "localhost", (int)broker_port(broker), 60, NULL, properties) != 0)
		harness_fail("no connection to the broker");
	mosquitto_property_free_all(&properties);
	while (connack < 0 && mosquitto_loop(m, 1000, 1) == MOSQ_ERR_SUCCESS) {
	}
	*ret_connack = connack;
	return m;
}

#endif
