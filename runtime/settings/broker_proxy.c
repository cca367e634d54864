/*
 * broker_proxy.c - see broker_proxy.h. Stricter than RFC 3986: what could be meant in two ways is refused, so that no password ends in a wrong place.
 */
#include "broker_proxy.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PORT_DIGITS = 5, PORT_MAX = 65535 };

#define FORM "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"

static const char other_kind[] = FORM ": proxies of another kind than HTTP are not known";
static const char bad_login[] = FORM
	", where neither user nor password is empty, has control characters, or has one of blank : / ? # [ ] @ % other than as %20 and the like";
static const char bad_host[] =
	FORM ", where the host is a name, an address, or an address of IPv6 in brackets";
static const char bad_port[] = FORM ", where the port is from 1 to 65535 and nothing follows it";

static int digit(char character)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *found = character != '\0' ? strchr(digits, character) : NULL;
	if (!found)
		return -1;
	return (int)(found - digits) < 16 ? (int)(found - digits) : (int)(found - digits) - 6;
}

/* Decodes what stands there; how many bytes it is, or -1. A colon is no part of a user (RFC 7617, section 2), and may stand in a password. */
static ssize_t decode(const char *at, const char *end, bool is_user, char *ret)
{
	char *to = ret;
	for (; at < end; at++) {
		unsigned char byte = (unsigned char)*at;
		if (strchr(" /?#[]@", byte))
			return -1;
		if (byte == '%') {
			const int high = end - at > 2 ? digit(at[1]) : -1,
				  low = end - at > 2 ? digit(at[2]) : -1;
			if (high < 0 || low < 0)
				return -1;
			byte = (unsigned char)(high << 4 | low);
			at += 2;
		}
		if (byte < ' ' || byte == 0x7f || (is_user && byte == ':'))
			return -1;
		*to++ = (char)byte;
	}
	*to = '\0';
	return to == ret ? -1 : to - ret;
}

static bool read_login(const char *at, const char *end, struct broker_proxy *ret)
{
	char login[BROKER_PROXY_URL_MAX + 1];
	const char *colon = memchr(at, ':', (size_t)(end - at));
	const ssize_t user = colon ? decode(at, colon, true, login) : -1;
	const ssize_t password = user > 0 ? decode(colon + 1, end, false, ret->password) : -1;
	if (password > 0) {
		const ssize_t size = user + 1 + password;
		login[user] = ':';
		memcpy(login + user + 1, ret->password, (size_t)password + 1);
		(void)EVP_EncodeBlock((unsigned char *)ret->basic, (const unsigned char *)login, (int)size);
	}
	explicit_bzero(login, sizeof(login));
	return password > 0;
}

static bool read_port(const char *text, unsigned *ret)
{
	const size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > PORT_DIGITS || text[digits] != '\0')
		return false;
	const unsigned long port = strtoul(text, NULL, 10);
	*ret = (unsigned)port;
	return port > 0 && port <= PORT_MAX;
}

static bool is_host(const char *host, bool bracketed)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
	struct in6_addr six;
	if (bracketed)
		return inet_pton(AF_INET6, host, &six) == 1;
	return host[0] != '\0' && host[strspn(host, characters)] == '\0';
}

static const char *read_place(const char *at, struct broker_proxy *ret)
{
	const bool bracketed = *at == '[';
	at += bracketed;
	const size_t size = strcspn(at, bracketed ? "]" : ":/?#");
	if (size >= sizeof(ret->host))
		return bad_host;
	memcpy(ret->host, at, size);
	ret->host[size] = '\0';
	at += size;
	if ((bracketed && *at++ != ']') || !is_host(ret->host, bracketed))
		return bad_host;
	return *at == ':' && read_port(at + 1, &ret->port) ? NULL : bad_port;
}

const char *broker_proxy_read(const char *url, struct broker_proxy *ret)
{
	static const char scheme[] = "http://";
	*ret = (struct broker_proxy){.port = 0};
	if (strncasecmp(url, scheme, sizeof(scheme) - 1) != 0 || strlen(url) > BROKER_PROXY_URL_MAX)
		return other_kind;
	const char *rest = url + sizeof(scheme) - 1, *at = strrchr(rest, '@');
	const char *problem =
		at && !read_login(rest, at, ret) ? bad_login : read_place(at ? at + 1 : rest, ret);
	if (problem)
		broker_proxy_clear(ret);
	return problem;
}

void broker_proxy_clear(struct broker_proxy *proxy)
{
	explicit_bzero(proxy, sizeof(*proxy));
}
