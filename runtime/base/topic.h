/*
 * topic.h - topics and topic filters (MQTT 5.0 section 4.7) as far as the host looks into them: user ids,
 * command names, overlaps. Pure functions, any thread.
 */
#ifndef TOPIC_H
#define TOPIC_H

#include <stdbool.h>
#include <stddef.h>

enum { USER_ID_MAX = 64 };

/* Whether text has only characters that a user id may have: A-Z a-z 0-9 . _ | - */
bool topic_user_characters(const char *text);

/* Whether the bytes are a user id: 1 to USER_ID_MAX of these characters. */
bool topic_user_valid(const char *user, size_t size);

/* Whether text is an event's name: 1 to 64 of a-z 0-9 _ */
bool topic_event_valid(const char *event);

/* The size in bytes of the topic's first level, or 0 if it is no valid user id or nothing follows it. */
size_t topic_user_size(const char *topic);

/* Whether the filter is well-formed: levels separated by /, + alone in a level, # alone in the last; and no shared subscription. */
bool topic_filter_valid(const char *filter);

/* Whether the filter is one of a shared subscription: "$share/{group}/{filter}" (MQTT 5.0 section 4.8.2). */
bool topic_filter_shared(const char *filter);

/* Whether the filter matches the topic. Topics that begin with $ are not matched by a leading wildcard. */
bool topic_matches(const char *filter, const char *topic);

/* Whether some topic is matched by both filters. */
bool topic_filters_overlap(const char *a, const char *b);

/* Whether a Response Topic may be used for a command of that user: a valid topic name below "{user}/". */
bool topic_response_allowed(const char *response_topic, const char *user);

#endif
