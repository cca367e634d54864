/* provider_address.c - see provider_address.h. */
#include "provider_address.h"

#include <stdio.h>
#include <string.h>

static const char scheme[] = "https://";

const char *provider_address_oddity(const char *address)
{
	const size_t size = strlen(address);
	if (strncmp(address, scheme, sizeof(scheme) - 1) != 0)
		return "does not begin with https://";
	if (size > PROVIDER_ADDRESS_MAX)
		return "is longer than 1024 bytes";
	for (size_t i = 0; i < size; i++)
		if (address[i] <= ' ' || address[i] > '~' || strchr("\"<>\\^`{|}", address[i]))
			return "has a character in it that no address has";
	const char *host = address + sizeof(scheme) - 1;
	const size_t host_size = strcspn(host, "/?#");
	if (memchr(host, '@', host_size))
		return "has a user name in it";
	if (host_size == 0 || host[0] == ':')
		return "has no host";
	return NULL;
}

const char *provider_address_issuer_oddity(const char *issuer)
{
	const char *oddity = provider_address_oddity(issuer);
	if (!oddity && strpbrk(issuer, "?#"))
		return "has a query or a fragment, as no issuer has";
	return oddity;
}

void provider_address_discovery(const char *issuer, char ret_address[static PROVIDER_ADDRESS_DISCOVERY_SIZE])
{
	const size_t size = strlen(issuer);
	(void)snprintf(ret_address, PROVIDER_ADDRESS_DISCOVERY_SIZE, "%.*s/.well-known/openid-configuration",
		(int)(size > 0 && issuer[size - 1] == '/' ? size - 1 : size), issuer);
}
