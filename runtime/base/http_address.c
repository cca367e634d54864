/*
 * http_address.c - see http_address.h.
 */
#include "http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PORT_DIGITS = 5, NAME_MAX_SIZE = 253 }; /* RFC 1035, 2.3.4, as text */

static const char name_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";

static int read_port(const char *text, in_port_t *ret)
{
	const size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > PORT_DIGITS || text[digits] != '\0')
		return HTTP_ADDRESS_E_BAD;
	const unsigned long port = strtoul(text, NULL, 10);
	if (port > 65535)
		return HTTP_ADDRESS_E_BAD;
	*ret = htons((in_port_t)port);
	return 0;
}

/* A number as people write them; no names but one, as what they mean may change. */
static int read_host(const char *host, in_port_t port, bool bracketed, struct http_address *ret)
{
	struct sockaddr_in *four = (struct sockaddr_in *)&ret->socket;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret->socket;
	if (bracketed) {
		if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1)
			return HTTP_ADDRESS_E_BAD;
		six->sin6_family = AF_INET6;
		six->sin6_port = port;
		ret->size = sizeof(*six);
		return 0;
	}
	if (inet_pton(AF_INET, strcasecmp(host, "localhost") == 0 ? "127.0.0.1" : host, &four->sin_addr) != 1)
		return HTTP_ADDRESS_E_BAD;
	four->sin_family = AF_INET;
	four->sin_port = port;
	ret->size = sizeof(*four);
	return 0;
}

int http_address_read(const char *text, struct http_address *ret)
{
	struct http_address found = {.off = text[0] == '\0' || strcasecmp(text, "off") == 0};
	char host[INET6_ADDRSTRLEN];
	if (found.off) {
		*ret = found;
		return 0;
	}
	const bool bracketed = text[0] == '[';
	const char *begin = text + bracketed, *colon = strrchr(text, ':');
	if (!colon || colon < begin + bracketed)
		return HTTP_ADDRESS_E_BAD;
	const char *end = colon - bracketed;
	const size_t size = (size_t)(end - begin);
	if (size >= sizeof(host) || (bracketed && *end != ']'))
		return HTTP_ADDRESS_E_BAD;
	memcpy(host, begin, size);
	host[size] = '\0';
	in_port_t port;
	if (read_port(colon + 1, &port) != 0 || read_host(host, port, bracketed, &found) != 0)
		return HTTP_ADDRESS_E_BAD;
	*ret = found;
	return 0;
}

void http_address_write(const struct sockaddr *address, char ret[static HTTP_ADDRESS_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN] = "?";
	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
		(void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
		snprintf(ret, HTTP_ADDRESS_TEXT_SIZE, "[%s]:%u", host, ntohs(six->sin6_port));
	} else {
		const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
		(void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
		snprintf(ret, HTTP_ADDRESS_TEXT_SIZE, "%s:%u", host, ntohs(four->sin_port));
	}
}

static bool is_loopback_4(const void *bytes)
{
	return ((const unsigned char *)bytes)[0] == 127;
}

bool http_address_is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return is_loopback_4(&((const struct sockaddr_in *)(const void *)address)->sin_addr);
	if (address->sa_family != AF_INET6)
		return false;
	const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && is_loopback_4(six->s6_addr + 12));
}

bool http_address_host_is_local(const char *host)
{
	char with_port[HTTP_ADDRESS_TEXT_SIZE];
	struct http_address address;
	const char *bracket = strrchr(host, ']'), *colon = strrchr(bracket ? bracket : host, ':');
	if ((size_t)snprintf(with_port, sizeof(with_port), "%s%s", host, colon ? "" : ":80") >=
		sizeof(with_port))
		return false;
	return http_address_read(with_port, &address) == 0 && !address.off &&
	       http_address_is_loopback((const struct sockaddr *)&address.socket);
}

static bool list_holds(const char *names, const char *name, size_t size)
{
	for (const char *at = names; *at != '\0';) {
		at += strspn(at, ", \t");
		const size_t item = strcspn(at, ", \t");
		if (item == size && strncasecmp(at, name, size) == 0)
			return true;
		at += item;
	}
	return false;
}

bool http_address_host_is_ours(const char *host, const char *names)
{
	char name[NAME_MAX_SIZE + 1];
	in_port_t port;
	unsigned char address[sizeof(struct in6_addr)];
	const bool bracketed = host[0] == '[';
	const char *begin = host + bracketed, *end = begin + strcspn(begin, bracketed ? "]" : ":");
	const size_t size = (size_t)(end - begin);
	if (size == 0 || size >= sizeof(name) || (bracketed && *end != ']'))
		return false;
	end += bracketed;
	if (*end != '\0' && (*end != ':' || read_port(end + 1, &port) != 0))
		return false;
	memcpy(name, begin, size);
	name[size] = '\0';
	if (bracketed)
		return inet_pton(AF_INET6, name, address) == 1;
	return inet_pton(AF_INET, name, address) == 1 || list_holds(names, name, size) ||
	       (strspn(name, name_characters) == size && !strchr(name, '.'));
}

bool http_address_names_plain(const char *names)
{
	for (const char *at = names; *at != '\0';) {
		at += strspn(at, ", \t");
		const size_t item = strcspn(at, ", \t");
		if (item > NAME_MAX_SIZE || strspn(at, name_characters) < item)
			return false;
		at += item;
	}
	return true;
}
