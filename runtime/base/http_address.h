/*
 * http_address.h - METRICS_ADDR: where the pages for operators are served. Any thread.
 */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { HTTP_ADDRESS_E_BAD = 1, HTTP_ADDRESS_TEXT_SIZE = 64 };

struct http_address {
	bool off;
	struct sockaddr_storage socket; /* IPv4 or IPv6; port 0: any that is free */
	socklen_t size;
};

/* Reads "127.0.0.1:9883", "[::1]:9883", "localhost:9883", or "off", which nothing at all means as well. 0, or HTTP_ADDRESS_E_BAD. */
__attribute__((warn_unused_result)) int http_address_read(const char *text, struct http_address *ret);

/* As it is read. */
void http_address_write(const struct sockaddr *address, char ret[static HTTP_ADDRESS_TEXT_SIZE]);

/* Whether only this machine can reach it. */
bool http_address_is_loopback(const struct sockaddr *address);

/* Whether a Host header names this machine as itself: an address of loopback or localhost, with or without a
 * port. A page in a browser that was lured here by a name of its own has that name in it. */
bool http_address_host_is_local(const char *host);

/* Whether a Host header names this machine by what nobody else can give it: an address, a name without a dot, or one of `names`, which commas
 * separate; each with or without a port. A name with a dot may be anybody's who lets it lead here (DNS rebinding). */
bool http_address_host_is_ours(const char *host, const char *names);

/* Whether `names` is a list of host names as http_address_host_is_ours() takes it. "" is one. */
bool http_address_names_plain(const char *names);

#endif
