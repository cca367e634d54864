/*
 * quota_limits.c - see quota_limits.h.
 */
#include "quota_limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t"

enum { NUMBER_MAX = 1000000000 };

static const struct {
	const char *name;
	size_t at;
} numbers[] = {
	{"quota_messages_per_second", offsetof(struct quota_limits, messages_per_second)},
	{"quota_messages_burst", offsetof(struct quota_limits, messages_burst)},
	{"quota_bytes_per_second", offsetof(struct quota_limits, bytes_per_second)},
	{"quota_bytes_burst", offsetof(struct quota_limits, bytes_burst)},
	{"quota_refusals_per_second", offsetof(struct quota_limits, refusals_per_second)},
	{"quota_refusals_burst", offsetof(struct quota_limits, refusals_burst)},
	{"quota_connections", offsetof(struct quota_limits, connections)},
	{"quota_sessions", offsetof(struct quota_limits, sessions)},
	{"quota_subscriptions", offsetof(struct quota_limits, subscriptions)},
	{"quota_connects_per_minute", offsetof(struct quota_limits, connects_per_minute)},
	{"quota_failed_logins_per_minute", offsetof(struct quota_limits, failed_logins_per_minute)},
};

const char *quota_limits_names(void)
{
	return "quota_messages_per_second, quota_messages_burst, quota_bytes_per_second, quota_bytes_burst, "
	       "quota_refusals_per_second, quota_refusals_burst, quota_connections, quota_sessions, "
	       "quota_subscriptions, quota_connects_per_minute, quota_failed_logins_per_minute, quota_retained, "
	       "quota_exempt_addresses";
}

void quota_limits_init(struct quota_limits *limits)
{
	*limits = (struct quota_limits){
		.messages_per_second = 50,
		.messages_burst = 200,
		.bytes_per_second = 256 * 1024,
		.bytes_burst = 1024 * 1024,
		.refusals_per_second = 50,
		.refusals_burst = 1000,
		.connections = 20,
		.sessions = 10,
		.subscriptions = 100,
		.connects_per_minute = 20,
		.failed_logins_per_minute = 30,
		.exempt_count = 2,
		/* The host is often on this machine, and so is a proxy: all who come through it have its address. */
		.exempt = {"127.0.0.1", "::1"},
	};
}

static void number_read(const char *name, const char *value, unsigned *number, char reason[QUOTA_REASON_SIZE])
{
	char *end = NULL;
	errno = 0;
	unsigned long read = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || read > NUMBER_MAX)
		(void)snprintf(reason, QUOTA_REASON_SIZE,
			"plugin_opt_%s must be a number from 0, no limit, to %d", name, NUMBER_MAX);
	else
		*number = (unsigned)read;
}

/* ---- Addresses ---- */

void quota_limits_address(const char *address, char ret_address[QUOTA_ADDRESS_SIZE])
{
	struct in6_addr six;
	if (!address || inet_pton(AF_INET6, address, &six) != 1) {
		(void)snprintf(ret_address, QUOTA_ADDRESS_SIZE, "%s", address ? address : "-");
	} else if (IN6_IS_ADDR_V4MAPPED(&six)) {
		(void)inet_ntop(AF_INET, &six.s6_addr[12], ret_address, QUOTA_ADDRESS_SIZE);
	} else {
		/* This machine's own is the one that must not stand for its neighbours. */
		if (!IN6_IS_ADDR_LOOPBACK(&six))
			memset(&six.s6_addr[8], 0, 8);
		(void)inet_ntop(AF_INET6, &six, ret_address, QUOTA_ADDRESS_SIZE);
	}
}

bool quota_limits_exempt(const struct quota_limits *limits, const char *address)
{
	for (size_t i = 0; i < limits->exempt_count; i++)
		if (strcmp(limits->exempt[i], address) == 0)
			return true;
	return false;
}

static bool exempt_add(struct quota_limits *limits, const char *text, char reason[QUOTA_REASON_SIZE])
{
	unsigned char bytes[sizeof(struct in6_addr)];
	if (inet_pton(AF_INET, text, bytes) != 1 && inet_pton(AF_INET6, text, bytes) != 1) {
		(void)snprintf(reason, QUOTA_REASON_SIZE,
			"plugin_opt_quota_exempt_addresses: \"%.64s\" is no address", text);
		return false;
	}
	if (limits->exempt_count == QUOTA_EXEMPT_MAX) {
		(void)snprintf(reason, QUOTA_REASON_SIZE,
			"plugin_opt_quota_exempt_addresses has more than %d addresses", QUOTA_EXEMPT_MAX);
		return false;
	}
	quota_limits_address(text, limits->exempt[limits->exempt_count++]);
	return true;
}

/* Separated by commas, with or without blanks; "none": there are none. */
static void exempt_read(struct quota_limits *limits, const char *value, char reason[QUOTA_REASON_SIZE])
{
	char *list = strdup(value), *rest = NULL;
	limits->exempt_count = 0;
	if (!list)
		(void)snprintf(reason, QUOTA_REASON_SIZE, "out of memory");
	else if (strcmp(value, "none") != 0)
		for (char *text = strtok_r(list, "," BLANKS, &rest);
			text && exempt_add(limits, text, reason);)
			text = strtok_r(NULL, "," BLANKS, &rest);
	free(list);
}

bool quota_limits_option(
	struct quota_limits *limits, const char *name, const char *value, char ret_reason[QUOTA_REASON_SIZE])
{
	ret_reason[0] = '\0';
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(name, numbers[i].name) == 0) {
			number_read(name, value, (unsigned *)(void *)((char *)limits + numbers[i].at),
				ret_reason);
			return true;
		}
	if (strcmp(name, "quota_exempt_addresses") == 0) {
		exempt_read(limits, value, ret_reason);
		return true;
	}
	if (strcmp(name, "quota_retained") != 0)
		return false;
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		(void)snprintf(ret_reason, QUOTA_REASON_SIZE, "plugin_opt_quota_retained must be on or off");
	limits->retained = strcmp(value, "on") == 0;
	return true;
}
