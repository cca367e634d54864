/*
 * mongo_wire.h - messages of MongoDB's protocol, for servers that tests stand in for: read whole, taken apart, written.
 *
 * Happy path: mongo_wire_read(), mongo_wire_command(), mongo_wire_answer(), mongo_wire_free(). What is false is the connection's end, or a message
 * that is none; what the operating system refuses otherwise ends the test. Pure but for the socket; any thread.
 *
 * Protocol: MongoDB's manual, "MongoDB Wire Protocol": OP_MSG with both kinds of sections, and OP_QUERY and OP_REPLY for the driver's first hello.
 */
#ifndef MONGO_WIRE_H
#define MONGO_WIRE_H

#include <bson/bson.h>

struct mongo_message {
	int32_t size, request, answers, operation; /* the header */
	char *bytes;				   /* all of it, with the header */
};

/* The next message; to be freed. */
bool mongo_wire_read(int fd, struct mongo_message *ret);
void mongo_wire_free(struct mongo_message *message);

/* Sends the message as it is. */
bool mongo_wire_write(int fd, const struct mongo_message *message);

/* The document that it consists of, with its sequences as the arrays that they stand for: {update: "contacts", updates: [..]}. To be destroyed. */
bool mongo_wire_command(const struct mongo_message *message, bson_t *ret_command);

/* Whether whoever has sent it waits for an answer; and whether he takes one answer after the other, without asking again. */
bool mongo_wire_awaits_answer(const struct mongo_message *message);
bool mongo_wire_takes_more(const struct mongo_message *message);

/* How an answer is sent. */
enum mongo_wire_how {
	MONGO_WIRE_WHOLE,
	MONGO_WIRE_HALF, /* the rest never comes */
	MONGO_WIRE_MORE, /* another one follows, which answers this one */
};

/* Answers to `asked`, which after MONGO_WIRE_MORE is this answer. */
bool mongo_wire_answer(int fd, struct mongo_message *asked, const bson_t *reply, enum mongo_wire_how how);

#endif
