/*
 * provider_address.h - addresses of an identity provider: which may be asked, and where its discovery document is.
 *
 * Issuers are compared byte for byte (OpenID Connect Discovery 1.0, section 4.3), so nothing here makes an address nicer than it is: one that is odd is
 * refused, with the reason in words that complete "it ...". Pure, any thread.
 */
#ifndef PROVIDER_ADDRESS_H
#define PROVIDER_ADDRESS_H

enum {
	PROVIDER_ADDRESS_MAX = 1024, /* bytes */
	PROVIDER_ADDRESS_DISCOVERY_SIZE = PROVIDER_ADDRESS_MAX + 64,
};

/* NULL: it is https://, a host, perhaps a port and a path, and in it nothing that two programs could read in two ways. */
const char *provider_address_oddity(const char *address);

/* The same of an issuer, which has neither query nor fragment (OpenID Connect Core 1.0, section 2: iss). */
const char *provider_address_issuer_oddity(const char *issuer);

/* The address of the issuer's discovery document (Discovery 1.0, section 4.1: one / at the end goes). */
void provider_address_discovery(const char *issuer, char ret_address[static PROVIDER_ADDRESS_DISCOVERY_SIZE]);

#endif
