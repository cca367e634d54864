/*
 * proxy.h - BROKER_PROXY: the HTTP proxy between this host and the broker is asked to connect there (CONNECT, RFC 9110 section 9.3.6). What lies above
 * is on the same socket then, and knows nothing of it.
 *
 * Happy path: proxy_new() on a connected, non-blocking socket, proxy_shake() until it returns 0; proxy_free(). Not a byte behind the proxy's answer is
 * taken from the socket. The broker's name goes to the proxy as it is, which looks it up. Failure modes: an answer that is not 2xx, a redirect among
 * them, is no HTTP, or whose head is longer than HTTP_ANSWER_MAX, and a proxy that closes: a negative errno, and proxy_reason() says why in words, which
 * hold nothing of the login. One thread. Nothing blocks.
 */
#ifndef PROXY_H
#define PROXY_H

#include <stdbool.h>
#include <stddef.h>

struct proxy;
struct settings;

enum { PROXY_REASON_SIZE = 320, PROXY_NAME_SIZE = 300 };

/* Whether the way of those settings goes through one. */
bool proxy_is_set(const struct settings *settings);

/* What it is called in texts, "the proxy HOST:PORT". Of settings that have one. */
void proxy_name(const struct settings *settings, char ret[static PROXY_NAME_SIZE]);

/* BROKER_PROXY, BROKER_HOST and BROKER_PORT make the request; the settings outlive it. The socket stays the caller's. 0 and *ret; -ENOMEM. */
__attribute__((warn_unused_result)) int proxy_new(
	const struct settings *settings, int socket, struct proxy **ret);

/* Says nothing; NULL is fine. */
void proxy_free(struct proxy *proxy);

/* Goes on. 0: the socket leads to the broker; -EAGAIN: wait for proxy_events(); another negative errno: over. */
__attribute__((warn_unused_result)) int proxy_shake(struct proxy *proxy);

/* What to wait for, as events of poll(). */
short proxy_events(const struct proxy *proxy);

/* Why it is over. Valid until proxy_free(). */
const char *proxy_reason(const struct proxy *proxy);

#endif
