/*
 * http_proxy.h - a real HTTP proxy, tinyproxy, on a port of its own, which connects to wherever it is asked to.
 *
 * Happy path: http_proxy_new(), http_proxy_start(), and the program under test goes through http_proxy_url(). It ends with the case.
 */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include "harness.h"

struct http_proxy;

/* login: "USER PASSWORD", which it asks for; NULL: it lets everybody through. Not started. */
struct http_proxy *http_proxy_new(struct harness *h, const char *login);

/* And waits until it listens; again: on the same port. */
void http_proxy_start(struct http_proxy *proxy);

/* SIGKILL, and waits. */
void http_proxy_kill(struct http_proxy *proxy);

unsigned http_proxy_port(const struct http_proxy *proxy);

/* "http://127.0.0.1:PORT", with "USER:PASSWORD@" before the address where login is that, and not NULL. Lives as long as the case. */
const char *http_proxy_url(const struct http_proxy *proxy, const char *login);

/* How many connections it was asked for to that place, "HOST:PORT". */
size_t http_proxy_count(const struct http_proxy *proxy, const char *place);

#endif
