/*
 * bare - a bare libmosquitto and libmongoc program with worker threads: the reference for handlers that wait.
 *
 * on_message puts the command into a queue; a worker takes it, does the store operations that the handler of
 * the same name does, and publishes the event at QoS 1. libmosquitto's own thread (mosquitto_loop_start)
 * reads and writes. Every command has been acknowledged before its worker begins: a crash loses all that is
 * queued or running. Nothing keeps one user's commands in order.
 *
 * usage: bench-bare HOST PORT WORKERS MONGO_DB_URL MONGO_DB_NAME [CA_FILE]; prints "ready" once subscribed;
 * runs until SIGTERM.
 */
#include "contacts_plain.h"

#include <jansson.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 512, USER_MAX = 64 };

static const char *const filters[] = {
	"+/get_apples_worker", "+/sleep5", "+/request_contact", "+/get_contact_list"};
enum { FILTERS = sizeof(filters) / sizeof(filters[0]) };

struct command {
	struct command *next;
	char user[USER_MAX + 1];
	const char *name;    /* behind the user, in topic */
	const char *payload; /* behind the topic */
	size_t payload_size;
	char bytes[];
};

/* Commands that wait for a worker. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t not_empty;
	struct command *first, **end;
	unsigned idle; /* workers that wait: nobody is woken for nothing */
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER, .end = &queue.first};

static struct mosquitto *client;
static mongoc_client_pool_t *pool;
static const char *database;

static _Noreturn void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "bare: %s: %s\n", what, why);
	exit(1);
}

static void expect(const char *what, int error)
{
	if (error != MOSQ_ERR_SUCCESS)
		die(what, mosquitto_strerror(error));
}

/* ---- libmosquitto's thread ---- */

static void on_connect(struct mosquitto *mosquitto, void *context, int reason, int flags,
	const mosquitto_property *properties)
{
	(void)context, (void)flags, (void)properties;
	if (reason != 0)
		die("connect", "refused by the broker");
	for (size_t at = 0; at < FILTERS; at++)
		expect("subscribe", mosquitto_subscribe(mosquitto, NULL, filters[at], 1));
}

static void on_subscribe(struct mosquitto *mosquitto, void *context, int id, int count, const int *granted,
	const mosquitto_property *properties)
{
	static size_t granted_filters;

	(void)mosquitto, (void)context, (void)id, (void)properties;
	if (count != 1 || granted[0] != 1)
		die("subscribe", "not granted at QoS 1");
	if (++granted_filters == FILTERS) {
		printf("ready\n");
		(void)fflush(stdout);
	}
}

static void on_message(struct mosquitto *mosquitto, void *context, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	const char *const slash = strchr(message->topic, '/');
	const size_t payload_size = (size_t)message->payloadlen;

	(void)mosquitto, (void)context, (void)properties;
	if (!slash || slash - message->topic > USER_MAX)
		return;
	const size_t user_size = (size_t)(slash - message->topic), name_size = strlen(slash + 1) + 1;
	struct command *const command = malloc(sizeof(*command) + name_size + payload_size);
	if (!command)
		die("malloc", "out of memory");
	command->next = NULL;
	memcpy(command->user, message->topic, user_size);
	command->user[user_size] = '\0';
	memcpy(command->bytes, slash + 1, name_size);
	if (payload_size > 0)
		memcpy(command->bytes + name_size, message->payload, payload_size);
	command->name = command->bytes;
	command->payload = command->bytes + name_size;
	command->payload_size = payload_size;
	(void)pthread_mutex_lock(&queue.mutex);
	*queue.end = command;
	queue.end = &command->next;
	const bool wake = queue.idle > 0;
	(void)pthread_mutex_unlock(&queue.mutex);
	if (wake)
		(void)pthread_cond_signal(&queue.not_empty);
}

/* ---- Workers ---- */

static void publish(const char *user, const char *event, const char *payload, size_t size)
{
	char topic[2 * USER_MAX];

	(void)snprintf(topic, sizeof(topic), "%s/%s", user, event);
	expect("publish", mosquitto_publish_v5(client, NULL, topic, (int)size, payload, 1, false, NULL));
}

static void request_contact(struct contacts *contacts, const struct command *command)
{
	json_error_t error;
	json_t *const json =
		json_loadb(command->payload, command->payload_size, JSON_REJECT_DUPLICATES, &error);
	const char *const contact = json_string_value(json_object_get(json, "contact_id"));
	char payload[USER_MAX + 32];

	if (contact) {
		contacts_request(contacts, command->user, contact);
		const int size = snprintf(payload, sizeof(payload), "{\"user_id\":\"%s\"}", command->user);
		publish(contact, "contact_requested", payload, (size_t)size);
	}
	json_decref(json);
}

static void get_contact_list(struct contacts *contacts, const struct command *command)
{
	json_error_t error;
	json_t *const json =
		json_loadb(command->payload, command->payload_size, JSON_REJECT_DUPLICATES, &error);
	char text[CONTACTS_TEXT_SIZE];

	if (json_is_object(json))
		publish(command->user, "contact_list", text, contacts_page(contacts, command->user, text));
	json_decref(json);
}

static void run(struct contacts *contacts, const struct command *command)
{
	static const char apples[] = "[\"red\",\"yellow\",\"blue\"]";
	const struct timespec wait = {.tv_nsec = 5000000};

	if (strcmp(command->name, "request_contact") == 0) {
		request_contact(contacts, command);
	} else if (strcmp(command->name, "get_contact_list") == 0) {
		get_contact_list(contacts, command);
	} else if (strcmp(command->name, "sleep5") == 0) {
		(void)nanosleep(&wait, NULL);
		publish(command->user, "slept", "{}", 2);
	} else {
		publish(command->user, "got_apples", apples, sizeof(apples) - 1);
	}
}

static struct command *take(void)
{
	(void)pthread_mutex_lock(&queue.mutex);
	queue.idle++;
	while (!queue.first)
		(void)pthread_cond_wait(&queue.not_empty, &queue.mutex);
	queue.idle--;
	struct command *const command = queue.first;
	queue.first = command->next;
	if (!queue.first)
		queue.end = &queue.first;
	(void)pthread_mutex_unlock(&queue.mutex);
	return command;
}

static void *work(void *unused)
{
	struct contacts contacts;

	(void)unused;
	contacts_open(&contacts, pool, database);
	for (;;) {
		struct command *const command = take();
		run(&contacts, command);
		free(command);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 6 || argc > 7) {
		(void)fprintf(
			stderr, "usage: bench-bare HOST PORT WORKERS MONGO_DB_URL MONGO_DB_NAME [CA_FILE]\n");
		return 2;
	}
	const int workers = atoi(argv[3]);
	if (workers < 1 || workers > WORKERS_MAX)
		die("WORKERS", "expected 1 to 512");
	database = argv[5];
	mongoc_init();
	(void)signal(SIGPIPE, SIG_IGN); /* libmosquitto does not ignore it any more, from 2.0.15 on */
	(void)mosquitto_lib_init();
	pool = contacts_pool(argv[4], (unsigned)workers);
	client = mosquitto_new("bench-bare", true, NULL);
	if (!client)
		die("mosquitto_new", "out of memory");
	mosquitto_connect_v5_callback_set(client, on_connect);
	mosquitto_subscribe_v5_callback_set(client, on_subscribe);
	mosquitto_message_v5_callback_set(client, on_message);
	expect("option", mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5));
	expect("option", mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, 5000));
	expect("option", mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, 5000));
	expect("option", mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1));
	if (getenv("MQTT_TOKEN"))
		expect("MQTT_TOKEN", mosquitto_username_pw_set(client, "JWT", getenv("MQTT_TOKEN")));
	if (argc > 6)
		expect("CA_FILE", mosquitto_tls_set(client, argv[6], NULL, NULL, NULL, NULL));
	for (int at = 0; at < workers; at++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, work, NULL) != 0)
			die("pthread_create", "failed");
		(void)pthread_detach(thread);
	}
	expect("connect", mosquitto_connect_bind_v5(client, argv[1], atoi(argv[2]), 60, NULL, NULL));
	expect("loop_start", mosquitto_loop_start(client));
	for (;;)
		(void)pause();
}
