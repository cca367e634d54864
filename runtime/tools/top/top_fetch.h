/*
 * top_fetch.h - the status document of a running cashewd, by HTTP and over a connection that is kept.
 *
 * Happy path: fetch_open(), then for each look fetch_start(), and fetch_wait() until it says that there is an
 * end. Failure: no answer, another answer than 200, or one that is no status document, is a reason in words.
 * Redirects and proxies are not followed: the status is the machine's own affair. One thread.
 */
#ifndef TOP_FETCH_H
#define TOP_FETCH_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>

enum { FETCH_REASON_SIZE = 320, FETCH_MS = 3000 };

struct fetch;

/* address: HOST:PORT. 0 or a negative errno. */
__attribute__((warn_unused_result)) int fetch_open(const char *address, struct fetch **ret);
void fetch_close(struct fetch *fetch);

/* Asks. None is under way. 0 or a negative errno. */
__attribute__((warn_unused_result)) int fetch_start(struct fetch *fetch);

/* Serves what is under way, if anything is, until the network, one of those descriptors (revents is set) or
 * the time wants something. Whether what was asked has its end, which is told once. */
bool fetch_wait(struct fetch *fetch, struct pollfd *others, unsigned count, int64_t timeout_ms);

/* How it ended: a new reference; or NULL, and the reason. */
json_t *fetch_take(struct fetch *fetch, char ret_reason[static FETCH_REASON_SIZE]);

#endif
