/*
 * access.c - who may do what at the broker: see access.h.
 *
 * A device's world is what lies below its user id. A handler's is what lies below any user id. Nobody's are
 * the topics that begin with $ and those of a single level: nothing that is published there reaches anyone.
 */
#include "access.h"
#include "topic.h"

#include <string.h>

#define ID_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._|-"

enum { COMMAND_MAX = 64, UUID_SIZE = 36 };

static bool begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

const char *access_user(const char *identity)
{
	return identity && begins_with(identity, ACCESS_USER) ? identity + strlen(ACCESS_USER) : NULL;
}

bool access_is_handler(const char *identity)
{
	return identity && begins_with(identity, ACCESS_HANDLER);
}

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

bool access_receive(const char *identity, const char *topic)
{
	const char *user = access_user(identity);
	if (user)
		return below_user(topic, user);
	return access_is_handler(identity) && topic_user_size(topic) > 0;
}

bool access_publish(const char *identity, const char *topic)
{
	return access_receive(identity, topic) || (access_user(identity) && access_topic_bare(topic));
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

bool access_subscribe(const char *identity, const char *filter)
{
	const char *plain = filter_unshared(filter);
	if (!plain)
		return false;
	const char *user = access_user(identity);
	if (user)
		return below_user(plain, user);
	if (!access_is_handler(identity))
		return false;
	return strcmp(plain, "#") == 0 || (begins_with(plain, "+/") && plain[2] != '\0') ||
	       topic_user_size(plain) > 0;
}

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
