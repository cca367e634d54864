/*
 * liar_server.h - an HTTPS server on 127.0.0.1 that answers as a test says, also as no honest server would.
 *
 * Happy path: liar_server_start(), liar_server_say() for each path, liar_server_stop(). One thread serves one connection after the other, one request each.
 * A path of which nothing was said gets 404. What the test could not do without fails it.
 */
#ifndef LIAR_SERVER_H
#define LIAR_SERVER_H

struct liar_server;

enum liar_manner {
	LIAR_ANSWERS,
	LIAR_SILENT,   /* reads the request, and keeps the connection until the other side ends it */
	LIAR_TRICKLES, /* the same, with a byte of a header now and then */
	LIAR_CUTS,     /* announces the whole body, and closes in the middle of it */
	LIAR_ENDLESS,  /* a body without an announced size that goes on until the other side ends it */
	LIAR_CLOSES,   /* closes when it has read the request */
};

struct liar_answer {
	int status;	     /* 0: 200 */
	const char *headers; /* lines, each with CR LF; NULL: none */
	const char *body;    /* NULL: "" */
	enum liar_manner manner;
};

/* certificate, key: PEM files. */
struct liar_server *liar_server_start(const char *certificate, const char *key);
unsigned liar_server_port(const struct liar_server *server);

/* From now on, for that path; texts are copied. */
void liar_server_say(struct liar_server *server, const char *path, const struct liar_answer *answer);

/* How many requests it has read so far. */
unsigned liar_server_requests(struct liar_server *server);

void liar_server_stop(struct liar_server *server);

#endif
