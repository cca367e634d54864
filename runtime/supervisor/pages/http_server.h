/*
 * http_server.h - the pages for operators, over HTTP: a path each, made afresh for every request.
 *
 * Happy path: supervisor_http_open() listens and starts a thread of its own; a request's path is looked up in
 * the table of pages, and the page is written. Failure modes: the address cannot be had (another program has
 * the port): said once, everything else goes on, and it is tried again every HTTP_AGAIN_MS. A client that
 * sends nothing, or byte by byte, or does not read: its connection is cut off at HTTP_AGE_MS, whatever it
 * does; there are HTTP_CONNECTIONS at most, with a few KiB each. Anything but GET and HEAD gets 405, an
 * unknown path 404, each with a word; a page that is for this machine only, 403.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http_address.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
	HTTP_CONNECTIONS = 32,
	HTTP_AGE_MS = 10000,
	HTTP_AGAIN_MS = 10000,
	HTTP_OK = 200,
	HTTP_UNAVAILABLE = 503
};

struct supervisor_view;
struct supervisor_http;

struct http_page {
	const char *path;
	const char *content_type;
	bool local_only; /* for clients on this machine */
	/* Writes the page, and returns HTTP_OK or HTTP_UNAVAILABLE. The server's thread. */
	unsigned (*write)(struct supervisor_view *view, FILE *out);
};

struct http_options {
	const char *address;	       /* as http_address_read() takes it, and has taken it */
	const struct http_page *pages; /* ended by one without a path; outlives the server */
	struct supervisor_view *view;  /* outlives the server */
};

/* Listens, and says where; or says why not. 0 and *ret, also where the address cannot be had; -ENOMEM. Main
 * thread, as all below. */
__attribute__((warn_unused_result)) int supervisor_http_open(
	const struct http_options *options, struct supervisor_http **ret);

/* Now and then: cuts off connections that are too old, tries again to listen. */
void supervisor_http_look(struct supervisor_http *http, int64_t now_ms);

/* Ends every connection, and the thread. NULL is fine. */
void supervisor_http_close(struct supervisor_http *http);

/* The port it listens on; 0: it does not. */
unsigned supervisor_http_port(const struct supervisor_http *http);

#endif
