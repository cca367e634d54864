/*
 * resolver.h - what may block before a connection is opened, done by threads of its own: the name of the broker, or of the proxy before it, is looked
 * up, certificate files are read, the handler's token is read or signed.
 *
 * Happy path: resolver_ask() hands a request to a thread; resolver_poll_fd() becomes readable; resolver_take() moves the answer out;
 * resolver_forget() ends the request. All of it is done anew for each request: a name may have moved, a certificate may have been renewed, a token
 * expires. Failure modes are in the answer, in words. A lookup that hangs costs nobody anything: the request can be forgotten at any time, and so can
 * the resolver; a thread is never waited for. What a thread needs of the settings it has a copy of; requests and resolver are freed by whoever is
 * last.
 *
 * A thread is started when there is something to do and ends when nothing is left: RESOLVER_THREADS_MAX at a time, so that lookups that hang do not
 * pile up. What is asked of a resolver while all of them hang waits until one is back.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include "tls.h"
#include <stdbool.h>

struct addrinfo;
struct resolver;
struct resolver_request;

enum { RESOLVER_THREADS_MAX = 4 };

/* What a request has come to. */
struct resolver_answer {
	bool ok; /* else `reason` says why not, and all below is NULL */
	struct addrinfo
		*addresses; /* of BROKER_HOST, or the host in BROKER_PROXY, at least one; freeaddrinfo() */
	struct ssl_ctx_st *context; /* tls_context_free(); NULL if BROKER_TLS=off */
	char *token;		    /* handler_token_free() */
	char reason[TLS_REASON_SIZE];
};

/* Copies what it needs of the settings. 0 and *ret; -ENOMEM. No thread is started. */
__attribute__((warn_unused_result)) int resolver_new(const struct settings *settings, struct resolver **ret);

/*
 * The tokens that are signed for it are locked to these topics (handler_token.h). Copies them. Before the first request, once. 0 or -ENOMEM: then they
 * are not.
 */
struct handler_topics;
__attribute__((warn_unused_result)) int resolver_lock(
	struct resolver *resolver, const struct handler_topics *topics);

/*
 * Threads that run end when they are done with what they are at; nothing else is begun. Returns at once where they look a name up; a thread that is
 * busy with OpenSSL is waited for, a second at most, so that main() may return and the library clean up. Requests may be forgotten later. NULL is
 * fine.
 */
void resolver_free(struct resolver *resolver);

/* Begins. host: of the settings' broker_host, where that names several; NULL: that itself. 0 and *ret; -ENOMEM; another negative errno where there are no descriptors or no threads left. Not after resolver_free(). */
__attribute__((warn_unused_result)) int resolver_ask(
	struct resolver *resolver, const char *host, struct resolver_request **ret);

/* Readable once there is an answer. The request's. */
int resolver_poll_fd(const struct resolver_request *request);

/* Whether there is an answer, which is then the caller's; once for each request. */
__attribute__((warn_unused_result)) bool resolver_take(
	struct resolver_request *request, struct resolver_answer *ret);

/* The answer is not wanted any more or has been taken. NULL is fine. */
void resolver_forget(struct resolver_request *request);

/* Frees what is left in an answer that was taken. */
void resolver_answer_free(struct resolver_answer *answer);

#endif
