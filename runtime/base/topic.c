/*
 * topic.c - topics and topic filters: see topic.h.
 *
 * Filters and topics are walked level by level where they stand; nothing is copied and nothing can fail.
 */
#include "topic.h"

#include <string.h>

enum { TOPIC_SIZE_MAX = 65535, EVENT_NAME_MAX = 64 };

static bool is_user_character(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
	       c == '_' || c == '|' || c == '-';
}

bool topic_user_characters(const char *text)
{
	while (*text && is_user_character((unsigned char)*text))
		text++;
	return !*text;
}

bool topic_user_valid(const char *user, size_t size)
{
	if (size < 1 || size > USER_ID_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		if (!is_user_character((unsigned char)user[i]))
			return false;
	return true;
}

bool topic_event_valid(const char *event)
{
	size_t size = 0;
	for (; event[size]; size++) {
		const char c = event[size];
		if (size >= EVENT_NAME_MAX || !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return size > 0;
}

static size_t level_size(const char *level)
{
	return strcspn(level, "/");
}

size_t topic_user_size(const char *topic)
{
	const size_t size = level_size(topic);
	if (topic[size] != '/' || topic[size + 1] == '\0' || !topic_user_valid(topic, size))
		return 0;
	return size;
}

bool topic_filter_shared(const char *filter)
{
	static const char level[] = "$share";
	return level_size(filter) == sizeof(level) - 1 && strncmp(filter, level, sizeof(level) - 1) == 0;
}

bool topic_filter_valid(const char *filter)
{
	const size_t total = strlen(filter);
	if (total < 1 || total > TOPIC_SIZE_MAX || topic_filter_shared(filter))
		return false;
	for (const char *level = filter;;) {
		const size_t size = level_size(level);
		const char *wildcard = strpbrk(level, "+#");
		if (wildcard && wildcard < level + size && size != 1)
			return false;
		if (level[0] == '#' && level[size] == '/')
			return false;
		if (level[size] == '\0')
			return true;
		level += size + 1;
	}
}

static bool is_wildcard(const char *level)
{
	return level[0] == '+' || level[0] == '#';
}

/*
 * Both are well-formed filters; a topic name is a filter without wildcards. NULL stands for "no further
 * level": "a/#" matches "a" too, the parent level (MQTT 5.0, 4.7.1.2).
 */
static bool levels_overlap(const char *a, const char *b)
{
	while (a && b) {
		if (a[0] == '#' || b[0] == '#')
			return true;
		const size_t a_size = level_size(a), b_size = level_size(b);
		const bool same = a_size == b_size && memcmp(a, b, a_size) == 0;
		if (!same && a[0] != '+' && b[0] != '+')
			return false;
		a = a[a_size] == '/' ? a + a_size + 1 : NULL;
		b = b[b_size] == '/' ? b + b_size + 1 : NULL;
	}
	const char *rest = a ? a : b;
	return !rest || rest[0] == '#';
}

bool topic_filters_overlap(const char *a, const char *b)
{
	/* a leading wildcard does not match what begins with $ (MQTT 5.0, 4.7.2) */
	if ((a[0] == '$' && is_wildcard(b)) || (b[0] == '$' && is_wildcard(a)))
		return false;
	return levels_overlap(a, b);
}

bool topic_matches(const char *filter, const char *topic)
{
	return topic[0] != '\0' && topic_filters_overlap(filter, topic);
}

bool topic_response_allowed(const char *response_topic, const char *user)
{
	const size_t size = strlen(user);
	return strlen(response_topic) <= TOPIC_SIZE_MAX && strncmp(response_topic, user, size) == 0 &&
	       response_topic[size] == '/' && response_topic[size + 1] != '\0' &&
	       !strpbrk(response_topic, "+#");
}
