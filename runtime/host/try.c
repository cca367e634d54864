/*
 * try.c - settings are tried out by a process of their own, before a host is replaced by one that has them: see host.h.
 *
 * Happy path: the certificate files can be used; a thread asks the database, as its user; meanwhile the broker welcomes the handler's token, under a
 * client id that nobody else has, and grants what the handlers need (try_rights.h); and both within TRY_MS. Failure modes: what is refused ends it at
 * once, what may pass (nobody listens, no answer) is tried until the time is over. Each is logged, and noted on the board for the supervisor. A database
 * that does not answer is not waited for at the end of the process.
 */
#include "host.h"

#include "board.h"
#include "clock.h"
#include "connection.h"
#include "exit_codes.h"
#include "handler_token.h"
#include "log.h"
#include "log_secret.h"
#include "resolver.h"
#include "routes.h"
#include "settings.h"
#include "store.h"
#include "store_opening.h"
#include "tls.h"
#include "try_rights.h"
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	TRY_MS = 5000,
	AGAIN_MS = 200,
	LOG_CLOSE_MS = 1000,
	READS_PER_TURN = 64,
	CLIENT_ID_SIZE = 96,
	GROUP_SIZE = 96,
	REFUSED_UNAVAILABLE = 3, /* of MQTT 3.1.1, section 3.2.2.3 */
};

/* The database's half. Its thread owns what is below `event` until it has ended, which it says by making that readable; under the lock stands what it has found out so far. */
struct store_try {
	struct store_options options;
	int64_t until_ms;
	int event;
	struct store *store;
	int error; /* 0: it answers */
	pthread_mutex_t lock;
	char reason[STORE_MESSAGE_SIZE]; /* why it does not; "": it is not known yet */
};

struct broker_try {
	struct connection *connection;
	struct try_rights *rights;
	bool mqtt5;
	bool granted, refused;
	char reason[TLS_REASON_SIZE];
};

static int failed(struct board *board, const char *what, const char *reason, int code)
{
	char text[BOARD_TRIAL_SIZE];
	log_error(code == EXIT_CONFIG ? "bad_setting" : "trial_failed", what, LOG_TEXT("reason", reason));
	snprintf(text, sizeof(text), "%s: %s", what, reason);
	log_secret_hide(text);
	board_note_trial(board, text);
	return code;
}

/* ---- The database ---- */

static int ask_store(struct store_try *try, char reason[static STORE_MESSAGE_SIZE])
{
	if (!try->store) {
		char why[STORE_MESSAGE_SIZE] = "out of memory";
		const int error = store_opening_try(&try->options, &try->store, why);
		if (error != 0)
			snprintf(reason, STORE_MESSAGE_SIZE, "MONGO_DB_URL: %.*s", STORE_MESSAGE_SIZE - 16,
				why);
		if (error != 0)
			return error == STORE_OPENING_E_REFUSED ? STORE_E_PERMANENT : STORE_E_AWAY;
	}
	struct store_client *client = store_acquire(try->store);
	const int error = store_ping(client);
	snprintf(reason, STORE_MESSAGE_SIZE, "%s", store_last_error(client));
	store_release(client);
	return error;
}

static void *run_store(void *context)
{
	struct store_try *try = context;
	char reason[STORE_MESSAGE_SIZE] = "";
	do {
		try->error = ask_store(try, reason);
		if (try->error == 0)
			break;
		pthread_mutex_lock(&try->lock);
		memcpy(try->reason, reason, sizeof(reason));
		pthread_mutex_unlock(&try->lock);
		if (try->error == STORE_E_PERMANENT)
			break;
		(void)poll(NULL, 0, AGAIN_MS);
	} while (clock_ms() < try->until_ms);
	(void)eventfd_write(try->event, 1);
	return NULL;
}

static void store_reason(struct store_try *try, char ret[static STORE_MESSAGE_SIZE])
{
	pthread_mutex_lock(&try->lock);
	snprintf(ret, STORE_MESSAGE_SIZE, "%s",
		try->reason[0] != '\0' ? try->reason : "it does not answer within 5 s");
	pthread_mutex_unlock(&try->lock);
}

/* ---- The broker ---- */

static void on_up(void *owner, const struct connection_terms *terms)
{
	struct broker_try *try = owner;
	try_rights_begin(try->rights, terms);
}

/* Unlike an answer that says no, a broker that is not there, or has too much to do, may be another one in a moment. */
static bool is_for_good(int connack)
{
	return connack > 0 && connack != REFUSED_UNAVAILABLE && connack != MQTT_RC_SERVER_UNAVAILABLE &&
	       connack != MQTT_RC_SERVER_BUSY;
}

static void on_down(void *owner, bool was_up)
{
	struct broker_try *try = owner;
	struct connection_end end;
	connection_ended(try->connection, &end);
	/* It opens again, and all is asked once more. */
	if (was_up && !try_rights_lost(try->rights, try->reason) && !try->granted && !try->refused)
		snprintf(try->reason, sizeof(try->reason), "%s", end.reason);
	if (was_up)
		return;
	/* The connection is about to try the other version of MQTT. */
	const bool other_version = end.mqtt5 != try->mqtt5;
	try->mqtt5 = end.mqtt5;
	try->refused = is_for_good(end.connack) && !other_version;
	/* Our own end of it, when the time is over, has no reason: the one before stays. */
	if (end.reason[0] != '\0')
		snprintf(try->reason, sizeof(try->reason), "%s", end.reason);
}

static void on_subscribed(void *owner, int mid, int granted_count, const int *granted)
{
	struct broker_try *try = owner;
	try_rights_subscribed(try->rights, mid, granted_count, granted);
}

static void on_published(void *owner, int mid, int reason_code)
{
	struct broker_try *try = owner;
	try_rights_published(try->rights, mid, reason_code);
}

/* Commands that come by the filters are copies of what the host gets: nobody is told of them. */
static const struct connection_owner callbacks = {
	.up = on_up, .down = on_down, .subscribed = on_subscribed, .published = on_published};

/* Reads what has come, and asks on. An answer counts also where the broker has closed right behind it. */
static void converse(struct broker_try *try)
{
	const char *reason = "";
	for (int i = 0; i < READS_PER_TURN && connection_state(try->connection) == CONNECTION_UP; i++)
		if (!connection_read(try->connection))
			break;
	if (connection_state(try->connection) == CONNECTION_UP) {
		try_rights_ask(try->rights, connection_mosquitto(try->connection));
		connection_flush(try->connection);
	}
	const enum try_rights_state state = try_rights_state(try->rights, &reason);
	if (state == TRY_RIGHTS_ASKED)
		return;
	try->granted = state == TRY_RIGHTS_GRANTED;
	try->refused = !try->granted;
	if (try->refused)
		snprintf(try->reason, sizeof(try->reason), "%s", reason);
	if (connection_state(try->connection) == CONNECTION_UP)
		connection_disconnect(try->connection);
}

/* Turns until both have answered, one has refused, or the time is over. Whether the database has. */
static bool await(struct broker_try *broker, int store_event, int64_t until_ms)
{
	bool answered = false;
	for (int64_t now_ms = clock_ms(); now_ms < until_ms && !broker->refused; now_ms = clock_ms()) {
		struct pollfd polls[2];
		connection_poll(broker->connection, true, &polls[0]);
		polls[1] = (struct pollfd){.fd = answered ? -1 : store_event, .events = POLLIN};
		const int64_t due_ms = connection_pending(broker->connection)
					       ? now_ms
					       : connection_due_ms(broker->connection);
		const int64_t wait_ms = (due_ms < until_ms ? due_ms : until_ms) - now_ms;
		if (poll(polls, 2, wait_ms > 0 ? (int)wait_ms : 0) < 0)
			continue;
		answered = answered || polls[1].revents != 0;
		connection_serve(broker->connection, polls[0].revents, clock_ms());
		converse(broker);
		if (answered && broker->granted)
			break;
	}
	connection_want(broker->connection, false, clock_ms());
	return answered;
}

/* ---- The whole ---- */

/* What they came to. A database that has had no time to answer, since the broker refused at once, is not to blame. */
static int judge(struct board *board, const struct broker_try *broker, struct store_try *store, bool answered)
{
	int code = EXIT_OK;
	if (!broker->granted)
		code = failed(board, "the broker cannot be used with the new settings",
			broker->reason[0] != '\0' ? broker->reason : "it does not answer within 5 s",
			EXIT_TEMPORARY);
	if (answered ? store->error != 0 : !broker->refused) {
		char reason[STORE_MESSAGE_SIZE];
		store_reason(store, reason);
		code = failed(
			board, "the database cannot be used with the new settings", reason, EXIT_TEMPORARY);
	}
	return code;
}

/* The token as a host's, which its broker may refuse for being so; and what is asked of it. */
static int new_resolver(const struct settings *settings, const struct cashew_handler *const *handlers,
	struct resolver **ret, struct try_rights **ret_rights)
{
	struct routes routes = {.handler_count = 0};
	struct handler_topics topics = {.count = 0};
	const char **filters = NULL;
	char group[GROUP_SIZE] = "";
	if (settings->shared_group[0] != '\0')
		snprintf(group, sizeof(group), "%s-trial-%08x", settings->shared_group,
			random_below(UINT32_MAX));
	int error = resolver_new(settings, ret);
	if (error == 0)
		error = routes_new(handlers, &routes);
	if (error == 0)
		error = routes_filters(&routes, &filters, &topics.count);
	if (error == 0)
		error = try_rights_new(&routes, group, ret_rights);
	topics.filters = filters;
	if (error == 0)
		error = resolver_lock(*ret, &topics);
	free(filters);
	routes_free(&routes);
	return error;
}

static int try_both(const struct settings *settings, const struct cashew_handler *const *handlers,
	struct board *board, struct store_try *store)
{
	struct broker_try broker = {.mqtt5 = true};
	struct resolver *resolver = NULL;
	pthread_t thread;
	char client_id[CLIENT_ID_SIZE];
	snprintf(
		client_id, sizeof(client_id), "%s-trial-%08x", settings->client_id, random_below(UINT32_MAX));
	int error = new_resolver(settings, handlers, &resolver, &broker.rights);
	const struct connection_options options = {
		.label = "trial",
		.client_id = client_id,
		.settings = settings,
		.resolver = resolver,
		.callbacks = &callbacks,
		.owner = &broker,
	};
	if (error == 0)
		error = connection_new(&options, &broker.connection);
	if (error == 0)
		error = -pthread_create(&thread, NULL, run_store, store);
	if (error != 0)
		return failed(
			board, "the settings cannot be tried out now", strerror(-error), EXIT_TEMPORARY);
	connection_want(broker.connection, true, clock_ms());
	const bool answered = await(&broker, store->event, store->until_ms);
	/* It has nothing left to do, or waits for a server. */
	if (answered)
		pthread_join(thread, NULL);
	else
		pthread_detach(thread);
	connection_free(broker.connection);
	try_rights_free(broker.rights);
	resolver_free(resolver);
	return judge(board, &broker, store, answered);
}

int host_try(
	const struct settings *settings, const struct cashew_handler *const *handlers, struct board *board)
{
	char reason[TLS_REASON_SIZE] = "out of memory";
	if (settings->broker_tls && tls_check(settings, reason) != 0)
		return failed(board, "TLS cannot be set up", reason, EXIT_CONFIG);
	/* Outlives this function where the database does not answer. */
	static struct store_try store;
	store = (struct store_try){.options = store_opening_options(settings),
		.until_ms = clock_ms() + TRY_MS,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (store.event < 0 || mosquitto_lib_init() != MOSQ_ERR_SUCCESS)
		return failed(board, "the settings cannot be tried out now", strerror(errno), EXIT_TEMPORARY);
	const int code = try_both(settings, handlers, board, &store);
	/* Else its thread may still be at work, or the driver wait for a server. */
	if (code != EXIT_OK) {
		log_close(LOG_CLOSE_MS);
		_exit(code);
	}
	host_leave(code);
	store_close(store.store);
	close(store.event);
	mosquitto_lib_cleanup();
	return code;
}
