/*
 * loggly_http.h - requests to Loggly, one at a time, over a connection that is kept. By libcurl.
 *
 * Happy path: loggly_http_start(), then loggly_http_wait() until loggly_http_answer() has one. TLS 1.2 or
 * newer, certificate and host name verified, no redirects, HTTPS only. Failure modes are an answer of some
 * kind, sorted by what is to be done about it. The token stands in the URL, and in no text that comes from
 * here (log_secret.h). All functions but loggly_http_wake() are for one thread.
 */
#ifndef LOGGLY_HTTP_H
#define LOGGLY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loggly_http_options {
	const char *url; /* "https://host" or "https://host:port/path", without a / at its end or with one */
	const char *token;
	const char *tags;    /* separated by commas */
	const char *ca_file; /* PEM; NULL or "": the system's certificate authorities */
	unsigned connect_ms, total_ms;
	bool only_looks; /* asks for nothing but headers of the URL alone, without the token */
};

enum loggly_answer_kind {
	LOGGLY_TAKEN, /* 2xx with Loggly's own words, {"response" : "ok"} */
	LOGGLY_LATER, /* not reachable, 408, 429, 5xx, 2xx with other words: the same request may succeed another time */
	LOGGLY_TOO_LARGE, /* 413 */
	LOGGLY_BAD,	  /* 400: these events will never be taken */
	LOGGLY_FORBIDDEN, /* 401, 403, a redirect or anything else: somebody has to change something */
};

struct loggly_answer {
	enum loggly_answer_kind kind;
	long status;		/* of HTTP; 0: there was no answer */
	int64_t retry_after_ms; /* what Retry-After asks for, as seconds or as a date, six hours at most; 0: nothing */
	char reason[256]; /* for people */
};

struct loggly_http;

/* 0 or a negative errno. curl_global_init() has been called. */
__attribute__((warn_unused_result)) int loggly_http_open(
	const struct loggly_http_options *options, struct loggly_http **ret);

/* Drops a request that is under way. NULL is allowed. */
void loggly_http_close(struct loggly_http *http);

/* Starts a request with these lines, which must stay until it has its answer or is dropped; one that only looks sends none. 0 or a negative errno. */
__attribute__((warn_unused_result)) int loggly_http_start(
	struct loggly_http *http, const char *lines, size_t size);

/* Serves the request under way, if there is one, and waits for the network, loggly_http_wake() or timeout_ms. */
void loggly_http_wait(struct loggly_http *http, unsigned timeout_ms);

/* Whether the request has ended. */
bool loggly_http_answer(struct loggly_http *http, struct loggly_answer *ret);

/* Drops the request under way. */
void loggly_http_drop(struct loggly_http *http);

/* Ends a wait, or the next one. Any thread; does not block. */
void loggly_http_wake(struct loggly_http *http);

/* What an HTTP status means. */
enum loggly_answer_kind loggly_answer_kind(long status);

#endif
