/*
 * provider.h - what all files of this folder share: where an identity provider is, and how it can fail. OpenID Connect Core 1.0 and Discovery 1.0.
 *
 * The folder is cashew-token's two ways to an identity provider: cashew_token_jwks.h fetches its keys into a file, cashew_token_exchange.h takes its ID
 * token and makes a token for brokers that know HS256 only.
 */
#ifndef PROVIDER_H
#define PROVIDER_H

enum {
	PROVIDER_REASON_SIZE = 640,
	PROVIDER_BODY_MAX = 65536, /* bytes of an answer, as of a file that holds keys */
	PROVIDER_TIMEOUT_MS =
		10000,		   /* of each of the two requests, from the name's lookup to the last byte */
	PROVIDER_ASK_EVERY_S = 60, /* a token whose kid is unknown makes one refetch in that time at most */
};

/* Each comes with a reason in words, of PROVIDER_REASON_SIZE bytes. */
enum provider_error {
	PROVIDER_E_AWAY =
		1, /* no answer that counts: not reached, not verified, too slow, cut, another status than 200 */
	PROVIDER_E_ANSWER, /* an answer that cannot be used, and would not be the next time */
	PROVIDER_E_FILE,   /* the file of the keys cannot be read or replaced */
	PROVIDER_E_SOON,   /* the provider was asked less than PROVIDER_ASK_EVERY_S ago */
	PROVIDER_E_TOKEN,  /* the ID token is refused */
};

/* Where its keys come from. */
struct provider_source {
	const char *issuer;  /* provider_address_issuer_oddity() finds nothing odd about it */
	const char *ca_file; /* PEM, the authorities that may vouch for it; NULL: those of the system */
	unsigned timeout_ms; /* of a request */
};

#endif
