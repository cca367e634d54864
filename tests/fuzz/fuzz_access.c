/*
 * fuzz_access.c - who may do what at the broker (examples/broker/access.c, rules.c). Input, a line each: a user id or a handler's name, a topic, a
 * filter, a client id, and the rest is a list of client ids that are kept for handlers.
 *
 * What must hold: a device is told nothing, and says nothing, outside of what lies below its user id, by whichever filter; a client id has one
 * owner.
 */
#include "access.h"
#include "fuzz.h"
#include "rules.h"
#include "topic.h"

#include <mosquitto.h>

struct input {
	char *name, *topic, *filter, *client_id, *names;
};

static char *joined(const char *a, const char *b, const char *c)
{
	char *text = NULL;
	FUZZ_NEED(asprintf(&text, "%s%s%s", a, b, c) >= 0);
	return text;
}

static bool below(const char *topic, const char *user)
{
	const size_t size = strlen(user);
	return size > 0 && strncmp(topic, user, size) == 0 && topic[size] == '/' && topic[size + 1] != '\0';
}

/* Whether it is no other user's: "a/#" also matches "a" and "a/", which nobody may publish to. */
static bool within(const char *topic, const char *user)
{
	const size_t size = strlen(user);
	return strncmp(topic, user, size) == 0 && (topic[size] == '/' || topic[size] == '\0');
}

/* The filter as the broker matches it: without $share/{group}/. */
static const char *plain(const char *filter)
{
	if (strncmp(filter, "$share/", 7) != 0)
		return filter;
	const char *end = strchr(filter + 7, '/');
	return end ? end + 1 : "";
}

static void check_user(const struct input *input, const char *identity)
{
	struct access access;
	const size_t size = strcspn(input->name, " ");
	FUZZ_NEED(access_read(identity, &access) == topic_user_valid(input->name, size));
	const char *user = access_user(&access), *topic = input->topic;
	if (!user)
		return;
	FUZZ_NEED(strlen(user) == size && strncmp(user, input->name, size) == 0);
	FUZZ_NEED(access_receive(&access, topic) == below(topic, user));
	FUZZ_NEED(access_publish(&access, topic) == (below(topic, user) || access_topic_bare(topic)));
	if (access_subscribe(&access, input->filter))
		FUZZ_NEED(below(plain(input->filter), user));
	bool matches = false;
	if (access_subscribe(&access, input->filter) &&
		mosquitto_sub_topic_check(plain(input->filter)) == MOSQ_ERR_SUCCESS &&
		mosquitto_pub_topic_check(topic) == MOSQ_ERR_SUCCESS &&
		mosquitto_topic_matches_sub(plain(input->filter), topic, &matches) == MOSQ_ERR_SUCCESS &&
		matches)
		FUZZ_NEED(within(topic, user));
	if (access_topic_bare(topic)) {
		char *rewritten = joined(user, "/", topic);
		FUZZ_NEED(access_publish(&access, rewritten));
		free(rewritten);
	}
}

/* What follows the name may lock a handler to topics: it can then do less, never more. */
static void check_handler(const struct input *input, const char *identity)
{
	struct access access;
	if (!access_read(identity, &access))
		return;
	FUZZ_NEED(access.is_handler && !access_user(&access));
	const bool any = topic_user_size(input->topic) > 0;
	if (token_filters_of(access.filters, TOKEN_FILTERS_CLIENT_IDS))
		FUZZ_NEED(access_receive(&access, input->topic) == any);
	FUZZ_NEED(any || !access_receive(&access, input->topic));
	FUZZ_NEED(any || !access_publish(&access, input->topic));
	if (!access.filters)
		FUZZ_NEED(access_receive(&access, input->topic) == any &&
			  access_publish(&access, input->topic) == any);
	if (access_subscribe(&access, input->filter))
		FUZZ_NEED(plain(input->filter)[0] != '$' && plain(input->filter)[0] != '\0');
}

/* Whoever is neither may do nothing. */
static void check_nobody(const struct input *input)
{
	const char *const identities[] = {input->name, NULL};
	for (size_t i = 0; i < 2; i++) {
		struct access access;
		if (access_read(identities[i], &access))
			continue;
		FUZZ_NEED(!access_user(&access) && !access.is_handler);
		FUZZ_NEED(!access_publish(&access, input->topic) && !access_receive(&access, input->topic) &&
			  !access_subscribe(&access, input->filter));
	}
}

static void check_client_id(const struct input *input)
{
	const char *id = input->client_id, *user = input->name;
	const size_t owner = access_client_id_owner_size(id);
	FUZZ_NEED(owner <= strlen(id));
	if (owner > 0 && owner <= USER_ID_MAX)
		FUZZ_NEED(topic_user_valid(id, owner));
	FUZZ_NEED(access_client_id_allowed(id, user) ==
		  (owner > 0 && owner == strlen(user) && memcmp(id, user, owner) == 0));
	if (!topic_user_valid(user, strlen(user)))
		return;
	static const char *const joints[] = {"/", ":", " ", "/-"};
	for (size_t i = 0; i < sizeof(joints) / sizeof(joints[0]); i++) {
		char *own = joined(user, joints[i], id);
		FUZZ_NEED(access_client_id_allowed(own, user));
		free(own);
	}
}

static void tell(enum keys_level level, const char *text)
{
	(void)level;
	fuzz_need_reason(text, 512);
}

/* The names as the plugin takes them from its options. */
static void check_reserved(const struct input *input)
{
	char *names = NULL;
	const int error = rules_names("handler_client_ids", input->names, &names, tell);
	FUZZ_NEED(error == 0 || (error == RULES_E_UNUSABLE && !names));
	if (error != 0)
		return;
	bool begins = false;
	for (const char *at = names;;) {
		const size_t size = strcspn(at, ",");
		FUZZ_NEED(topic_user_valid(at, size));
		begins = begins || strncmp(input->client_id, at, size) == 0;
		char *name = strndup(at, size), *slash = joined(name, "/", input->topic),
		     *dash = joined(name, "-", "2");
		FUZZ_NEED(access_client_id_reserved(name, names) && access_client_id_reserved(slash, names) &&
			  access_client_id_reserved(dash, names));
		free(name);
		free(slash);
		free(dash);
		if (at[size] == '\0')
			break;
		at += size + 1;
	}
	if (!begins)
		FUZZ_NEED(!access_client_id_reserved(input->client_id, names));
	free(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {.name = fuzz_line(&bytes, &size)};
	input.topic = fuzz_line(&bytes, &size);
	input.filter = fuzz_line(&bytes, &size);
	input.client_id = fuzz_line(&bytes, &size);
	input.names = fuzz_text(bytes, size);
	char *user = joined(ACCESS_USER, input.name, ""), *handler = joined(ACCESS_HANDLER, input.name, "");
	check_user(&input, user);
	check_handler(&input, handler);
	check_nobody(&input);
	check_client_id(&input);
	check_reserved(&input);
	char *const texts[] = {
		user, handler, input.name, input.topic, input.filter, input.client_id, input.names};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	return 0;
}
