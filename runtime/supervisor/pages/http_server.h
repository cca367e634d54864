/*
 * http_server.h - the pages for operators, over HTTP: a path each, made afresh for every request.
 *
 * Happy path: http_server_open() listens and starts a thread of its own. The path of a request is looked up in the table of pages, and the page is
 * written. Failure modes: the address cannot be had (another program has the port). That is said once, everything else goes on, and it is tried
 * again every HTTP_AGAIN_MS. A client that sends nothing, sends byte by byte, or does not read is cut off after HTTP_AGE_MS. There are
 * HTTP_CONNECTIONS at most, with a few KiB each; when one more comes, the one that was idle for longest is closed. Anything but GET and HEAD gets 405,
 * an unknown path 404, a Host that may be a stranger's name for this machine 403; so does who asks for a page that is for this machine only and is not
 * on it, or comes through a proxy.
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

struct view;
struct http_server;

struct http_page {
	const char *path;
	const char *content_type;
	bool local_only; /* for clients on this machine: any user of it */
	/* Writes the page, and returns HTTP_OK or HTTP_UNAVAILABLE. The server's thread. */
	unsigned (*write)(struct view *view, FILE *out);
};

struct http_options {
	const char *address; /* as http_address_read() takes it, and has taken it */
	const char *names;   /* that may lead here, as http_address_host_is_ours() takes them; NULL: none */
	const struct http_page *pages; /* ended by one without a path; outlives the server */
	struct view *view;	       /* outlives the server */
};

/* Listens, and logs where; or logs why not. 0 and *ret, also where the address cannot be had; -ENOMEM. Main thread, as all below. */
__attribute__((warn_unused_result)) int http_server_open(
	const struct http_options *options, struct http_server **ret);

/* Now and then: cuts off connections that are too old, tries again to listen. */
void http_server_look(struct http_server *http, int64_t now_ms);

/* Ends every connection, and the thread. NULL is fine. */
void http_server_close(struct http_server *http);

/* The port it listens on; 0: it does not. */
unsigned http_server_port(const struct http_server *http);

#endif
