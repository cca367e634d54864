/*
 * scripted_mongo.c - see scripted_mongo.h.
 *
 * Each connection has a thread, which reads a message, and writes its answer, until one of the two ends fails. To end a connection is to shut its
 * sockets down, and so to end its thread. One mutex holds for what all servers of a test know of each other.
 */
#include "scripted_mongo.h"

#include "mongo_wire.h"
#include "scripted_hello.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MEMBERS_MAX = 4, NAMES_MAX = 64 };
enum { NOT_WRITABLE_PRIMARY = 10107 };

struct connection {
	struct scripted_mongo *server;
	int fd;
	pthread_t thread;
	struct connection *next;
	/* under the mutex */
	int behind;	 /* -1: not connected yet */
	bool cut, ended; /* ended: the thread is about to */
};

struct scripted_mongo {
	struct scripted_mongo_options options;
	char address[32];
	int listener;
	pthread_t thread;
	/* under the mutex */
	struct scripted_mongo *members[MEMBERS_MAX];
	bool secondary, stopping;
	enum scripted_mongo_machine machine;
	unsigned term;	 /* of its latest election */
	int64_t counter; /* of changes, for hello */
	struct connection *connections;
	struct {
		char name[32];
		unsigned count;
	} commands[NAMES_MAX];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "scripted server: %s: %s\n", what, strerror(errno));
	abort();
}

/* ---- What is asked ---- */

static void count(struct scripted_mongo *server, const char *name)
{
	pthread_mutex_lock(&mutex);
	size_t i = 0;
	while (i < NAMES_MAX && server->commands[i].count > 0 && strcmp(server->commands[i].name, name) != 0)
		i++;
	check(i < NAMES_MAX, "too many names of commands");
	snprintf(server->commands[i].name, sizeof(server->commands[i].name), "%s", name);
	server->commands[i].count++;
	pthread_mutex_unlock(&mutex);
}

unsigned scripted_mongo_count(struct scripted_mongo *server, const char *name)
{
	unsigned found = 0;
	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < NAMES_MAX; i++)
		if (strcmp(server->commands[i].name, name) == 0)
			found = server->commands[i].count;
	pthread_mutex_unlock(&mutex);
	return found;
}

/* ---- What is answered ---- */

static void answer_usual(struct scripted_mongo *server, const char *name, bson_t *reply)
{
	if (scripted_mongo_writes(name) && !scripted_mongo_is_primary(server)) {
		scripted_mongo_failure(reply, NOT_WRITABLE_PRIMARY, "not primary");
		scripted_mongo_append_version(server, reply);
		return;
	}
	if (strcmp(name, "find") == 0 || strcmp(name, "aggregate") == 0 || strcmp(name, "listIndexes") == 0)
		BCON_APPEND(reply, "cursor", "{", "id", BCON_INT64(0), "ns", BCON_UTF8("cashew.any"),
			"firstBatch", "[", "]", "}");
	if (strcmp(name, "insert") == 0 || strcmp(name, "update") == 0 || strcmp(name, "delete") == 0)
		BSON_APPEND_INT32(reply, "n", 1);
	if (strcmp(name, "buildInfo") == 0)
		BSON_APPEND_UTF8(reply, "version", "6.0.0");
	BSON_APPEND_INT32(reply, "ok", 1);
}

/* ---- hello ---- */

/* With the mutex. */
static void append_hello(const struct scripted_mongo *server, bson_t *reply)
{
	const char *hosts[MEMBERS_MAX + 1] = {NULL};
	struct scripted_hello hello = {.set_name = server->options.set_name,
		.me = server->address,
		.hosts = hosts,
		.router = server->options.router,
		.secondary = server->secondary,
		.term = server->term,
		.process = (uintptr_t)server,
		.counter = server->counter};
	for (size_t i = 0; i < MEMBERS_MAX && server->members[i]; i++) {
		hosts[i] = server->members[i]->address;
		if (!server->members[i]->secondary)
			hello.primary = hosts[i];
	}
	scripted_hello_append(&hello, reply);
}

void scripted_mongo_append_version(struct scripted_mongo *server, bson_t *reply)
{
	pthread_mutex_lock(&mutex);
	scripted_hello_append_version(
		&(struct scripted_hello){.process = (uintptr_t)server, .counter = server->counter}, reply);
	pthread_mutex_unlock(&mutex);
}

/* With the mutex: while it is frozen. */
static void await_thaw(const struct connection *connection)
{
	while (!connection->cut && connection->server->machine == SCRIPTED_MONGO_FROZEN)
		pthread_cond_wait(&changed, &mutex);
}

/* With the mutex: until there is another version than the one that is known, or the time is up. */
static void await_change(const struct connection *connection, int64_t known, int64_t await_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += await_ms / 1000;
	until.tv_nsec += await_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!connection->cut && connection->server->counter == known)
		if (pthread_cond_timedwait(&changed, &mutex, &until) == ETIMEDOUT)
			return;
}

/* One answer, or one after the other. False at the connection's end. */
static bool serve_hello(struct connection *connection, struct mongo_message *asked, const bson_t *command)
{
	struct scripted_mongo *server = connection->server;
	bson_iter_t iter, counter;
	int64_t known = -1, await_ms = 0;
	if (bson_iter_init(&iter, command) &&
		bson_iter_find_descendant(&iter, "topologyVersion.counter", &counter))
		known = bson_iter_as_int64(&counter);
	if (bson_iter_init_find(&iter, command, "maxAwaitTimeMS"))
		await_ms = bson_iter_as_int64(&iter);
	const bool stream = known >= 0 && mongo_wire_takes_more(asked);
	bool sent;
	do {
		bson_t reply = BSON_INITIALIZER;
		pthread_mutex_lock(&mutex);
		if (known >= 0)
			await_change(connection, known, await_ms);
		await_thaw(connection);
		known = server->counter;
		if (server->options.hello_code != 0)
			scripted_mongo_failure(
				&reply, server->options.hello_code, server->options.hello_words);
		else
			append_hello(server, &reply);
		const bool cut = connection->cut;
		pthread_mutex_unlock(&mutex);
		sent = !cut && mongo_wire_answer(connection->fd, asked, &reply,
				       stream ? MONGO_WIRE_MORE : MONGO_WIRE_WHOLE);
		bson_destroy(&reply);
	} while (sent && stream);
	return sent;
}

/* ---- The database behind it ---- */

static void set_no_delay(int fd)
{
	const int on = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static bool connect_behind(struct connection *connection)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)connection->server->options.behind_port)};
	if (connection->behind >= 0)
		return true;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0, "a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return false;
	}
	set_no_delay(fd);
	pthread_mutex_lock(&mutex);
	connection->behind = fd;
	if (connection->cut)
		shutdown(fd, SHUT_RDWR);
	pthread_mutex_unlock(&mutex);
	return true;
}

static bool answer_add(int fd, struct mongo_message *asked, const struct mongo_message *done,
	const bson_t *more, enum mongo_wire_how how)
{
	bson_t reply;
	if (!mongo_wire_command(done, &reply))
		return false;
	const bool sent = bson_concat(&reply, more) && mongo_wire_answer(fd, asked, &reply, how);
	bson_destroy(&reply);
	return sent;
}

/* Has it done there. False at either connection's end, or where it is to end. */
static bool serve_behind(struct connection *connection, struct mongo_message *asked,
	enum scripted_mongo_answer how, const bson_t *reply)
{
	struct mongo_message done;
	if (!connect_behind(connection) || !mongo_wire_write(connection->behind, asked))
		return false;
	if (!mongo_wire_awaits_answer(asked))
		return true;
	if (!mongo_wire_read(connection->behind, &done))
		return false;
	bool goes_on = how != SCRIPTED_MONGO_DONE_HALF && how != SCRIPTED_MONGO_DONE_CLOSE;
	if (how == SCRIPTED_MONGO_USUAL)
		goes_on = mongo_wire_write(connection->fd, &done);
	else if (how == SCRIPTED_MONGO_DONE_REPLY)
		goes_on = mongo_wire_answer(connection->fd, asked, reply, MONGO_WIRE_WHOLE);
	else if (how == SCRIPTED_MONGO_DONE_ADD)
		goes_on = answer_add(connection->fd, asked, &done, reply, MONGO_WIRE_WHOLE);
	else if (how == SCRIPTED_MONGO_DONE_HALF)
		(void)answer_add(connection->fd, asked, &done, reply, MONGO_WIRE_HALF);
	mongo_wire_free(&done);
	return goes_on;
}

/* ---- A connection ---- */

static bool serve_command(
	struct connection *connection, struct mongo_message *asked, const char *name, const bson_t *command)
{
	struct scripted_mongo *server = connection->server;
	enum scripted_mongo_answer how = SCRIPTED_MONGO_USUAL;
	bson_t reply = BSON_INITIALIZER;
	count(server, name);
	if (server->options.hook)
		how = server->options.hook(server->options.context, name, command, &reply);
	bool goes_on = how != SCRIPTED_MONGO_CLOSE;
	if (how >= SCRIPTED_MONGO_DONE_REPLY ||
		(how == SCRIPTED_MONGO_USUAL && server->options.behind_port != 0)) {
		goes_on = serve_behind(connection, asked, how, &reply);
	} else if (how == SCRIPTED_MONGO_USUAL || how == SCRIPTED_MONGO_REPLY) {
		if (how == SCRIPTED_MONGO_USUAL)
			answer_usual(server, name, &reply);
		if (mongo_wire_awaits_answer(asked))
			goes_on = mongo_wire_answer(connection->fd, asked, &reply, MONGO_WIRE_WHOLE);
	}
	bson_destroy(&reply);
	return goes_on;
}

/* One message. False at the connection's end. */
static bool serve_one(struct connection *connection)
{
	struct mongo_message asked;
	bson_t command;
	bson_iter_t iter;
	if (!mongo_wire_read(connection->fd, &asked))
		return false;
	pthread_mutex_lock(&mutex);
	await_thaw(connection);
	pthread_mutex_unlock(&mutex);
	bool goes_on = mongo_wire_command(&asked, &command);
	if (goes_on) {
		const bool named = bson_iter_init(&iter, &command) && bson_iter_next(&iter);
		const char *name = named ? bson_iter_key(&iter) : "";
		if (strcasecmp(name, "ismaster") == 0 || strcmp(name, "hello") == 0)
			goes_on = serve_hello(connection, &asked, &command);
		else
			goes_on = named && serve_command(connection, &asked, name, &command);
		bson_destroy(&command);
	}
	mongo_wire_free(&asked);
	return goes_on;
}

static void *serve(void *argument)
{
	struct connection *connection = argument;
	while (serve_one(connection))
		;
	pthread_mutex_lock(&mutex);
	shutdown(connection->fd, SHUT_RDWR);
	if (connection->behind >= 0)
		shutdown(connection->behind, SHUT_RDWR);
	connection->ended = true;
	pthread_mutex_unlock(&mutex);
	return NULL;
}

/* ---- Life ---- */

/* With the mutex. Their threads end soon. */
static void cut_all(struct scripted_mongo *server)
{
	for (struct connection *connection = server->connections; connection; connection = connection->next) {
		connection->cut = true;
		shutdown(connection->fd, SHUT_RDWR);
		if (connection->behind >= 0)
			shutdown(connection->behind, SHUT_RDWR);
	}
	pthread_cond_broadcast(&changed);
}

static void bury(struct connection *connection)
{
	pthread_join(connection->thread, NULL);
	close(connection->fd);
	if (connection->behind >= 0)
		close(connection->behind);
	free(connection);
}

/* With the mutex, which those that have ended do not need any more. */
static void bury_ended(struct scripted_mongo *server)
{
	for (struct connection **at = &server->connections; *at;) {
		struct connection *connection = *at;
		if (!connection->ended) {
			at = &connection->next;
			continue;
		}
		*at = connection->next;
		bury(connection);
	}
}

static void *accept_all(void *argument)
{
	struct scripted_mongo *server = argument;
	for (;;) {
		const int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_mutex_lock(&mutex);
		const bool refused = fd < 0 || server->stopping || server->machine == SCRIPTED_MONGO_GONE;
		const bool stopping = fd < 0 || server->stopping;
		if (!refused) {
			bury_ended(server);
			set_no_delay(fd);
			struct connection *connection = calloc(1, sizeof(*connection));
			check(connection, "memory");
			*connection = (struct connection){
				.server = server, .fd = fd, .behind = -1, .next = server->connections};
			server->connections = connection;
			check(pthread_create(&connection->thread, NULL, serve, connection) == 0, "a thread");
		}
		pthread_mutex_unlock(&mutex);
		if (refused && fd >= 0)
			close(fd);
		if (stopping)
			return NULL;
	}
}

struct scripted_mongo *scripted_mongo_start(const struct scripted_mongo_options *options)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	struct scripted_mongo *server = calloc(1, sizeof(*server));
	check(server, "memory");
	server->options = *options;
	server->secondary = options->secondary;
	server->term = options->secondary ? 0 : 1;
	server->members[0] = server;
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(server->listener >= 0 && bind(server->listener, (struct sockaddr *)&address, size) == 0 &&
			listen(server->listener, 64) == 0 &&
			getsockname(server->listener, (struct sockaddr *)&address, &size) == 0,
		"listening");
	snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", ntohs(address.sin_port));
	check(pthread_create(&server->thread, NULL, accept_all, server) == 0, "a thread");
	return server;
}

/* With the mutex: nobody tells of it any more. */
static void leave(struct scripted_mongo *server)
{
	for (size_t i = 0; i < MEMBERS_MAX && server->members[i]; i++) {
		struct scripted_mongo *other = server->members[i];
		size_t kept = 0;
		for (size_t k = 0; other != server && k < MEMBERS_MAX; k++)
			if (other->members[k] != server)
				other->members[kept++] = other->members[k];
		while (other != server && kept < MEMBERS_MAX)
			other->members[kept++] = NULL;
	}
}

void scripted_mongo_stop(struct scripted_mongo *server)
{
	pthread_mutex_lock(&mutex);
	server->stopping = true;
	leave(server);
	cut_all(server);
	pthread_mutex_unlock(&mutex);
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	for (struct connection *next, *connection = server->connections; connection; connection = next) {
		next = connection->next;
		bury(connection);
	}
	free(server);
}

const char *scripted_mongo_address(const struct scripted_mongo *server)
{
	return server->address;
}

/* ---- What becomes of it ---- */

void scripted_mongo_members(struct scripted_mongo *server, struct scripted_mongo *const *members)
{
	pthread_mutex_lock(&mutex);
	memset(server->members, 0, sizeof(server->members));
	for (size_t i = 0; i < MEMBERS_MAX && members[i]; i++)
		server->members[i] = members[i];
	pthread_mutex_unlock(&mutex);
}

void scripted_mongo_elect(struct scripted_mongo *server, bool primary)
{
	pthread_mutex_lock(&mutex);
	unsigned last = 0;
	for (size_t i = 0; i < MEMBERS_MAX && server->members[i]; i++)
		if (server->members[i]->term > last)
			last = server->members[i]->term;
	if (primary)
		server->term = last + 1;
	server->secondary = !primary;
	/* Who is primary stands in all their answers. */
	for (size_t i = 0; i < MEMBERS_MAX && server->members[i]; i++)
		server->members[i]->counter++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

bool scripted_mongo_is_primary(struct scripted_mongo *server)
{
	pthread_mutex_lock(&mutex);
	const bool primary = !server->secondary;
	pthread_mutex_unlock(&mutex);
	return primary;
}

void scripted_mongo_cut(struct scripted_mongo *server)
{
	pthread_mutex_lock(&mutex);
	cut_all(server);
	pthread_mutex_unlock(&mutex);
}

void scripted_mongo_set_machine(struct scripted_mongo *server, enum scripted_mongo_machine machine)
{
	pthread_mutex_lock(&mutex);
	server->machine = machine;
	if (machine == SCRIPTED_MONGO_GONE)
		cut_all(server);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}
