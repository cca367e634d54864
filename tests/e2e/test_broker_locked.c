/*
 * test_broker_locked.c - examples/broker's plugin in a real mosquitto: handlers whose tokens are locked to topics, and last wills
 * of those whose token has ended.
 */
#include "harness.h"
#include "scripted_broker.h"
#include "token.h"
#include "token_maker.h"
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { REFUSED = MQTT_RC_NOT_AUTHORIZED, SUBSCRIPTION_REFUSED_311 = 0x80 };

/* ---- Handlers ---- */

/* Lists that end with NULL; a list that is NULL locks nothing. */
static const char *locked_token(struct harness *h, const char *const *subscribe, const char *const *publish)
{
	struct token_topics topics = {.subscribe = subscribe, .publish = publish};
	while (subscribe && subscribe[topics.subscribe_count])
		topics.subscribe_count++;
	while (publish && publish[topics.publish_count])
		topics.publish_count++;
	char *token = NULL, reason[TOKEN_REASON_SIZE] = "";
	if (token_sign_locked_handler(
		    HARNESS_SECRET, "apples", &topics, (int64_t)time(NULL), 3600, &token, reason) != 0)
		harness_fail("no token: %s", reason);
	const char *kept = harness_format(h, "%s", token);
	free(token);
	return kept;
}

static const char *const apples[] = {"+/get_apples", "7/a/#", NULL}, *const events[] = {"+/#", NULL};

static struct device *handler_with(struct harness *h, const char *token)
{
	struct device *handler = device_new_handler(h, "apples");
	handler->token = token;
	return handler;
}

HARNESS_CASE(a_locked_handler_has_its_topics_alone)
{
	static const struct {
		const char *filter;
		bool granted;
	} cases[] = {
		{"+/get_apples", true},
		{"68946/get_apples", true},
		{"$share/g/+/get_apples", true},
		{"7/a/#", true},
		{"7/a/+/b", true},
		{"7/a", true},
		{"+/get_contact_list", false},
		{"68946/get_contact_list", false},
		{"$share/g/+/get_contact_list", false},
		{"$share/get_apples", false},
		{"#", false},
		{"$share/g/#", false},
		{"+/#", false},
		{"+/+", false},
		{"7/#", false},
		{"7/+/#", false},
		{"$SYS/#", false},
	};
	const char *token = locked_token(h, apples, events);
	for (int mqtt311 = 0; mqtt311 <= 1; mqtt311++) {
		struct device *handler = handler_with(h, token);
		handler->mqtt311 = mqtt311;
		device_connect(handler);
		for (size_t i = 0; i < COUNT(cases); i++) {
			const int granted = device_subscribe(handler, cases[i].filter, 1);
			if (granted != (cases[i].granted ? 1 : mqtt311 ? SUBSCRIPTION_REFUSED_311 : REFUSED))
				harness_fail("%s: %d", cases[i].filter, granted);
		}
		assert_true(handler->connected);
		device_disconnect(handler);
	}
	broker_wait_log(h, harness_broker(h), "handler:apples (client ", 1);
	assert_true(broker_count_log(harness_broker(h), "may not subscribe to +/get_contact_list") > 0);
	struct device *quiet = handler_with(h, locked_token(h, apples + 2, apples + 2));
	device_connect(quiet);
	assert_int_equal(device_subscribe(quiet, "+/get_apples", 1), REFUSED);
	assert_int_equal(device_publish_answered(quiet, "1/got_apples", "{}"), REFUSED);
}

HARNESS_CASE(a_locked_handler_publishes_what_it_may)
{
	static const char *const told[] = {"+/got_apples", "1/a/+", NULL};
	static const struct {
		const char *topic;
		bool passes;
	} cases[] = {
		{"1/got_apples", true},
		{"68946/got_apples", true},
		{"1/a/b", true},
		{"1/got_pears", false},
		{"2/a/b", false},
		{"1/a", false},
		{"1/a/b/c", false},
		{"got_apples", false},
		{"$SYS/x", false},
	};
	struct device *handler = handler_with(h, locked_token(h, NULL, told)),
		      *all = device_new_handler(h, "all");
	device_connect(handler);
	device_connect(all);
	assert_int_equal(device_subscribe(all, "#", 1), 1);
	size_t passed = 0;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const int reason = device_publish_answered(handler, cases[i].topic, "{}");
		if (reason != (cases[i].passes ? 0 : REFUSED))
			harness_fail("%s: PUBACK 0x%02x", cases[i].topic, (unsigned)reason);
		passed += cases[i].passes;
	}
	device_barrier(handler, all, "1/a/barrier");
	assert_int_equal(all->message_count, passed + 1);
	/* Without a list for it, it subscribes as any handler. */
	assert_int_equal(device_subscribe(handler, "#", 1), 1);
}

/* Whatever is odd in a list: the token is of no use at all, so that nobody takes it for locked. */
HARNESS_CASE(odd_lists_are_refused_by_name)
{
	static const struct {
		const char *lists, *reason;
	} cases[] = {
		{"\"subscribe\":\"+/get_apples\"", "the token's handler.subscribe is not a list"},
		{"\"publish\":7", "the token's handler.publish is not a list"},
		{"\"subscribe\":[\"+/get_apples\",7]", "the token's handler.subscribe[1] is not a text"},
		{"\"subscribe\":[\"+/get_+\"]", "the token's handler.subscribe[0] is no topic filter"},
		{"\"publish\":[\"+/#/x\"]", "the token's handler.publish[0] is no topic filter"},
		{"\"subscribe\":[\"$share/g/+/x\"]", "the token's handler.subscribe[0] begins with $"},
		{"\"subscribe\":[\"+/\\u0007\"]", "the token's handler.subscribe[0] has a control character"},
		{"\"subscribe\":[\"+/\xff\"]", "the token's claims segment is not a JSON object"},
	};
	const struct maker_signer signer = {.secret = HARNESS_SECRET, .digest = EVP_sha256()};
	char *many = harness_format(h, "%s", "\"publish\":[\"a\"");
	for (int i = 0; i < 256; i++)
		many = harness_format(h, "%s,\"a\"", many);
	for (size_t i = 0; i <= COUNT(cases); i++) {
		const bool last = i == COUNT(cases);
		const char *lists = last ? harness_format(h, "%s]", many) : cases[i].lists;
		const char *reason =
			last ? "the token's handler.publish has more than 256 filters" : cases[i].reason;
		char *token = maker_token("{\"alg\":\"HS256\"}",
			harness_format(h, "{\"handler\":{\"name\":\"a\",%s},\"exp\":%lld}", lists,
				(long long)time(NULL) + 60),
			&signer);
		struct device *handler = handler_with(h, harness_format(h, "%s", token));
		free(token);
		assert_int_equal(device_try_connect(handler), REFUSED);
		if (broker_count_log(harness_broker(h), reason) != 1)
			harness_fail("the log has no line with \"%s\"", reason);
	}
}

/*
 * The session goes on with what the newest token allows: what waits for it and may not be sent any more is dropped, and so is what comes; the
 * subscription itself stays, of no use, and is of use again to a token that allows it. Also after a restart, and while nobody is there.
 */
HARNESS_CASE(a_narrower_token_narrows_the_session)
{
	static const char *const both[] = {"+/get_apples", "+/get_contact_list", NULL},
				 *const one[] = {"+/get_apples", NULL};
	const char *wide = locked_token(h, both, events), *narrow = locked_token(h, one, events);
	struct device *session = handler_with(h, wide), *phone = device_new(h, "1");
	session->keep_session = true;
	device_connect(phone);
	device_connect(session);
	assert_int_equal(device_subscribe(session, "+/get_apples", 1), 1);
	assert_int_equal(device_subscribe(session, "+/get_contact_list", 1), 1);
	device_command(phone, "get_contact_list", "{}");
	device_expect(session, "1/get_contact_list");
	/* What waits for it. */
	device_drop(session);
	broker_wait_log(h, harness_broker(h),
		harness_format(h, "Client %s closed its connection.", session->client_id), 1);
	device_command(phone, "get_contact_list", "{}");
	device_command(phone, "get_apples", "{}");
	session->token = narrow;
	device_connect(session);
	device_expect(session, "1/get_apples");
	/* What comes to it. */
	device_command(phone, "get_contact_list", "{}");
	device_command(phone, "get_apples", "{}");
	device_expect(session, "1/get_apples");
	assert_int_equal(device_subscribe(session, "+/get_contact_list", 1), REFUSED);
	assert_int_equal(device_count_on(session, "1/get_contact_list"), 1);
	/* While it is away, and after a restart. */
	device_drop(session);
	device_disconnect(phone);
	broker_stop(harness_broker(h));
	broker_start(harness_broker(h));
	device_connect(phone);
	device_command(phone, "get_contact_list", "{}");
	device_command(phone, "get_apples", "{}");
	session->token = wide;
	device_connect(session);
	device_expect(session, "1/get_apples");
	assert_int_equal(device_count_on(session, "1/get_contact_list"), 1);
	device_command(phone, "get_contact_list", "{}");
	device_expect(session, "1/get_contact_list");
}

/* A token for sessions of its own: what waits there comes, though its handler is no longer there; and no other session is taken over. */
HARNESS_CASE(a_locked_handler_has_its_sessions_alone)
{
	static const char *const one[] = {"+/get_apples", NULL}, *const own[] = {"apples"};
	const struct token_topics topics = {.subscribe = one,
		.subscribe_count = 1,
		.publish = events,
		.publish_count = 1,
		.client_ids = own,
		.client_ids_count = 1};
	char *signed_token = NULL, reason[TOKEN_REASON_SIZE] = "";
	assert_int_equal(token_sign_locked_handler(HARNESS_SECRET, "apples", &topics, (int64_t)time(NULL),
				 3600, &signed_token, reason),
		0);
	const char *token = harness_format(h, "%s", signed_token);
	free(signed_token);
	static const struct {
		const char *client_id;
		bool passes;
	} cases[] = {{"apples", true}, {"apples-slow", true}, {"apples-egress-1", true}, {"contacts", false},
		{"apples2", false}, {"apple", false}, {"contacts-apples", false}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct device *handler = handler_with(h, token);
		handler->client_id = cases[i].client_id;
		const int answer = device_try_connect(handler);
		if (answer != (cases[i].passes ? 0 : REFUSED))
			harness_fail("%s: %d", cases[i].client_id, answer);
		if (cases[i].passes)
			device_disconnect(handler);
	}
	assert_true(broker_count_log(harness_broker(h), "is for other client ids") > 0);
	struct device *session = handler_with(h, locked_token(h, NULL, events)), *phone = device_new(h, "1");
	session->client_id = "apples";
	session->keep_session = true;
	device_connect(phone);
	device_connect(session);
	assert_int_equal(device_subscribe(session, "+/get_contact_list", 1), 1);
	device_drop(session);
	broker_wait_log(h, harness_broker(h), "Client apples closed its connection.", 1);
	device_command(phone, "get_contact_list", "{}");
	session->token = token;
	device_connect(session);
	device_expect(session, "1/get_contact_list");
	assert_int_equal(device_subscribe(session, "+/get_contact_list", 1), REFUSED);
}

static bool is_gone(void *context)
{
	return !((const struct device *)context)->connected;
}

/* Then the broker looks at what the session has subscribed to, and ends what the identity may not. */
HARNESS_CASE(the_end_of_a_narrower_token_ends_what_it_does_not_allow)
{
	static const char *const both[] = {"+/get_apples", "+/get_contact_list", NULL};
	const struct token_topics one = {.subscribe = both, .subscribe_count = 1};
	const char *wide = locked_token(h, both, events);
	struct device *session = handler_with(h, wide), *phone = device_new(h, "1");
	char *brief = NULL, reason[TOKEN_REASON_SIZE];
	session->keep_session = true;
	device_connect(phone);
	device_connect(session);
	assert_int_equal(device_subscribe(session, both[0], 1), 1);
	assert_int_equal(device_subscribe(session, both[1], 1), 1);
	device_disconnect(session);
	assert_int_equal(token_sign_locked_handler(
				 HARNESS_SECRET, "apples", &one, (int64_t)time(NULL), 3, &brief, reason),
		0);
	session->token = brief;
	device_connect(session);
	harness_wait(h, is_gone, session, "the connection of the expired token to be closed");
	free(brief);
	session->token = wide;
	device_connect(session);
	device_command(phone, "get_contact_list", "{}");
	device_command(phone, "get_apples", "{}");
	device_expect(session, "1/get_apples");
	assert_int_equal(session->message_count, 1);
}

/* ---- The host's own token ---- */

struct theft {
	struct harness *h;
	const struct scripted_broker *thief;
	const char *token;
};

/* Behind the user name JWT stands the token's size, in two bytes, and the token (MQTT 5.0 section 3.1.3.6). */
static bool has_stolen(void *context)
{
	struct theft *theft = context;
	const struct scripted_link *link = scripted_newest(theft->thief);
	const uint8_t *name =
		link && link->input_size > 0 ? memmem(link->input, link->input_size, "\x03JWT", 4) : NULL;
	const size_t left = name ? link->input_size - (size_t)(name + 4 - link->input) : 0;
	const size_t size = left >= 2 ? (size_t)name[4] << 8 | name[5] : 0;
	if (size == 0 || left < 2 + size)
		return false;
	theft->token = harness_format(theft->h, "%.*s", (int)size, (const char *)name + 6);
	return true;
}

/* The token that a host with these handlers shows to whoever stands in its broker's place. */
static const char *stolen_token(struct harness *h, const char *handlers)
{
	struct scripted_broker *thief = scripted_new(h);
	struct theft theft = {.h = h, .thief = thief};
	harness_database(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_raw(thief);
	scripted_use(host, thief);
	host_set(host, "HANDLERS", handlers);
	host_start(host);
	harness_wait(h, has_stolen, &theft, "the host to show its token");
	host_kill(host);
	return theft.token;
}

HARNESS_CASE(the_stolen_token_of_a_host_reads_no_contacts)
{
	struct device *thief = handler_with(h, stolen_token(h, "get_apples")),
		      *phone = device_new(h, "68946");
	assert_int_equal(device_try_connect(thief), REFUSED);
	thief->client_id = "cashewd-stolen"; /* as a lane of that host's */
	device_connect(thief);
	device_connect(phone);
	static const char *const filters[] = {
		"#", "+/#", "+/+", "+/get_contact_list", "+/contact_list", "68946/#", "+/get_more_apples"};
	for (size_t i = 0; i < COUNT(filters); i++)
		if (device_subscribe(thief, filters[i], 1) != REFUSED)
			harness_fail("the stolen token may subscribe to %s", filters[i]);
	assert_int_equal(device_subscribe(thief, "+/get_apples", 1), 1);
	device_command(phone, "get_contact_list", "{}");
	device_command(phone, "get_apples", "{}");
	device_expect(thief, "68946/get_apples");
	assert_int_equal(thief->message_count, 1);
}

/* Nothing that a host does is missing in its token: its handlers' commands, events, and answers to a Response Topic of many levels. */
HARNESS_CASE(a_host_works_with_its_locked_token)
{
	struct host *host = harness_host(h);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "get_apples", "{}");
	device_expect(phone, "got_apples");
	device_command(phone, "get_contact_list", "{}");
	device_expect(phone, "contact_list");
	device_command(phone, "ping", "{");
	device_expect(phone, "command_rejected");
	const struct device_publish_options options = {
		.payload = "{}", .payload_size = 2, .qos = 1, .response_topic = "68946/replies/of/17"};
	device_publish_with(phone, "get_apples", &options);
	device_expect(phone, "68946/replies/of/17");
	assert_int_equal(host_count_log(host, "subscription_refused"), 0);
	assert_int_equal(host_count_log(host, "event_refused"), 0);
	assert_int_equal(host_count_log(host, "token_not_locked"), 0);
	assert_true(broker_count_log(harness_broker(h), " publish 3:+/#") > 0);
}

/* ---- After a token's end ---- */

struct mortal {
	struct mosquitto *mosquitto;
	int connack;
	bool gone;
};

static void mortal_connected(
	struct mosquitto *m, void *context, int reason, int flags, const mosquitto_property *p)
{
	(void)m, (void)flags, (void)p;
	((struct mortal *)context)->connack = reason;
}

static void mortal_gone(struct mosquitto *m, void *context, int reason, const mosquitto_property *p)
{
	(void)m, (void)reason, (void)p;
	((struct mortal *)context)->gone = true;
}

/* A user's connection with a last will on {user}/gone, and a token of that many seconds. */
static void mortal_connect(
	struct harness *h, struct mortal *mortal, const char *user, int64_t lifetime_s, uint32_t delay_s)
{
	struct broker *broker = harness_broker(h);
	char *token = NULL;
	mosquitto_property *will = NULL, *properties = NULL;
	*mortal = (struct mortal){.connack = -1};
	mortal->mosquitto = mosquitto_new(harness_format(h, "%s/mortal", user), true, mortal);
	mosquitto_connect_v5_callback_set(mortal->mosquitto, mortal_connected);
	mosquitto_disconnect_v5_callback_set(mortal->mosquitto, mortal_gone);
	assert_int_equal(token_sign_user(HARNESS_SECRET, user, (int64_t)time(NULL), lifetime_s, &token), 0);
	assert_int_equal(mosquitto_property_add_int32(&will, MQTT_PROP_WILL_DELAY_INTERVAL, delay_s), 0);
	assert_int_equal(
		mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 600), 0);
	assert_int_equal(
		mosquitto_int_option(mortal->mosquitto, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5), 0);
	assert_int_equal(
		mosquitto_tls_set(mortal->mosquitto, broker_ca_file(broker), NULL, NULL, NULL, NULL), 0);
	assert_int_equal(mosquitto_username_pw_set(mortal->mosquitto, "JWT", token), 0);
	assert_int_equal(mosquitto_will_set_v5(mortal->mosquitto, harness_format(h, "%s/gone", user), 4,
				 "will", 1, false, delay_s > 0 ? will : NULL),
		0);
	assert_int_equal(mosquitto_connect_bind_v5(mortal->mosquitto, "localhost", (int)broker_port(broker),
				 60, NULL, properties),
		0);
	free(token);
	mosquitto_property_free_all(&properties);
	if (delay_s == 0)
		mosquitto_property_free_all(&will);
	while (mortal->connack < 0 && mosquitto_loop(mortal->mosquitto, 1000, 1) == MOSQ_ERR_SUCCESS) {
	}
	assert_int_equal(mortal->connack, 0);
}

/* Its connection is lost. */
static void mortal_drop(struct harness *h, struct mortal *mortal, const char *user)
{
	shutdown(mosquitto_socket(mortal->mosquitto), SHUT_RDWR);
	mosquitto_destroy(mortal->mosquitto);
	broker_wait_log(h, harness_broker(h),
		harness_format(h, "cashew plugin: client %s/mortal has disconnected", user), 1);
}

/*
 * Wills that are due before the token's end come, those that are due behind it do not: where it is the end itself that closes the connection, and where
 * the connection was lost before and the will is delayed beyond it. The last user's will comes behind all of them.
 */
HARNESS_CASE(no_will_is_delivered_after_its_tokens_end)
{
	enum { LIFETIME_S = 6, LATE_S = 9, LAST_S = 11 };
	struct device *observer = device_new_handler(h, "observer");
	struct mortal in_time, delayed_in_time, late, closed, closed_delayed, last;
	device_connect(observer);
	assert_int_equal(device_subscribe(observer, "+/gone", 1), 1);
	mortal_connect(h, &last, "last", 3600, LAST_S);
	mortal_connect(h, &delayed_in_time, "delayed", 3600, 2);
	mortal_connect(h, &in_time, "in_time", LIFETIME_S, 0);
	mortal_connect(h, &late, "late", LIFETIME_S, LATE_S);
	mortal_connect(h, &closed, "closed", LIFETIME_S, 0);
	mortal_connect(h, &closed_delayed, "closed_delayed", LIFETIME_S, 1);
	mortal_drop(h, &last, "last");
	mortal_drop(h, &in_time, "in_time");
	mortal_drop(h, &delayed_in_time, "delayed");
	mortal_drop(h, &late, "late");
	device_expect(observer, "in_time/gone");
	device_expect(observer, "delayed/gone");
	while (!closed.gone || !closed_delayed.gone) {
		(void)mosquitto_loop(closed.mosquitto, 100, 1);
		(void)mosquitto_loop(closed_delayed.mosquitto, 100, 1);
	}
	mosquitto_destroy(closed.mosquitto);
	mosquitto_destroy(closed_delayed.mosquitto);
	device_expect(observer, "last/gone");
	for (size_t i = 0; i < observer->message_count; i++)
		if (strstr(observer->messages[i].topic, "late/") ||
			strstr(observer->messages[i].topic, "closed"))
			harness_fail("a will came after its token's end: %s", observer->messages[i].topic);
	assert_int_equal(observer->message_count, 3);
}

HARNESS_MAIN(HARNESS_TEST(a_locked_handler_has_its_topics_alone),
	HARNESS_TEST(a_locked_handler_publishes_what_it_may), HARNESS_TEST(odd_lists_are_refused_by_name),
	HARNESS_TEST(a_narrower_token_narrows_the_session),
	HARNESS_TEST(a_locked_handler_has_its_sessions_alone),
	HARNESS_TEST(the_end_of_a_narrower_token_ends_what_it_does_not_allow),
	HARNESS_TEST(the_stolen_token_of_a_host_reads_no_contacts),
	HARNESS_TEST(a_host_works_with_its_locked_token),
	HARNESS_TEST(no_will_is_delivered_after_its_tokens_end))
