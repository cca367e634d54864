/*
 * scripted_server.h - a server that speaks MongoDB's protocol and answers as a test says, for what the database of the other tests does not show:
 * members of a replica set, answers that fail, writes that stall.
 *
 * Happy path: scripted_start() listens on 127.0.0.1, a thread answers each connection, scripted_count() tells what was asked, scripted_stop() ends
 * it all. Nothing is stored: a find finds nothing, a write is acknowledged (by a primary). What the operating system refuses ends the test.
 *
 * Protocol: MongoDB's manual, "MongoDB Wire Protocol": OP_MSG, and OP_QUERY and OP_REPLY for the driver's first hello.
 */
#ifndef SCRIPTED_SERVER_H
#define SCRIPTED_SERVER_H

#include <mongoc/mongoc.h>

struct scripted_server;

enum scripted_answer {
	SCRIPTED_USUAL,	  /* as a healthy server would */
	SCRIPTED_REPLY,	  /* what the hook has put into the reply */
	SCRIPTED_SILENCE, /* nothing, and the connection stays */
	SCRIPTED_CLOSE,	  /* the connection is closed */
};

struct scripted_options {
	const char *set_name; /* NULL: a standalone server */
	bool secondary;
	/* Asked for each command but hello, from the connection's thread. The reply is empty. NULL: all is as usual. */
	enum scripted_answer (*hook)(void *context, const char *name, const bson_t *command, bson_t *reply);
	void *context;
};

struct scripted_server *scripted_start(const struct scripted_options *options);
void scripted_stop(struct scripted_server *server);

/* "127.0.0.1:PORT"; lives as long as the server. */
const char *scripted_address(const struct scripted_server *server);

/* Who its replica set consists of, ended by NULL; before anybody connects. Without it: the server alone. */
void scripted_members(struct scripted_server *server, struct scripted_server *const *members);

/* Makes it a primary or a secondary, from the next hello on. Any thread. */
void scripted_elect(struct scripted_server *server, bool primary);

/* How many commands of that name have come. Any thread. */
unsigned scripted_count(struct scripted_server *server, const char *name);

/* {ok: 0, code, errmsg}, for a hook. */
void scripted_failure(bson_t *reply, int code, const char *message);

#endif
