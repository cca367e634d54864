/*
 * echo - a bare libmosquitto client that answers get_apples and ping as cashewd does, to the Response Topic
 * where there is one: the reference for what a command costs.
 *
 * It does what every plain libmosquitto program does: on_message publishes the event at QoS 1 and returns.
 * The library has queued the command's acknowledgement before on_message is called, so a crash loses what was
 * read. MQTT 5, QoS 1 both ways, one thread in mosquitto_loop_forever().
 *
 * usage: bench-echo HOST PORT [CA_FILE]; prints "ready" once subscribed; runs until SIGTERM. MQTT_TOKEN of the environment is its
 * token for the broker.
 */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The filters of cashewd's handlers, so that the broker looks for the same. */
static const char *const filters[] = {"+/ping", "+/get_apples", "+/get_more_apples", "+/request_contact",
	"+/accept_contact", "+/decline_contact", "+/remove_contact", "+/get_contact_requests",
	"+/get_contact_list", "+/get_apples_worker"};

static _Noreturn void die(const char *what, int error)
{
	(void)fprintf(stderr, "echo: %s: %s\n", what, mosquitto_strerror(error));
	exit(1);
}

static void on_connect(
	struct mosquitto *client, void *context, int reason, int flags, const mosquitto_property *properties)
{
	(void)context, (void)flags, (void)properties;
	if (reason != 0)
		die("the broker refused the connection", MOSQ_ERR_CONN_REFUSED);
	for (size_t at = 0; at < sizeof(filters) / sizeof(filters[0]); at++) {
		const int error = mosquitto_subscribe(client, NULL, filters[at], 1);
		if (error != MOSQ_ERR_SUCCESS)
			die("subscribe", error);
	}
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count, const int *granted,
	const mosquitto_property *properties)
{
	static size_t granted_filters;

	(void)client, (void)context, (void)id, (void)properties;
	if (count != 1 || granted[0] != 1)
		die("subscription not granted at QoS 1", MOSQ_ERR_PROTOCOL);
	if (++granted_filters == sizeof(filters) / sizeof(filters[0])) {
		printf("ready\n");
		(void)fflush(stdout);
	}
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	static const char apples[] = "[\"red\",\"yellow\",\"blue\"]";
	const char *const slash = strchr(message->topic, '/');
	char topic[128];
	char *response_topic = NULL;
	int error;

	(void)context;
	if (!slash || (size_t)(slash - message->topic) > 64)
		return;
	const int user_size = (int)(slash - message->topic);
	if (strcmp(slash, "/ping") == 0) {
		(void)snprintf(topic, sizeof(topic), "%.*s/pong", user_size, message->topic);
		error = mosquitto_publish_v5(
			client, NULL, topic, message->payloadlen, message->payload, 1, false, NULL);
	} else {
		(void)snprintf(topic, sizeof(topic), "%.*s/got_apples", user_size, message->topic);
		(void)mosquitto_property_read_string(
			properties, MQTT_PROP_RESPONSE_TOPIC, &response_topic, false);
		error = mosquitto_publish_v5(client, NULL, response_topic ? response_topic : topic,
			(int)sizeof(apples) - 1, apples, 1, false, NULL);
		free(response_topic);
	}
	if (error != MOSQ_ERR_SUCCESS)
		die("publish", error);
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 4) {
		(void)fprintf(stderr, "usage: bench-echo HOST PORT [CA_FILE]\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* libmosquitto does not ignore it any more, from 2.0.15 on */
	(void)mosquitto_lib_init();
	struct mosquitto *const client = mosquitto_new("bench-echo", true, NULL);
	if (!client)
		die("mosquitto_new", MOSQ_ERR_NOMEM);
	mosquitto_connect_v5_callback_set(client, on_connect);
	mosquitto_subscribe_v5_callback_set(client, on_subscribe);
	mosquitto_message_v5_callback_set(client, on_message);
	int error = mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
	if (error == MOSQ_ERR_SUCCESS)
		error = mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, 5000);
	if (error == MOSQ_ERR_SUCCESS)
		error = mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, 5000);
	if (error == MOSQ_ERR_SUCCESS)
		error = mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
	if (error == MOSQ_ERR_SUCCESS && getenv("MQTT_TOKEN"))
		error = mosquitto_username_pw_set(client, "JWT", getenv("MQTT_TOKEN"));
	if (error == MOSQ_ERR_SUCCESS && argc > 3)
		error = mosquitto_tls_set(client, argv[3], NULL, NULL, NULL, NULL);
	if (error == MOSQ_ERR_SUCCESS)
		error = mosquitto_connect_bind_v5(client, argv[1], atoi(argv[2]), 60, NULL, NULL);
	if (error != MOSQ_ERR_SUCCESS)
		die("connect", error);
	error = mosquitto_loop_forever(client, -1, 1);
	die("connection", error);
}
