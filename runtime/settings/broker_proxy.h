/*
 * broker_proxy.h - BROKER_PROXY: the HTTP proxy on the way to the broker, http://HOST:PORT or http://USER:PASSWORD@HOST:PORT.
 *
 * Happy path: broker_proxy_read(). Nothing can fail in settings that were checked. What it fills holds secrets: its owner overwrites it.
 */
#ifndef BROKER_PROXY_H
#define BROKER_PROXY_H

#include "broker_names.h"

enum {
	BROKER_PROXY_URL_MAX = 2048,
	BROKER_PROXY_BASIC_SIZE = (BROKER_PROXY_URL_MAX + 2) / 3 * 4 + 1,
};

struct broker_proxy {
	char host[BROKER_NAME_SIZE]; /* a name or an address, without brackets */
	unsigned port;
	char password[BROKER_PROXY_URL_MAX + 1]; /* "": no login */
	char basic
		[BROKER_PROXY_BASIC_SIZE]; /* "USER:PASSWORD" in base64, as the proxy gets it (RFC 7617); "": no login */
};

/* Reads the setting, which is not empty. NULL and *ret; else what is wrong with it, in words that follow "expected": static, and nothing of it is told. */
__attribute__((warn_unused_result)) const char *broker_proxy_read(const char *url, struct broker_proxy *ret);

/* Overwrites it. */
void broker_proxy_clear(struct broker_proxy *proxy);

#endif
