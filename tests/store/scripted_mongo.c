/*
 * scripted_mongo.c - see scripted_mongo.h.
 *
 * Each connection has a thread, which reads a message, and writes its answer, until one of the two ends fails. scripted_mongo_stop() shuts all
 * connections down, and so ends their threads.
 */
#include "scripted_mongo.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, MEMBERS_MAX = 4, NAMES_MAX = 64, MESSAGE_MAX = 16 << 20 };
enum {
	OP_REPLY = 1,
	OP_QUERY = 2004,
	OP_MSG = 2013,
	MORE_TO_COME = 2,
	WIRE_VERSION = 17,
	NOT_WRITABLE_PRIMARY = 10107
};

struct connection {
	struct scripted_mongo *server;
	int fd;
	pthread_t thread;
};

struct scripted_mongo {
	struct scripted_mongo_options options;
	char address[32];
	int listener;
	pthread_t thread;
	pthread_mutex_t mutex; /* of all below */
	struct scripted_mongo *members[MEMBERS_MAX];
	bool secondary, stopping;
	struct connection connections[CONNECTIONS_MAX];
	size_t connection_count;
	struct {
		char name[32];
		unsigned count;
	} commands[NAMES_MAX];
};

struct header {
	int32_t size, request, answers, operation;
};

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
	pthread_mutex_lock(&server->mutex);
	size_t i = 0;
	while (i < NAMES_MAX && server->commands[i].count > 0 && strcmp(server->commands[i].name, name) != 0)
		i++;
	check(i < NAMES_MAX, "too many names of commands");
	snprintf(server->commands[i].name, sizeof(server->commands[i].name), "%s", name);
	server->commands[i].count++;
	pthread_mutex_unlock(&server->mutex);
}

unsigned scripted_mongo_count(struct scripted_mongo *server, const char *name)
{
	unsigned found = 0;
	pthread_mutex_lock(&server->mutex);
	for (size_t i = 0; i < NAMES_MAX; i++)
		if (strcmp(server->commands[i].name, name) == 0)
			found = server->commands[i].count;
	pthread_mutex_unlock(&server->mutex);
	return found;
}

/* ---- What is answered ---- */

void scripted_mongo_failure(bson_t *reply, int code, const char *message)
{
	BSON_APPEND_INT32(reply, "ok", 0);
	BSON_APPEND_INT32(reply, "code", code);
	BSON_APPEND_UTF8(reply, "errmsg", message);
}

static bool is_secondary(struct scripted_mongo *server)
{
	pthread_mutex_lock(&server->mutex);
	const bool secondary = server->secondary;
	pthread_mutex_unlock(&server->mutex);
	return secondary;
}

static void append_members(struct scripted_mongo *server, bson_t *reply)
{
	bson_t hosts;
	BSON_APPEND_ARRAY_BEGIN(reply, "hosts", &hosts);
	pthread_mutex_lock(&server->mutex);
	for (size_t i = 0; i < MEMBERS_MAX && server->members[i]; i++) {
		char key[16];
		snprintf(key, sizeof(key), "%zu", i);
		BSON_APPEND_UTF8(&hosts, key, server->members[i]->address);
	}
	pthread_mutex_unlock(&server->mutex);
	bson_append_array_end(reply, &hosts);
}

static void answer_hello(struct scripted_mongo *server, bson_t *reply)
{
	const bool secondary = is_secondary(server);
	BSON_APPEND_BOOL(reply, "helloOk", true);
	BSON_APPEND_BOOL(reply, "ismaster", !secondary);
	BSON_APPEND_BOOL(reply, "isWritablePrimary", !secondary);
	if (server->options.set_name) {
		BSON_APPEND_BOOL(reply, "secondary", secondary);
		BSON_APPEND_UTF8(reply, "setName", server->options.set_name);
		BSON_APPEND_INT32(reply, "setVersion", 1);
		BSON_APPEND_UTF8(reply, "me", server->address);
		append_members(server, reply);
		/* without it the driver uses no sessions, and so repeats no writes */
		BSON_APPEND_INT32(reply, "logicalSessionTimeoutMinutes", 30);
	}
	BSON_APPEND_INT32(reply, "maxBsonObjectSize", 16 << 20);
	BSON_APPEND_INT32(reply, "maxMessageSizeBytes", 48000000);
	BSON_APPEND_INT32(reply, "maxWriteBatchSize", 100000);
	BSON_APPEND_DATE_TIME(reply, "localTime", (int64_t)time(NULL) * 1000);
	BSON_APPEND_INT32(reply, "minWireVersion", 0);
	BSON_APPEND_INT32(reply, "maxWireVersion", WIRE_VERSION);
	BSON_APPEND_INT32(reply, "ok", 1);
}

static bool is_write(const char *name)
{
	static const char *const names[] = {"insert", "update", "delete", "findAndModify", "createIndexes"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void answer_usual(struct scripted_mongo *server, const char *name, bson_t *reply)
{
	if (is_write(name) && is_secondary(server)) {
		scripted_mongo_failure(reply, NOT_WRITABLE_PRIMARY, "not primary");
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

static enum scripted_mongo_answer answer(struct scripted_mongo *server, const bson_t *command, bson_t *reply)
{
	bson_iter_t iter;
	if (!bson_iter_init(&iter, command) || !bson_iter_next(&iter))
		return SCRIPTED_MONGO_CLOSE;
	const char *name = bson_iter_key(&iter);
	if (strcasecmp(name, "ismaster") == 0 || strcmp(name, "hello") == 0) {
		if (server->options.hello_code != 0)
			scripted_mongo_failure(
				reply, server->options.hello_code, server->options.hello_words);
		else
			answer_hello(server, reply);
		return SCRIPTED_MONGO_REPLY;
	}
	count(server, name);
	enum scripted_mongo_answer how = SCRIPTED_MONGO_USUAL;
	if (server->options.hook)
		how = server->options.hook(server->options.context, name, command, reply);
	if (how == SCRIPTED_MONGO_USUAL)
		answer_usual(server, name, reply);
	return how;
}

/* ---- Messages ---- */

static bool read_all(int fd, void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		const ssize_t now = recv(fd, (char *)bytes + done, size - done, 0);
		if (now <= 0)
			return false;
		done += (size_t)now;
	}
	return true;
}

static int32_t number_at(const char *bytes)
{
	int32_t number;
	memcpy(&number, bytes, sizeof(number));
	return (int32_t)le32toh((uint32_t)number);
}

/* The command in a message's body; false where there is none. */
static bool find_command(int32_t operation, const char *body, size_t size, bson_t *ret_command)
{
	size_t at = 4; /* the flags */
	if (operation == OP_QUERY && size > at)
		at += strnlen(body + at, size - at) + 1 + 8; /* the collection's name, and which documents */
	else if (operation == OP_MSG)
		at++; /* the first section's kind, 0 in all that the driver sends */
	else
		return false;
	if (at + 4 > size || number_at(body + at) < 5 || (size_t)number_at(body + at) > size - at)
		return false;
	return bson_init_static(ret_command, (const uint8_t *)body + at, (size_t)number_at(body + at));
}

static bool write_answer(int fd, const struct header *asked, const bson_t *reply)
{
	char bytes[64 + 4096] = {0};
	/* Its length as it is sent: AddressSanitizer's stacks have not the alignment of a bson_t, which UBSan looks at with each member. */
	const size_t length = (size_t)number_at((const char *)bson_get_data(reply));
	/* OP_REPLY: flags, cursor, the first document's number, how many; OP_MSG: flags, the section's kind */
	const size_t before = asked->operation == OP_QUERY ? 20 : 5, size = 16 + before + length;
	check(size <= sizeof(bytes), "the answer is too long");
	const int32_t header[] = {
		(int32_t)size, 1, asked->request, asked->operation == OP_QUERY ? OP_REPLY : OP_MSG};
	memcpy(bytes, header, sizeof(header));
	if (asked->operation == OP_QUERY)
		bytes[16 + 16] = 1;
	memcpy(bytes + 16 + before, bson_get_data(reply), length);
	return send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* One message. False at the connection's end. */
static bool serve_one(struct scripted_mongo *server, int fd)
{
	struct header asked;
	bson_t command, reply;
	if (!read_all(fd, &asked, sizeof(asked)) || asked.size < (int32_t)sizeof(asked) ||
		asked.size > MESSAGE_MAX)
		return false;
	const size_t size = (size_t)asked.size - sizeof(asked);
	char *body = malloc(size + 1);
	check(body, "memory");
	bool more = read_all(fd, body, size) && find_command(asked.operation, body, size, &command);
	if (more) {
		bson_init(&reply);
		const enum scripted_mongo_answer how = answer(server, &command, &reply);
		more = how != SCRIPTED_MONGO_CLOSE;
		if ((how == SCRIPTED_MONGO_USUAL || how == SCRIPTED_MONGO_REPLY) &&
			!(asked.operation == OP_MSG && number_at(body) & MORE_TO_COME))
			more = write_answer(fd, &asked, &reply);
		bson_destroy(&reply);
	}
	free(body);
	return more;
}

static void *serve(void *argument)
{
	struct connection *connection = argument;
	while (serve_one(connection->server, connection->fd))
		;
	shutdown(connection->fd, SHUT_RDWR);
	return NULL;
}

/* ---- Life ---- */

static void *accept_all(void *argument)
{
	struct scripted_mongo *server = argument;
	for (;;) {
		const int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_mutex_lock(&server->mutex);
		if (fd < 0 || server->stopping) {
			pthread_mutex_unlock(&server->mutex);
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		check(server->connection_count < CONNECTIONS_MAX, "too many connections");
		struct connection *connection = &server->connections[server->connection_count++];
		*connection = (struct connection){.server = server, .fd = fd};
		check(pthread_create(&connection->thread, NULL, serve, connection) == 0, "a thread");
		pthread_mutex_unlock(&server->mutex);
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
	server->members[0] = server;
	pthread_mutex_init(&server->mutex, NULL);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(server->listener >= 0 && bind(server->listener, (struct sockaddr *)&address, size) == 0 &&
			listen(server->listener, 64) == 0 &&
			getsockname(server->listener, (struct sockaddr *)&address, &size) == 0,
		"listening");
	snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", ntohs(address.sin_port));
	check(pthread_create(&server->thread, NULL, accept_all, server) == 0, "a thread");
	return server;
}

void scripted_mongo_stop(struct scripted_mongo *server)
{
	pthread_mutex_lock(&server->mutex);
	server->stopping = true;
	pthread_mutex_unlock(&server->mutex);
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	for (size_t i = 0; i < server->connection_count; i++) {
		shutdown(server->connections[i].fd, SHUT_RDWR);
		pthread_join(server->connections[i].thread, NULL);
		close(server->connections[i].fd);
	}
	pthread_mutex_destroy(&server->mutex);
	free(server);
}

const char *scripted_mongo_address(const struct scripted_mongo *server)
{
	return server->address;
}

void scripted_mongo_members(struct scripted_mongo *server, struct scripted_mongo *const *members)
{
	pthread_mutex_lock(&server->mutex);
	memset(server->members, 0, sizeof(server->members));
	for (size_t i = 0; i < MEMBERS_MAX && members[i]; i++)
		server->members[i] = members[i];
	pthread_mutex_unlock(&server->mutex);
}

void scripted_mongo_elect(struct scripted_mongo *server, bool primary)
{
	pthread_mutex_lock(&server->mutex);
	server->secondary = !primary;
	pthread_mutex_unlock(&server->mutex);
}
