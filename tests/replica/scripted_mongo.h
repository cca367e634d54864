/*
 * scripted_mongo.h - a server that speaks MongoDB's protocol and answers as a test says, for what the database of the other tests does not show:
 * members of a replica set, a router, answers that fail, writes that stall.
 *
 * Happy path: scripted_mongo_start() listens on 127.0.0.1, a thread answers each connection, scripted_mongo_count() tells what was asked,
 * scripted_mongo_stop() ends it all. Nothing is stored, and a find finds nothing, a write is acknowledged (by a primary); or, with a database behind
 * it, commands go there, and only hello is answered here. What the operating system refuses ends the test.
 *
 * hello is answered as by MongoDB 4.4 and later: with a topologyVersion, and who asks by the one that he knows waits until there is another one. So
 * the driver learns of an election as it happens (the drivers' specification "Server Monitoring", streaming).
 */
#ifndef SCRIPTED_MONGO_H
#define SCRIPTED_MONGO_H

#include <mongoc/mongoc.h>

struct scripted_mongo;

enum scripted_mongo_answer {
	SCRIPTED_MONGO_USUAL,	/* as a healthy server would; with a database behind it, what that answers */
	SCRIPTED_MONGO_REPLY,	/* what the hook has put into the reply */
	SCRIPTED_MONGO_SILENCE, /* nothing, and the connection stays */
	SCRIPTED_MONGO_CLOSE,	/* the connection is closed */
	/* The database behind it does the command, and then: */
	SCRIPTED_MONGO_DONE_REPLY, /* its answer is not told, but what the hook has put into the reply */
	SCRIPTED_MONGO_DONE_ADD,   /* its answer has the reply's fields behind its own */
	SCRIPTED_MONGO_DONE_HALF,  /* half of its answer is sent, and the connection closed */
	SCRIPTED_MONGO_DONE_CLOSE, /* none of it */
};

struct scripted_mongo_options {
	const char *set_name; /* NULL: a standalone server, or a router */
	bool secondary;
	bool router;	      /* mongos */
	unsigned behind_port; /* of a database on 127.0.0.1; 0: none is there */
	int hello_code; /* of the error that it answers to hello, with hello_words; 0: it tells what it is */
	const char *hello_words;
	/* Asked for each command but hello, from the connection's thread. The command has its sequences as arrays; the reply is empty. NULL: all is
	   as usual. */
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

/* Makes it a primary, of a term of its own, or a secondary; who waits for it is told. Any thread, as all below. */
void scripted_mongo_elect(struct scripted_mongo *server, bool primary);
bool scripted_mongo_is_primary(struct scripted_mongo *server);

/* Ends all its connections. What is under way at the database behind it is done there, and nobody is told. */
void scripted_mongo_cut(struct scripted_mongo *server);

/* What becomes of its machine. */
enum scripted_mongo_machine {
	SCRIPTED_MONGO_RUNS,
	SCRIPTED_MONGO_GONE, /* all connections end, and new ones at once */
	SCRIPTED_MONGO_FROZEN, /* connections stay, and are taken; nothing is done or answered until it runs again */
};
void scripted_mongo_set_machine(struct scripted_mongo *server, enum scripted_mongo_machine machine);

/* How many commands of that name have come. */
unsigned scripted_mongo_count(struct scripted_mongo *server, const char *name);

/* {ok: 0, code, errmsg}, for a hook. */
void scripted_mongo_failure(bson_t *reply, int code, const char *message);

/* Appends the topologyVersion, as servers do to an error of their state: so the driver sees whether it knows more already. */
void scripted_mongo_append_version(struct scripted_mongo *server, bson_t *reply);

/* Whether the command of that name writes; or reads what a secondary may not know. */
bool scripted_mongo_writes(const char *name);
bool scripted_mongo_reads(const char *name);

#endif
