/*
 * fuzz_topic.c - topics and filters (runtime/base/topic.c), beside what libmosquitto says of the same texts. Input: two filters and a topic, a line
 * each.
 */
#include "fuzz.h"
#include "topic.h"

#include <mosquitto.h>

enum { MOSQUITTO_SLASHES_MAX = 199 }; /* with more it refuses a topic, which the standard does not */

static size_t slashes(const char *text)
{
	size_t count = 0;
	for (; *text; text++)
		count += *text == '/';
	return count;
}

/* Whether libmosquitto can be asked of it, and has an answer that means the same: it takes an empty one, which is none ([MQTT-4.7.3-1]). */
static bool comparable(const char *filter)
{
	return filter[0] != '\0' && !topic_filter_shared(filter) && slashes(filter) <= MOSQUITTO_SLASHES_MAX;
}

static void check_filter(const char *filter)
{
	if (comparable(filter))
		FUZZ_NEED(topic_filter_valid(filter) ==
			  (mosquitto_sub_topic_check(filter) == MOSQ_ERR_SUCCESS));
	if (topic_filter_shared(filter))
		FUZZ_NEED(!topic_filter_valid(filter));
	const size_t size = topic_user_size(filter);
	if (size > 0)
		FUZZ_NEED(size <= USER_ID_MAX && filter[size] == '/' && filter[size + 1] != '\0' &&
			  topic_user_valid(filter, size));
	if (topic_user_valid(filter, strlen(filter)))
		FUZZ_NEED(topic_user_characters(filter) && !strpbrk(filter, "/+#$ "));
	if (topic_event_valid(filter))
		FUZZ_NEED(mosquitto_pub_topic_check(filter) == MOSQ_ERR_SUCCESS && strlen(filter) <= 64);
}

static bool is_topic(const char *topic)
{
	return topic[0] != '\0' && slashes(topic) <= MOSQUITTO_SLASHES_MAX &&
	       mosquitto_pub_topic_check(topic) == MOSQ_ERR_SUCCESS;
}

static void check_match(const char *filter, const char *topic)
{
	bool matches = false;
	FUZZ_NEED(mosquitto_topic_matches_sub(filter, topic, &matches) == MOSQ_ERR_SUCCESS);
	FUZZ_NEED(topic_matches(filter, topic) == matches);
	/* A topic is a filter that matches itself alone. */
	FUZZ_NEED(topic_filters_overlap(filter, topic) == matches);
}

/* A topic that both match, from the levels of both, where they overlap. Without one of them it would be no overlap. */
static void check_overlap(const char *a, const char *b)
{
	const bool overlap = topic_filters_overlap(a, b);
	FUZZ_NEED(overlap == topic_filters_overlap(b, a));
	FUZZ_NEED(topic_filters_overlap(a, a));
	if (!overlap)
		return;
	char *witness = malloc(strlen(a) + strlen(b) + 3), *to = witness;
	FUZZ_NEED(witness);
	bool ends = false;
	for (const char *x = a, *y = b; !ends;) {
		const char *level = x && x[0] != '+' && x[0] != '#'   ? x
				    : y && y[0] != '+' && y[0] != '#' ? y
								      : "w";
		const bool x_goes_on = x && x[0] != '#', y_goes_on = y && y[0] != '#';
		if (!x_goes_on && !y_goes_on && to != witness) {
			to--; /* "a/#" matches "a" too */
			break;
		}
		const size_t size = strcspn(level, "/");
		memcpy(to, level, size);
		to += size;
		x = x_goes_on && x[strcspn(x, "/")] == '/' ? x + strcspn(x, "/") + 1 : x_goes_on ? NULL : x;
		y = y_goes_on && y[strcspn(y, "/")] == '/' ? y + strcspn(y, "/") + 1 : y_goes_on ? NULL : y;
		ends = (!x || x[0] == '#') && (!y || y[0] == '#');
		if (!ends)
			*to++ = '/';
	}
	*to = '\0';
	if (is_topic(witness))
		FUZZ_NEED(topic_matches(a, witness) && topic_matches(b, witness));
	free(witness);
}

static void check_response(const char *topic, const char *user)
{
	if (topic_user_valid(user, strlen(user)) && topic_response_allowed(topic, user))
		FUZZ_NEED(topic_user_size(topic) == strlen(user) && memcmp(topic, user, strlen(user)) == 0 &&
			  (slashes(topic) > MOSQUITTO_SLASHES_MAX ||
				  mosquitto_pub_topic_check(topic) == MOSQ_ERR_SUCCESS));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *a = fuzz_line(&bytes, &size), *b = fuzz_line(&bytes, &size), *topic = fuzz_text(bytes, size);
	const char *const filters[] = {a, b};
	check_filter(topic);
	for (size_t i = 0; i < 2; i++) {
		check_filter(filters[i]);
		check_response(topic, filters[i]);
		if (topic_filter_valid(filters[i]) && comparable(filters[i]) && is_topic(topic))
			check_match(filters[i], topic);
	}
	if (topic_filter_valid(a) && topic_filter_valid(b)) {
		check_overlap(a, b);
		if (topic[0] != '\0' && topic_matches(a, topic) && topic_matches(b, topic) && is_topic(topic))
			FUZZ_NEED(topic_filters_overlap(a, b));
	}
	free(a);
	free(b);
	free(topic);
	return 0;
}
