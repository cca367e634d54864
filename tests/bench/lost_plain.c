/*
 * lost_plain.c - a plain program of libmosquitto and libmongoc, for `tests/bench/run lost`: stores each command, then answers it.
 *
 * Happy path: on_message inserts what the handler append inserts, publishes appended {"n"} at QoS 1, and returns. One command at a time, so that
 * the least is under way when the program is killed. libmosquitto has queued the acknowledgement of a command before it calls on_message.
 * Failure: a message on standard error and exit code 1; whoever has started it starts it again.
 *
 * usage: bench-lost-plain PORT MONGO_DB_URL MONGO_DB_NAME; prints "ready" once subscribed. MQTT_TOKEN of the environment is its token for the broker.
 */
#include <jansson.h>
#include <mongoc/mongoc.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { USER_MAX = 64, SESSION_S = 3600 };

static mongoc_collection_t *effects;

static _Noreturn void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "lost-plain: %s: %s\n", what, why);
	exit(1);
}

static void expect(const char *what, int error)
{
	if (error != MOSQ_ERR_SUCCESS)
		die(what, mosquitto_strerror(error));
}

static void on_connect(
	struct mosquitto *client, void *context, int reason, int flags, const mosquitto_property *properties)
{
	(void)context, (void)flags, (void)properties;
	if (reason != 0)
		die("connect", "refused by the broker");
	expect("subscribe", mosquitto_subscribe(client, NULL, "+/append", 1));
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count, const int *granted,
	const mosquitto_property *properties)
{
	(void)client, (void)context, (void)id, (void)properties;
	if (count != 1 || granted[0] != 1)
		die("subscribe", "not granted at QoS 1");
	printf("ready\n");
	(void)fflush(stdout);
}

/* As the handler append does it. */
static void insert(const char *list, const char *user, long long number)
{
	char id[2 * USER_MAX + 32];
	struct timespec now;
	bson_error_t error;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(id, sizeof(id), "%s/%s/%018lld", list, user,
		(long long)now.tv_sec * 1000000000 + now.tv_nsec);
	bson_t *const effect = BCON_NEW("_id", BCON_UTF8(id), "n", BCON_INT64(number));
	if (!mongoc_collection_insert_one(effects, effect, NULL, NULL, &error))
		die("insert", error.message);
	bson_destroy(effect);
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	const char *const slash = strchr(message->topic, '/');
	json_t *const json = json_loadb(message->payload, (size_t)message->payloadlen, 0, NULL);
	const char *const list = json_string_value(json_object_get(json, "list"));
	const long long number = json_integer_value(json_object_get(json, "n"));
	char user[USER_MAX + 1], topic[2 * USER_MAX], answer[64];

	(void)context, (void)properties;
	if (slash && slash - message->topic <= USER_MAX && list && strlen(list) <= USER_MAX) {
		(void)snprintf(user, sizeof(user), "%.*s", (int)(slash - message->topic), message->topic);
		insert(list, user, number);
		(void)snprintf(topic, sizeof(topic), "%s/appended", user);
		const int size = snprintf(answer, sizeof(answer), "{\"n\":%lld}", number);
		expect("publish", mosquitto_publish_v5(client, NULL, topic, size, answer, 1, false, NULL));
	}
	json_decref(json);
}

static void open_effects(const char *url, const char *database)
{
	bson_error_t error;
	mongoc_uri_t *const uri = mongoc_uri_new_with_error(url, &error);

	if (!uri)
		die("MONGO_DB_URL", error.message);
	(void)mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_W, "majority");
	(void)mongoc_uri_set_option_as_bool(uri, MONGOC_URI_JOURNAL, true);
	mongoc_client_t *const client = mongoc_client_new_from_uri(uri);
	if (!client)
		die("MONGO_DB_URL", "no client");
	effects = mongoc_client_get_collection(client, database, "bench_effects");
	mongoc_uri_destroy(uri);
}

int main(int argc, char **argv)
{
	mosquitto_property *session = NULL;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: bench-lost-plain PORT MONGO_DB_URL MONGO_DB_NAME\n");
		return 2;
	}
	mongoc_init();
	(void)signal(SIGPIPE, SIG_IGN); /* libmosquitto does not ignore it any more, from 2.0.15 on */
	(void)mosquitto_lib_init();
	open_effects(argv[2], argv[3]);
	struct mosquitto *const client = mosquitto_new("lost-plain", false, NULL);
	if (!client)
		die("mosquitto_new", "out of memory");
	mosquitto_connect_v5_callback_set(client, on_connect);
	mosquitto_subscribe_v5_callback_set(client, on_subscribe);
	mosquitto_message_v5_callback_set(client, on_message);
	expect("option", mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5));
	if (getenv("MQTT_TOKEN"))
		expect("MQTT_TOKEN", mosquitto_username_pw_set(client, "JWT", getenv("MQTT_TOKEN")));
	expect("session",
		mosquitto_property_add_int32(&session, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_S));
	expect("connect", mosquitto_connect_bind_v5(client, "127.0.0.1", atoi(argv[1]), 60, NULL, session));
	expect("connection", mosquitto_loop_forever(client, -1, 1));
	return 1;
}
