/*
 * scripted_mongo.h - a server that speaks MongoDB's protocol and answers as a test says, for what the database of the other tests does not show:
 * members of a replica set, answers that fail, writes that stall.
 *
 * Happy path: scripted_mongo_start() listens on 127.0.0.1, a thread answers each connection, scripted_mongo_count() tells what was asked, scripted_mongo_stop() ends
 * it all. Nothing is stored: a find finds nothing, a write is acknowledged (by a primary). What the operating system refuses ends the test.
 *
 * Protocol: MongoDB's manual, "MongoDB Wire Protocol": OP_MSG, and OP_QUERY and OP_REPLY for the driver's first hello.
 */
#ifndef SCRIPTED_MONGO_H
#define SCRIPTED_MONGO_H

#include <mongoc/mongoc.h>

struct scripted_mongo;

enum scripted_mongo_answer {
	SCRIPTED_MONGO_USUAL,	/* as a healthy server would */
	SCRIPTED_MONGO_REPLY,	/* what the hook has put into the reply */
	SCRIPTED_MONGO_SILENCE, /* nothing, and the connection stays */
	SCRIPTED_MONGO_CLOSE,	/* the connection is closed */
};

struct scripted_mongo_options {
	const char *set_name; /* NULL: a standalone server */
	bool secondary;
	int hello_code; /* of the error that it answers to hello, with hello_words; 0: it tells what it is */
	const char *hello_words;
	/* Asked for each command but hello, from the connection's thread. The reply is empty. NULL: all is as usual. */
	enum scripted_mongo_answer (*hook)(
		void *context, const char *name, const bson_t *command, bson_t *reply);
	void *context;
};

struct scripted_mongo *scripted_mongo_start(const struct scripted_mongo_options *options);
void scripted_mongo_stop(struct scripted_mongo *server);

/* "127.0.0.1:PORT"; lives as long as the server. */
const char *scripted_mongo_address(const struct scripted_mongo *server);

/* Who its replica set consists of, ended by NULL; before anybody connects. Without it: the server alone. */
void scripted_mongo_members(struct scripted_mongo *server, struct scripted_mongo *const *members);

/* Makes it a primary or a secondary, from the next hello on. Any thread. */
void scripted_mongo_elect(struct scripted_mongo *server, bool primary);

/* How many commands of that name have come. Any thread. */
unsigned scripted_mongo_count(struct scripted_mongo *server, const char *name);

/* {ok: 0, code, errmsg}, for a hook. */
void scripted_mongo_failure(bson_t *reply, int code, const char *message);

#endif
