/*
 * quota_limits.h - how much a user, or an address, may do at the broker: the defaults, and the plugin's options that change them.
 *
 * Happy path: quota_limits_init(), then quota_limits_option() for each option that the plugin does not know itself. Failure modes: a value that is
 * no number or out of range, and an exempt address that is none: the option is refused, with a reason.
 */
#ifndef QUOTA_LIMITS_H
#define QUOTA_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

enum {
	QUOTA_REASON_SIZE = 256,
	QUOTA_ADDRESS_SIZE = 65, /* of an address as quota_limits_address() writes it, and its NUL */
	QUOTA_EXEMPT_MAX = 64	 /* addresses */
};

/* 0 is no limit. README.md has what each means. */
struct quota_limits {
	unsigned messages_per_second, messages_burst;
	unsigned bytes_per_second, bytes_burst;
	unsigned refusals_per_second, refusals_burst; /* before the connection is closed */
	unsigned connections, sessions, subscriptions;
	unsigned connects_per_minute;
	unsigned failed_logins_per_minute; /* of an address */
	bool retained;			   /* may be published */
	size_t exempt_count;
	char exempt[QUOTA_EXEMPT_MAX][QUOTA_ADDRESS_SIZE];
};

void quota_limits_init(struct quota_limits *limits);

/* True if `name` (what stands behind plugin_opt_) is an option of this file. Its value was taken, or *ret_reason says why not; else that is empty. */
bool quota_limits_option(
	struct quota_limits *limits, const char *name, const char *value, char ret_reason[QUOTA_REASON_SIZE]);

/* The names of the options, separated by ", ", for a text that tells which there are. */
const char *quota_limits_names(void);

/*
 * Whom an address stands for: itself for IPv4, also where it is written as IPv6 (::ffff:192.0.2.1), the first 64 bits for IPv6, since whoever has
 * one address there has all of them (RFC 6177). What is no address is taken as it is. NULL is "-".
 */
void quota_limits_address(const char *address, char ret_address[QUOTA_ADDRESS_SIZE]);

/* Whether an address, as written by quota_limits_address(), is exempt. */
bool quota_limits_exempt(const struct quota_limits *limits, const char *address);

#endif
