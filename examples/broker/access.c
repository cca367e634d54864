/*
 * access.c - who may do what at the broker: see access.h.
 *
 * A device's world is what lies below its user id. A handler's is what lies below any user id, or what of that its token is locked to. Nobody's are
 * the topics that begin with $ and those of a single level: nothing that is published there reaches anyone.
 */
#include "access.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._|-"
#define UNTIL	      " until "

enum { COMMAND_MAX = 64, UUID_SIZE = 36 };

static bool begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* ---- Identities ---- */

void access_write(const struct token_identity *identity, char ret_text[static ACCESS_IDENTITY_SIZE])
{
	char until[32] = "";
	if (identity->expires != INT64_MAX)
		(void)snprintf(until, sizeof(until), UNTIL "%" PRId64, identity->expires);
	(void)snprintf(ret_text, ACCESS_IDENTITY_SIZE, "%s%s%s%s",
		identity->is_handler ? ACCESS_HANDLER : ACCESS_USER,
		identity->is_handler ? identity->name : identity->user_id, until,
		identity->filters ? identity->filters : "");
}

bool access_read(const char *text, struct access *ret_access)
{
	struct access access = {.until = INT64_MAX};
	*ret_access = access;
	if (!text)
		return false;
	access.is_handler = begins_with(text, ACCESS_HANDLER);
	if (!access.is_handler && !begins_with(text, ACCESS_USER))
		return false;
	const char *name = text + (access.is_handler ? strlen(ACCESS_HANDLER) : strlen(ACCESS_USER));
	const size_t size = strcspn(name, " ");
	if (!topic_user_valid(name, size))
		return false;
	memcpy(access.name, name, size);
	const char *rest = name + size;
	if (begins_with(rest, UNTIL)) {
		char *end;
		access.until = strtoll(rest + strlen(UNTIL), &end, 10);
		rest = end;
	}
	if (access.is_handler && rest[0] != '\0')
		access.filters = rest;
	*ret_access = access;
	return true;
}

const char *access_user(const struct access *access)
{
	return access->is_handler || access->name[0] == '\0' ? NULL : access->name;
}

/* ---- Topics ---- */

/* Whether the topic or filter has the user id as its first level, and something after it. */
static bool below_user(const char *topic, const char *user)
{
	size_t size = strlen(user);
	return size > 0 && strncmp(topic, user, size) == 0 && topic[size] == '/' && topic[size + 1] != '\0';
}

bool access_topic_bare(const char *topic)
{
	size_t size = strspn(topic, "abcdefghijklmnopqrstuvwxyz_");
	return size >= 1 && size <= COMMAND_MAX && topic[size] == '\0';
}

/* Whether a handler's token lets it use the topic or filter in that way. */
static bool unlocked(const struct access *access, enum token_filters_kind kind, const char *filter)
{
	const char *list = token_filters_of(access->filters, kind);
	return !list || token_filters_hold(list, filter);
}

static bool handler_may(const struct access *access, enum token_filters_kind kind, const char *topic)
{
	return access->is_handler && topic_user_size(topic) > 0 && unlocked(access, kind, topic);
}

bool access_receive(const struct access *access, const char *topic)
{
	const char *user = access_user(access);
	if (user)
		return below_user(topic, user);
	/* Of a session of its own it is sent what the session has, also by a subscription of a time when it had more handlers: nothing is lost by that. */
	if (token_filters_of(access->filters, TOKEN_FILTERS_CLIENT_IDS))
		return access->is_handler && topic_user_size(topic) > 0;
	return handler_may(access, TOKEN_FILTERS_SUBSCRIBE, topic);
}

bool access_publish(const struct access *access, const char *topic)
{
	const char *user = access_user(access);
	if (user)
		return below_user(topic, user) || access_topic_bare(topic);
	return handler_may(access, TOKEN_FILTERS_PUBLISH, topic);
}

/* The filter behind $share/{group}/, the filter itself if it is not shared, NULL if it is malformed. */
static const char *filter_unshared(const char *filter)
{
	if (filter[0] != '$')
		return filter;
	if (!begins_with(filter, "$share/"))
		return NULL;
	const char *group = filter + strlen("$share/");
	size_t size = strcspn(group, "/+#");
	return size > 0 && group[size] == '/' ? group + size + 1 : NULL;
}

bool access_subscribe(const struct access *access, const char *filter)
{
	const char *plain = filter_unshared(filter);
	if (!plain)
		return false;
	const char *user = access_user(access);
	if (user)
		return below_user(plain, user);
	if (!access->is_handler || !unlocked(access, TOKEN_FILTERS_SUBSCRIBE, plain))
		return false;
	return strcmp(plain, "#") == 0 || (begins_with(plain, "+/") && plain[2] != '\0') ||
	       topic_user_size(plain) > 0;
}

/* ---- Client ids ---- */

/* Whether the text begins with a UUID as RFC 9562 writes it: five groups of hexadecimal digits. */
static bool begins_with_uuid(const char *text)
{
	for (size_t i = 0; i < UUID_SIZE; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (text[i] == '\0' || !strchr(dash ? "-" : "0123456789abcdefABCDEF", text[i]))
			return false;
	}
	return true;
}

size_t access_client_id_owner_size(const char *client_id)
{
	size_t size = strspn(client_id, ID_CHARACTERS);
	if (client_id[size] != '\0')
		return size;
	if (begins_with_uuid(client_id) && (client_id[UUID_SIZE] == '\0' || client_id[UUID_SIZE] == '-'))
		return UUID_SIZE;
	return strcspn(client_id, "-");
}

bool access_client_id_allowed(const char *client_id, const char *user)
{
	size_t size = access_client_id_owner_size(client_id);
	return size > 0 && size == strlen(user) && memcmp(client_id, user, size) == 0;
}

bool access_client_id_reserved(const char *client_id, const char *names)
{
	for (const char *name = names; *name != '\0';) {
		size_t size = strcspn(name, ",");
		if (size > 0 && strncmp(client_id, name, size) == 0) {
			char next = client_id[size];
			if (next == '\0' || next == '-' || !strchr(ID_CHARACTERS, next))
				return true;
		}
		name += size + (name[size] == ',' ? 1 : 0);
	}
	return false;
}
