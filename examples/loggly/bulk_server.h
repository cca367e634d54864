/*
 * bulk_server.h - an HTTPS server on 127.0.0.1 that takes events as Loggly's bulk endpoint does, or refuses
 * them in any way that it is told to.
 *
 * Happy path: bulk_server_start(), POST /bulk/TOKEN/tag/TAGS/ with a line an event, which take() is called
 * with; bulk_server_stop(). What it is to answer instead is put into a queue by bulk_server_answer(). A
 * thread for each connection; connections are kept. Failure modes: what is no such request gets 400, 404 or
 * 413; what breaks off is forgotten.
 */
#ifndef BULK_SERVER_H
#define BULK_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bulk_server;

struct bulk_server_options {
	unsigned port;		       /* 0: any free one */
	const char *certificate, *key; /* PEM files */
	bool old_tls;		       /* speaks TLS 1.1 at most */
	/* Called with the lines of every request that is answered by 200, by one thread at a time, before the answer leaves. */
	void (*take)(void *context, const char *lines, size_t size);
	void *context;
};

enum bulk_manner {
	BULK_ANSWERS,
	BULK_SILENT,	   /* reads the request and never answers */
	BULK_CUTS_REQUEST, /* closes when it has read the headers */
	BULK_CUTS_STATUS, /* closes in the middle of the answer's first line, after take() where it is a 200 */
	BULK_CUTS_ANSWER, /* the same, in the middle of what follows the headers */
};

struct bulk_answer {
	unsigned times;	    /* so many requests get it; 0: one */
	int status;	    /* 0: 200 */
	const char *header; /* a line of it, "Retry-After: 3"; NULL: none. The caller's, and stays */
	const char *body;   /* NULL: as Loggly's. The caller's, and stays */
	unsigned delay_ms;
	enum bulk_manner manner;
};

struct bulk_counts {
	unsigned connections; /* that got through TLS */
	unsigned requests;    /* whose headers were read */
	unsigned taken;	      /* of those, answered by 200 */
	uint64_t events;      /* in those */
	size_t largest;	      /* bytes of a request */
	char path[512];	      /* of the last request */
};

/* 0 or a negative errno; -EINVAL: certificate or key. */
__attribute__((warn_unused_result)) int bulk_server_start(
	const struct bulk_server_options *options, struct bulk_server **ret);
void bulk_server_stop(struct bulk_server *server);

unsigned bulk_server_port(const struct bulk_server *server);

/* For the requests after those that have an answer in the queue already. */
void bulk_server_answer(struct bulk_server *server, const struct bulk_answer *answer);

void bulk_server_counts(struct bulk_server *server, struct bulk_counts *ret);

/* Waits until so many requests have come; false: not in that time. */
bool bulk_server_wait(struct bulk_server *server, unsigned requests, unsigned timeout_ms);

#endif
