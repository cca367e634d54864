/*
 * test_broker_plugin.c - examples/broker's plugin in a real mosquitto, over TLS: who gets in, as whom, and
 * what they may do.
 */
#include "harness.h"
#include "port.h"
#include "process.h"
#include "token.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UUID	     "550e8400-e29b-41d4-a716-446655440000"
#define SIXTY_FOUR   "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_abcdefghij"

enum { REFUSED = MQTT_RC_NOT_AUTHORIZED, REFUSED_311 = 5, SUBSCRIPTION_REFUSED_311 = 0x80 };

/* ---- Tokens, handlers, logs ---- */

static char *user_token(
	struct harness *h, const char *secret, const char *user, int64_t age_s, int64_t lifetime_s)
{
	char *token = NULL;
	if (token_sign_user(secret, user, (int64_t)time(NULL) - age_s, lifetime_s, &token) != 0)
		harness_fail("no token for user %s", user);
	char *kept = harness_format(h, "%s", token);
	free(token);
	return kept;
}

static char *handler_token(struct harness *h, const char *name)
{
	char *token = NULL;
	if (token_sign_handler(HARNESS_SECRET, name, (int64_t)time(NULL), 3600, &token) != 0)
		harness_fail("no token for handler %s", name);
	char *kept = harness_format(h, "%s", token);
	free(token);
	return kept;
}

/* A client with a handler's token, which subscribes to nothing by itself. */
static struct device *handler_new(struct harness *h, const char *name)
{
	static unsigned number;
	struct device *handler = device_new(h, name);
	handler->token = handler_token(h, name);
	handler->client_id = harness_format(h, "%s-%u", name, ++number);
	handler->quiet = true;
	return handler;
}

/* A connected one that is sent everything below all user ids. */
static struct device *observer_new(struct harness *h)
{
	struct device *observer = handler_new(h, "observer");
	device_connect(observer);
	assert_int_equal(device_subscribe(observer, "#", 2), 2);
	return observer;
}

static size_t publish(struct device *device, const char *topic, const char *payload, int qos, bool retain)
{
	const struct device_publish_options options = {.topic = topic,
		.payload = payload,
		.payload_size = strlen(payload),
		.qos = qos,
		.retain = retain};
	return device_publish_with(device, NULL, &options);
}

static int publish_answered(struct device *device, const char *topic, const char *payload)
{
	return device_wait_puback(device, publish(device, topic, payload, 1, false));
}

/* What came on a topic, which may have a single level. */
static size_t count_on(const struct device *device, const char *topic)
{
	size_t count = 0;
	for (size_t i = 0; i < device->message_count; i++)
		count += strcmp(device->messages[i].topic, topic) == 0;
	return count;
}

/*
 * Everything that was sent to the receiver before has come when this comes: the broker is one thread, and
 * what it sends to a client stays in order.
 */
static void barrier(struct device *sender, struct device *receiver, const char *topic)
{
	assert_in_range(publish_answered(sender, topic, "barrier"), 0, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
	device_expect(receiver, topic);
}

/* Of the case's only broker. */
static char *broker_file(struct harness *h, const char *name)
{
	glob_t found;
	if (glob(harness_format(h, "%s/broker-*/%s", harness_folder(h), name), 0, NULL, &found) != 0 ||
		found.gl_pathc != 1)
		harness_fail("the broker has no file %s, or there is more than one broker", name);
	char *path = harness_format(h, "%s", found.gl_pathv[0]);
	globfree(&found);
	return path;
}

static bool file_holds(const char *path, const char *text)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		harness_fail("%s: %s", path, strerror(errno));
	char *line = NULL;
	size_t room = 0;
	bool found = false;
	while (!found && getline(&line, &room, file) >= 0)
		found = strstr(line, text) != NULL;
	free(line);
	fclose(file);
	return found;
}

struct log_wait {
	const char *path, *text;
};

static bool log_holds(void *context)
{
	const struct log_wait *wait = context;
	return file_holds(wait->path, wait->text);
}

static void expect_log(struct harness *h, const char *text)
{
	struct log_wait wait = {.path = broker_file(h, "mosquitto.log"), .text = text};
	harness_wait(h, log_holds, &wait, "\"%s\" in the broker's log", text);
}

/* ---- Visitors: clients of any kind, to see whether they are let in ---- */

struct visitor {
	const char *username, *password, *client_id; /* NULL: none */
	bool mqtt311;
	const char *auth_method; /* MQTT 5's enhanced authentication; NULL: none */
	const char *will_topic;	 /* NULL: no will */
	bool will_retain;
};

static void visitor_connected(
	struct mosquitto *m, void *context, int reason, int flags, const mosquitto_property *p)
{
	int *connack = context;
	(void)m;
	(void)flags;
	(void)p;
	*connack = reason;
}

/* Connects and waits for the CONNACK, or for the connection's end: -1 then. */
static struct mosquitto *visitor_connect(struct harness *h, const struct visitor *visitor, int *ret_connack)
{
	static int connack;
	struct broker *broker = harness_broker(h);
	struct mosquitto *m = mosquitto_new(visitor->client_id, true, &connack);
	assert_non_null(m);
	mosquitto_connect_v5_callback_set(m, visitor_connected);
	mosquitto_property *properties = NULL;
	bool made = mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION,
			    visitor->mqtt311 ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5) == 0 &&
		    mosquitto_tls_set(m, broker_ca_file(broker), NULL, NULL, NULL, NULL) == 0 &&
		    mosquitto_username_pw_set(m, visitor->username, visitor->password) == 0;
	if (made && visitor->auth_method != NULL)
		made = mosquitto_property_add_string(
			       &properties, MQTT_PROP_AUTHENTICATION_METHOD, visitor->auth_method) == 0;
	if (made && visitor->will_topic != NULL)
		made = mosquitto_will_set(m, visitor->will_topic, 4, "will", 1, visitor->will_retain) == 0;
	connack = -1;
	if (!made || mosquitto_connect_bind_v5(
			     m, "localhost", (int)broker_port(broker), 60, NULL, properties) != 0)
		harness_fail("no connection to the broker");
	mosquitto_property_free_all(&properties);
	while (connack < 0 && mosquitto_loop(m, 1000, 1) == MOSQ_ERR_SUCCESS) {
	}
	*ret_connack = connack;
	return m;
}

static int visit(struct harness *h, const struct visitor *visitor)
{
	int connack;
	mosquitto_destroy(visitor_connect(h, visitor, &connack));
	return connack;
}

/* ---- Who gets in ---- */

HARNESS_CASE(only_jwt_and_a_valid_token_get_in)
{
	const char *valid = user_token(h, HARNESS_SECRET, "68946", 0, 3600);
	const char *expired = user_token(h, HARNESS_SECRET, "68946", 7200, 3600);
	const char *foreign = user_token(h, "another secret, which is long enough too", "68946", 0, 3600);
	char *changed = harness_format(h, "%s", valid);
	changed[60] = changed[60] == 'A' ? 'B' : 'A';
	char *huge = harness_format(h, "%060000d", 0);
	const struct {
		const char *name, *username, *password;
		bool in;
	} cases[] = {
		{"a user", "JWT", valid, true},
		{"a handler", "JWT", handler_token(h, "cashewd"), true},
		{"neither user name nor password", NULL, NULL, false},
		{"no password", "JWT", NULL, false},
		{"an empty password", "JWT", "", false},
		{"another user name", "jwt", valid, false},
		{"an empty user name", "", valid, false},
		{"the user id as the user name", "68946", valid, false},
		{"an identity as the user name", "user:68946", valid, false},
		{"a handler's identity as the user name", "handler:cashewd", valid, false},
		{"an identity and no password", "handler:cashewd", NULL, false},
		{"the token as the user name", valid, valid, false},
		{"an expired token", "JWT", expired, false},
		{"a token of another secret", "JWT", foreign, false},
		{"a changed token", "JWT", changed, false},
		{"a cut token", "JWT", harness_format(h, "%.*s", (int)strlen(valid) - 1, valid), false},
		{"a token and a space", "JWT", harness_format(h, "%s ", valid), false},
		{"alg none", "JWT", "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoiNjg5NDYifQ.", false},
		{"the secret itself", "JWT", HARNESS_SECRET, false},
		{"60,000 bytes", "JWT", huge, false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		for (int mqtt311 = 0; mqtt311 <= 1; mqtt311++) {
			const struct visitor visitor = {.username = cases[i].username,
				.password = cases[i].password,
				.client_id = "68946",
				.mqtt311 = mqtt311};
			const int connack = visit(h, &visitor);
			/* MQTT 3.1.1 forbids a password without a user name, and a broker may just close
			 * then. */
			if (connack != (cases[i].in ? 0 : mqtt311 ? REFUSED_311 : REFUSED))
				harness_fail("%s: CONNACK %d", cases[i].name, connack);
		}
	}
	const char *log = broker_file(h, "mosquitto.log");
	expect_log(h, "refused client 68946 from 127.0.0.1: the token has expired");
	const char *const secrets[] = {HARNESS_SECRET, strrchr(valid, '.') + 1, strrchr(expired, '.') + 1,
		strrchr(foreign, '.') + 1, strrchr(changed, '.') + 1, "0000000000000000"};
	for (size_t i = 0; i < COUNT(secrets); i++)
		assert_false(file_holds(log, secrets[i]));
}

/* {"user_id":"7"} signed with HARNESS_SECRET: without exp, as cashew-token makes none. */
#define UNEXPIRING "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiNyJ9.LAX6nehboE0MPvNu3yMplHt9_ELadsPkCZQNZ1tvkC0"

HARNESS_CASE(unexpiring_tokens_get_in_where_the_broker_says_so)
{
	const struct visitor visitor = {.username = "JWT", .password = UNEXPIRING, .client_id = "7"};
	const struct broker_options options = {.extra = "plugin_opt_allow_unexpiring_tokens on\n"};
	harness_broker_with(h, &options);
	assert_int_equal(visit(h, &visitor), 0);
	expect_log(h, "tokens without exp are accepted");
	struct device *device = device_new(h, "7"), *observer = observer_new(h);
	device->token = UNEXPIRING;
	device_connect(device);
	barrier(observer, device, "7/barrier");
}

HARNESS_CASE(unexpiring_tokens_are_refused_and_the_log_says_what_would_let_them_in)
{
	const struct visitor visitor = {.username = "JWT", .password = UNEXPIRING, .client_id = "7"};
	assert_int_equal(visit(h, &visitor), REFUSED);
	expect_log(h, "unless the broker says plugin_opt_allow_unexpiring_tokens on");
}

HARNESS_CASE(enhanced_authentication_is_no_way_in)
{
	const char *valid = user_token(h, HARNESS_SECRET, "68946", 0, 3600);
	const struct visitor visitors[] = {
		{.username = "JWT", .password = valid, .client_id = "68946", .auth_method = "JWT"},
		{.username = "user:68946", .client_id = "68946", .auth_method = "SCRAM-SHA-256"},
		{.client_id = "68946", .auth_method = "none"},
	};
	for (size_t i = 0; i < COUNT(visitors); i++)
		assert_int_equal(visit(h, &visitors[i]), MQTT_RC_BAD_AUTHENTICATION_METHOD);
}

HARNESS_CASE(client_ids_belong_to_one_user)
{
	static const struct {
		const char *user, *client_id;
		bool in;
	} cases[] = {
		{"68946", "68946", true},
		{"68946", "68946-phone", true},
		{"68946", "68946-my-phone", true},
		{"68946", "68946/phone", true},
		{"68946", "68946:1", true},
		{"68946", "68946 phone", true},
		{"68946", "68946/a/b-c", true},
		{"68946", "6894", false},
		{"68946", "689461", false},
		{"68946", "68946a", false},
		{"68946", "68946_1", false},
		{"68946", "68946.1", false},
		{"68946", "phone-68946", false},
		{"68946", "-68946", false},
		{"68946", "/68946", false},
		{"68946", "68947-1", false},
		{"1", "12", false},
		{"1", "12-phone", false},
		{"12", "1", false},
		{"12", "1-2", false},
		/* "anna-maria" can only be one user's: that of anna */
		{"anna", "anna-maria", true},
		{"anna", "anna-maria/phone", false},
		{"anna-maria", "anna-maria", false},
		{"anna-maria", "anna-maria-phone", false},
		{"anna-maria", "anna-maria/phone", true},
		{UUID, UUID, true},
		{UUID, UUID "-phone", true},
		{UUID, UUID "/phone", true},
		{"550e8400", UUID, false},
		{"550e8400", UUID "-phone", false},
		{"550e8400", "550e8400-phone", true},
		{"auth0|5f.A_z", "auth0|5f.A_z-1", true},
		/* the host's own */
		{"cashewd", "cashewd", false},
		{"cashewd", "cashewd/phone", false},
		{"68946", "cashewd", false},
		{"68946", "cashewd-egress", false},
		{"cashewds", "cashewds", true},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct visitor visitor = {.username = "JWT",
			.password = user_token(h, HARNESS_SECRET, cases[i].user, 0, 3600),
			.client_id = cases[i].client_id};
		const int connack = visit(h, &visitor);
		if (connack != (cases[i].in ? 0 : REFUSED))
			harness_fail("user %s as client %s: CONNACK %d", cases[i].user, cases[i].client_id,
				connack);
	}
	const struct visitor nameless = {
		.username = "JWT", .password = user_token(h, HARNESS_SECRET, "68946", 0, 3600)};
	assert_int_equal(visit(h, &nameless), REFUSED);
	const struct visitor handler = {.username = "JWT", .password = handler_token(h, "x")};
	assert_int_equal(visit(h, &handler), 0);
}

HARNESS_CASE(client_ids_of_handlers_may_stand_between_blanks)
{
	const struct broker_options options = {
		.extra = "plugin_opt_handler_client_ids cashewd , apples,pears\n"};
	static const struct {
		const char *client_id;
		bool in;
	} cases[] = {{"cashewd", false}, {"apples", false}, {"apples-2", false}, {"pears/1", false},
		{"68946", true}};
	harness_broker_with(h, &options);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *user = cases[i].in
					   ? "68946"
					   : harness_format(h, "%.*s", (int)strcspn(cases[i].client_id, "-/"),
						     cases[i].client_id);
		const struct visitor visitor = {.username = "JWT",
			.password = user_token(h, HARNESS_SECRET, user, 0, 3600),
			.client_id = cases[i].client_id};
		assert_int_equal(visit(h, &visitor), cases[i].in ? 0 : REFUSED);
	}
}

/* A refused client must not have disturbed the session that it asked for. */
HARNESS_CASE(a_refused_client_takes_nothing_over)
{
	struct device *owner = device_new(h, "12"), *thief = device_new(h, "1"),
		      *handler = handler_new(h, "cashewd");
	owner->keep_session = true;
	device_connect(owner);
	device_connect(handler);
	assert_int_equal(device_subscribe(handler, "+/get_apples", 1), 1);
	thief->client_id = owner->client_id;
	assert_int_equal(device_try_connect(thief), REFUSED);
	thief->client_id = handler->client_id;
	assert_int_equal(device_try_connect(thief), REFUSED);
	barrier(handler, owner, "12/barrier");
	device_command(owner, "get_apples", "{}");
	device_expect(handler, "12/get_apples");
	assert_true(owner->connected);
	assert_true(handler->connected);
	assert_int_equal(thief->message_count, 0);
}

/* ---- Subscribing ---- */

HARNESS_CASE(subscriptions)
{
	static const struct {
		const char *filter;
		bool device, handler;
	} cases[] = {
		{"1/#", true, true},
		{"1/x", true, true},
		{"1/+/x", true, true},
		{"1/+", true, true},
		{"1", false, false},
		{"1/", false, false},
		{"#", false, true},
		{"+", false, false},
		{"+/#", false, true},
		{"+/get_apples", false, true},
		{"12/#", false, true},
		{"/1/#", false, false},
		{"got_apples", false, false},
		{"$SYS/#", false, false},
		{"$SYS/broker/version", false, false},
		{"$1/#", false, false},
		{"$share/g/1/#", true, true},
		{"$share/g/1/x", true, true},
		{"$share/g/#", false, true},
		{"$share/g/+/x", false, true},
		{"$share/g/12/#", false, true},
		{"$share/1/12/#", false, true},
		{"$share/1/#", false, true}, /* the group is "1" */
		{"$share/g/1", false, false},
		{"$share/g//1/#", false, false},
		{"$share//1/#", false, false},
		{"$share/+/1/#", false, false},
		{"$share/+/1/x", false, false},
		{"$share/g/$SYS/#", false, false},
		{"$share/g/$share/g/1/#", false, false},
		{"$shared/g/1/#", false, false},
		{"$queue/1/#", false, false},
		{"$SHARE/g/1/#", false, false},
	};
	for (int mqtt311 = 0; mqtt311 <= 1; mqtt311++) {
		struct device *device = device_new(h, "1"), *handler = handler_new(h, "cashewd");
		device->mqtt311 = handler->mqtt311 = mqtt311;
		device->quiet = true;
		device_connect(device);
		device_connect(handler);
		const int refused = mqtt311 ? SUBSCRIPTION_REFUSED_311 : REFUSED;
		for (size_t i = 0; i < COUNT(cases); i++) {
			struct device *const both[] = {device, handler};
			for (size_t k = 0; k < 2; k++) {
				const bool allowed = k == 0 ? cases[i].device : cases[i].handler;
				const int granted = device_subscribe(both[k], cases[i].filter, 1);
				if (granted != (allowed ? 1 : refused))
					harness_fail("%s subscribes to %s: %d",
						k == 0 ? "user 1" : "a handler", cases[i].filter, granted);
			}
		}
		assert_true(device->connected);
		assert_true(handler->connected);
		device_disconnect(device);
		device_disconnect(handler);
	}
	expect_log(h, "may not subscribe to +/#");
}

HARNESS_CASE(a_device_is_sent_only_its_own)
{
	struct device *one = device_new(h, "1"), *twelve = device_new(h, "12"),
		      *handler = handler_new(h, "cashewd");
	device_connect(one);
	device_connect(twelve);
	device_connect(handler);
	assert_int_equal(device_subscribe(one, "$share/g/1/#", 1), 1);
	assert_int_equal(publish_answered(handler, "12/got_apples", "[]"), 0);
	assert_int_equal(publish_answered(handler, "1/got_apples", "[]"), 0);
	assert_int_equal(publish_answered(handler, "2/got_apples", "[]"), MQTT_RC_NO_MATCHING_SUBSCRIBERS);
	barrier(handler, one, "1/barrier");
	barrier(handler, twelve, "12/barrier");
	for (size_t i = 0; i < one->message_count; i++)
		assert_memory_equal(one->messages[i].topic, "1/", 2);
	assert_in_range(device_count(one, "got_apples"), 1, 2); /* twice: once for each subscription */
	assert_int_equal(twelve->message_count, 2);
}

/* ---- Publishing ---- */

struct publish_case {
	const char *topic, *arrives; /* NULL: it is refused */
};

static void check_publishes(struct harness *h, struct device *sender, struct device *observer,
	const struct publish_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const size_t before = observer->message_count;
		const int reason = publish_answered(sender, cases[i].topic, "{}");
		const int expected = cases[i].arrives != NULL || sender->mqtt311 ? 0 : REFUSED;
		if (reason != expected && !(expected == 0 && reason == MQTT_RC_NO_MATCHING_SUBSCRIBERS))
			harness_fail("%s: PUBACK 0x%02x", cases[i].topic, (unsigned)reason);
		barrier(observer, observer, harness_format(h, "barrier/%zu", i));
		const size_t arrived = observer->message_count - before - 1;
		if (arrived != (cases[i].arrives != NULL) ||
			(arrived == 1 && strcmp(observer->messages[before].topic, cases[i].arrives) != 0))
			harness_fail("%s: %zu messages arrived, the first on %s", cases[i].topic, arrived,
				observer->messages[before].topic);
	}
	/* A refusal costs a message, not the connection. */
	assert_true(sender->connected);
}

/* Like observer_new(), but it hears itself, which the barriers want. */
static struct device *echoing_observer_new(struct harness *h)
{
	struct device *observer = handler_new(h, "observer");
	observer->mqtt311 = true;
	device_connect(observer);
	assert_int_equal(device_subscribe(observer, "#", 1), 1);
	return observer;
}

HARNESS_CASE(what_a_device_publishes)
{
	static const struct publish_case cases[] = {
		{"1/get_apples", "1/get_apples"},
		{"1/a/b", "1/a/b"},
		{"1//", "1//"},
		{"1/ \xc3\xa4", "1/ \xc3\xa4"},
		{"1/$SYS", "1/$SYS"},
		{"12/get_apples", NULL},
		{"2/get_apples", NULL},
		{"x/1/get_apples", NULL},
		{"/1/get_apples", NULL},
		{"1", NULL},
		{"1/", NULL},
		{"/", NULL},
		{"$SYS/broker/connection/a/state", NULL},
		{"$share/g/1/x", NULL},
		{"$CONTROL/dynamic-security/v1", NULL},
		{"$1/x", NULL},
		/* bare commands */
		{"get_apples", "1/get_apples"},
		{"a", "1/a"},
		{"_", "1/_"},
		{SIXTY_FOUR, "1/" SIXTY_FOUR},
		{SIXTY_FOUR "k", NULL},
		{"Get_apples", NULL},
		{"get-apples", NULL},
		{"get apples", NULL},
		{"get_apples2", NULL},
		{"get_apples/", NULL},
		{"/get_apples", NULL},
		{"get/apples", NULL},
		{"$get_apples", NULL},
	};
	struct device *observer = echoing_observer_new(h);
	for (int mqtt311 = 0; mqtt311 <= 1; mqtt311++) {
		struct device *device = device_new(h, "1");
		device->quiet = true;
		device->mqtt311 = mqtt311;
		device_connect(device);
		check_publishes(h, device, observer, cases, COUNT(cases));
		device_disconnect(device);
	}
}

HARNESS_CASE(what_a_handler_publishes)
{
	static const struct publish_case cases[] = {
		{"1/got_apples", "1/got_apples"},
		{"auth0|5f-7.A_z/got_apples", "auth0|5f-7.A_z/got_apples"},
		{"1/a/b", "1/a/b"},
		{"got_apples", NULL},
		{"1", NULL},
		{"1/", NULL},
		{"/1/x", NULL},
		{"a b/x", NULL},
		{"\xc3\xa4/x", NULL},
		{"$SYS/x", NULL},
		{"$CONTROL/dynamic-security/v1", NULL},
		{"$share/g/1/x", NULL},
	};
	struct device *observer = echoing_observer_new(h), *handler = handler_new(h, "cashewd");
	device_connect(handler);
	check_publishes(h, handler, observer, cases, COUNT(cases));
}

HARNESS_CASE(bare_commands_of_every_qos)
{
	struct device *observer = observer_new(h), *device = device_new(h, "auth0|5f-7.A_z");
	device->client_id = "auth0|5f-7.A_z/phone";
	device_connect(device);
	for (int qos = 0; qos <= 2; qos++) {
		publish(device, "request_contact", "{\"contact_id\":\"2\"}", qos, false);
		const struct device_message *message =
			device_expect(observer, "auth0|5f-7.A_z/request_contact");
		assert_int_equal(message->qos, qos);
		assert_string_equal(message->payload, "{\"contact_id\":\"2\"}");
	}
	/* With what MQTT 5 has to keep a topic short: an alias, set and used. */
	for (int i = 0; i < 2; i++) {
		mosquitto_property *properties = NULL;
		assert_int_equal(mosquitto_property_add_int16(&properties, MQTT_PROP_TOPIC_ALIAS, 1), 0);
		assert_int_equal(mosquitto_publish_v5(device->mosquitto, NULL, i == 0 ? "get_apples" : NULL,
					 2, "{}", 1, false, properties),
			0);
		mosquitto_property_free_all(&properties);
		device_expect(observer, "auth0|5f-7.A_z/get_apples");
	}
	/* A user id that looks like a command. */
	struct device *ping = device_new(h, "ping");
	device_connect(ping);
	device_wait_puback(ping, publish(ping, "ping", "{}", 1, false));
	device_expect(observer, "ping/ping");
	assert_int_equal(count_on(observer, "ping"), 0);
}

/* ---- Retained messages ---- */

HARNESS_CASE(retained_messages)
{
	struct device *one = device_new(h, "1"), *two = device_new(h, "2"),
		      *handler = handler_new(h, "cashewd");
	one->quiet = two->quiet = true;
	device_connect(one);
	device_connect(two);
	device_connect(handler);
	assert_in_range(device_wait_puback(one, publish(one, "1/state", "mine", 1, true)), 0, 16);
	assert_in_range(device_wait_puback(one, publish(one, "mood", "good", 1, true)), 0, 16);
	assert_int_equal(device_wait_puback(one, publish(one, "2/state", "theirs", 1, true)), REFUSED);
	assert_in_range(device_wait_puback(handler, publish(handler, "2/kept", "event", 1, true)), 0, 16);
	assert_int_equal(device_subscribe(one, "1/#", 1), 1);
	assert_int_equal(device_subscribe(two, "2/#", 1), 1);
	assert_int_equal(device_subscribe(handler, "#", 1), 1);
	assert_true(device_expect(one, "1/state")->retain);
	assert_true(device_expect(one, "1/mood")->retain);
	assert_true(device_expect(two, "2/kept")->retain);
	device_wait_count(handler, "1/state", 1);
	device_wait_count(handler, "1/mood", 1);
	device_wait_count(handler, "2/kept", 1);
	barrier(handler, one, "1/barrier");
	barrier(handler, two, "2/barrier");
	assert_int_equal(one->message_count, 3);
	assert_int_equal(two->message_count, 2);
	assert_int_equal(handler->message_count, 3);
}

/* ---- Last wills ---- */

HARNESS_CASE(last_wills)
{
	static const struct {
		const char *topic;
		bool arrives;
	} cases[] = {
		{"1/gone", true}, {"2/gone", false}, {"12/gone", false}, {"$SYS/gone", false},
		{"/gone", false}, {"gone", false}, /* not rewritten, and nobody is sent what has no user id */
	};
	struct device *observer = echoing_observer_new(h), *two = device_new(h, "2");
	device_connect(two);
	const char *token = user_token(h, HARNESS_SECRET, "1", 0, 3600);
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		const char *id = harness_format(h, "1/will-%zu", i);
		const struct visitor visitor = {.username = "JWT",
			.password = token,
			.client_id = id,
			.will_topic = cases[i / 2].topic,
			.will_retain = i % 2 == 1};
		const size_t before = observer->message_count;
		int connack;
		struct mosquitto *m = visitor_connect(h, &visitor, &connack);
		assert_int_equal(connack, 0);
		shutdown(mosquitto_socket(m), SHUT_RDWR);
		mosquitto_destroy(m);
		/* This is logged just before the will is sent. */
		expect_log(h, harness_format(h, "Client %s closed its connection.", id));
		barrier(observer, observer, harness_format(h, "barrier/%zu", i));
		const size_t arrived = observer->message_count - before - 1;
		if (arrived != cases[i / 2].arrives)
			harness_fail("a will on %s: %zu messages", cases[i / 2].topic, arrived);
		if (arrived == 1)
			assert_string_equal(observer->messages[before].topic, cases[i / 2].topic);
	}
	barrier(observer, two, "2/barrier");
	assert_int_equal(two->message_count, 1);
	/* Of the retained ones only the allowed one is kept where someone can be sent it. */
	struct device *late = observer_new(h);
	device_expect(late, "1/gone");
	barrier(observer, late, "barrier/last");
	assert_int_equal(late->message_count, 2);
}

/* ---- Sessions ---- */

static void check_offline_session(struct harness *h, bool restart)
{
	struct device *phone = device_new(h, "1"), *handler = handler_new(h, "cashewd");
	phone->keep_session = true;
	device_connect(phone);
	device_drop(phone);
	device_connect(handler);
	expect_log(h, harness_format(h, "Client %s closed its connection.", phone->client_id));
	assert_int_equal(publish_answered(handler, "1/got_apples", "while away"), 0);
	assert_int_equal(
		publish_answered(handler, "12/got_apples", "of another"), MQTT_RC_NO_MATCHING_SUBSCRIBERS);
	if (restart) {
		device_disconnect(handler);
		broker_stop(harness_broker(h));
		broker_start(harness_broker(h));
		device_connect(handler);
		assert_int_equal(publish_answered(handler, "1/got_more", "after the restart"), 0);
	}
	device_connect(phone);
	assert_string_equal(device_expect(phone, "got_apples")->payload, "while away");
	if (restart)
		assert_string_equal(device_expect(phone, "got_more")->payload, "after the restart");
	barrier(handler, phone, "1/barrier");
	assert_int_equal(phone->message_count, restart ? 3 : 2);
}

HARNESS_CASE(a_session_is_served_while_its_device_is_away)
{
	check_offline_session(h, false);
}

HARNESS_CASE(a_session_is_served_after_a_restart)
{
	check_offline_session(h, true);
}

/* ---- Time ---- */

static bool device_is_gone(void *context)
{
	const struct device *device = context;
	return !device->connected;
}

HARNESS_CASE(a_connection_ends_with_its_token)
{
	struct device *brief = device_new(h, "1"), *brief_too = device_new(h, "2"),
		      *lasting = device_new(h, "3");
	struct device *handler = handler_new(h, "cashewd");
	device_connect(handler);
	device_connect(lasting);
	brief_too->mqtt311 = true;
	brief->token = user_token(h, HARNESS_SECRET, "1", 0, 3);
	brief_too->token = user_token(h, HARNESS_SECRET, "2", 0, 3);
	device_connect(brief);
	device_connect(brief_too);
	barrier(handler, brief, "1/barrier");
	harness_wait(h, device_is_gone, brief, "the connection of an expired token to be closed");
	harness_wait(h, device_is_gone, brief_too, "the other one to be closed too");
	expect_log(h, harness_format(h, "the token of client %s has expired", brief->client_id));
	assert_int_equal(device_try_connect(brief), REFUSED);
	brief->token = user_token(h, HARNESS_SECRET, "1", 0, 3600);
	device_connect(brief);
	barrier(handler, brief, "1/barrier_two");
	barrier(handler, lasting, "3/barrier");
	assert_true(lasting->connected);
}

/* ---- Reloading ---- */

#define SECOND_SECRET "a second secret, with which the first is replaced"

HARNESS_CASE(a_reload_reads_the_secret_and_keeps_the_connected)
{
	struct device *online = device_new(h, "1"), *away = device_new(h, "2"),
		      *handler = handler_new(h, "cashewd");
	away->keep_session = true;
	device_connect(online);
	device_connect(handler);
	device_connect(away);
	device_drop(away);
	expect_log(h, harness_format(h, "Client %s closed its connection.", away->client_id));
	const int fd = open(broker_file(h, "secret"), O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, SECOND_SECRET "\n", strlen(SECOND_SECRET) + 1), strlen(SECOND_SECRET) + 1);
	close(fd);
	kill(broker_pid(harness_broker(h)), SIGHUP);
	expect_log(h, "reloaded: the keys were read again");
	barrier(handler, online, "1/after_reload");
	assert_false(file_holds(broker_file(h, "mosquitto.log"), "refused client"));
	/* A token of the first secret does not get in any more; an identity alone never does. */
	const struct visitor old = {
		.username = "JWT", .password = user_token(h, HARNESS_SECRET, "4", 0, 3600), .client_id = "4"};
	assert_int_equal(visit(h, &old), REFUSED);
	const struct visitor impostor = {.username = "user:4", .client_id = "4"};
	assert_int_equal(visit(h, &impostor), REFUSED);
	barrier(handler, online, "1/barrier");
	assert_int_equal(publish_answered(handler, "2/got_apples", "while away"), 0);
	away->token = user_token(h, SECOND_SECRET, "2", 0, 3600);
	device_connect(away);
	device_expect(away, "got_apples");
	assert_true(online->connected);
	assert_true(handler->connected);
	/* A file that is not usable leaves the secret as it is. */
	assert_int_equal(truncate(broker_file(h, "secret"), 0), 0);
	kill(broker_pid(harness_broker(h)), SIGHUP);
	expect_log(h, "reloaded: the keys stay those that were read before");
	struct device *fresh = device_new(h, "5");
	fresh->token = user_token(h, SECOND_SECRET, "5", 0, 3600);
	device_connect(fresh);
}

/* ---- Settings that keep the broker from starting ---- */

HARNESS_CASE(unusable_settings_keep_the_broker_from_starting)
{
	static const struct {
		const char *secret, *extra, *environment, *says;
	} cases[] = {
		{"", "", NULL, "secret is empty"},
		{"\n", "", NULL, "secret is empty"},
		{"short", "", NULL, "has 5 bytes: HS256 wants 32 or more"},
		{HARNESS_SECRET, "plugin_opt_secret_flie x\n", NULL, "plugin_opt_secret_flie is unknown"},
		{HARNESS_SECRET, "plugin_opt_allow_short_secret maybe\n", NULL, "must be on or off"},
		{HARNESS_SECRET, "plugin_opt_allow_unexpiring_tokens yes\n", NULL, "must be on or off"},
		{HARNESS_SECRET, "plugin_opt_quota_connections many\n", NULL,
			"must be a number from 0, no limit, to"},
		{HARNESS_SECRET, "plugin_opt_quota_exempt_addresses 127.0.0.1, nearby\n", NULL,
			"is no address"},
		{HARNESS_SECRET, "plugin_opt_secret_file /nowhere/secret\n", NULL,
			"secret_file /nowhere/secret cannot be read: No such file"},
		{HARNESS_SECRET, "plugin_opt_handler_secret_file /nowhere/secret\n", NULL,
			"handler_secret_file /nowhere/secret cannot be read: No such file"},
		{HARNESS_SECRET, "", "JWT_HANDLER_SECRET=" HARNESS_SECRET,
			"is the same secret as another one"},
		{HARNESS_SECRET, "plugin_opt_users_key_file HS256 /etc/hostname\n", NULL,
			"expected RS256 or ES256"},
		{HARNESS_SECRET,
			"plugin_opt_issuer i\nplugin_opt_audience a\nplugin_opt_users_key_file RS256 /etc/hostname\n",
			NULL, "the key is no PEM file"},
		{HARNESS_SECRET,
			"plugin_opt_issuer i\nplugin_opt_audience a\nplugin_opt_users_jwks_file /nowhere/jwks\n",
			NULL, "/nowhere/jwks cannot be read: No such file"},
		{HARNESS_SECRET,
			"plugin_opt_issuer i\nplugin_opt_audience a\nplugin_opt_users_jwks_file /etc/hostname\n",
			NULL, "is no JSON object"},
		{HARNESS_SECRET, "plugin_opt_users_jwks_file /etc/hostname\n", NULL,
			"plugin_opt_issuer and plugin_opt_audience are needed"},
		{HARNESS_SECRET, "plugin_opt_claim_user exp\n", NULL,
			"plugin_opt_claim_user: expected the name of a claim"},
		{HARNESS_SECRET, "plugin_opt_max_lifetime 1h\n", NULL,
			"plugin_opt_max_lifetime: expected a number"},
		{HARNESS_SECRET, "plugin_opt_handler_names a;b\n", NULL,
			"plugin_opt_handler_names: expected names"},
		{HARNESS_SECRET, "plugin_opt_handler_client_ids cashewd apples\n", NULL,
			"plugin_opt_handler_client_ids: expected names"},
		{HARNESS_SECRET, "plugin_opt_deny_file /nowhere/denied\n", NULL,
			"plugin_opt_deny_file /nowhere/denied cannot be read: No such file"},
		{NULL, "", "JWT_SECRET=short", "the secret of JWT_SECRET has 5 bytes"},
		{NULL, "", "JWT_SECRET=", "there is no secret"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *environment[32] = {NULL}, *const *common = process_environment();
		size_t count = 0;
		for (; common[count] != NULL; count++)
			environment[count] = common[count];
		environment[count] = cases[i].environment;
		const char *output = harness_path(h, "broker-%zu.log", i);
		const char *const argv[] = {SOURCE_DIR "/examples/broker/run", "--plugin",
			BINARY_DIR "/cashew_broker_plugin.so", "--state", harness_path(h, "state"), "--port",
			harness_format(h, "%d", port_reserve()), "--handler-port",
			harness_format(h, "%d", port_reserve()), "--extra",
			harness_write_file(h, "extra.conf", cases[i].extra),
			cases[i].secret != NULL ? "--secret-file" : NULL,
			cases[i].secret != NULL ? harness_write_file(h, "secret", cases[i].secret) : NULL,
			NULL};
		const struct process_options options = {.argv = argv,
			.environment = environment,
			.folder = harness_folder(h),
			.output = output,
			.death_signal = SIGKILL};
		struct process process = {.pidfd = -1};
		assert_int_equal(process_start(&process, &options), 0);
		if (!process_reap(&process, HARNESS_TIMEOUT_MS)) {
			process_signal(&process, SIGKILL);
			(void)process_reap(&process, HARNESS_TIMEOUT_MS);
			harness_fail("case %zu: the broker runs", i);
		}
		assert_int_not_equal(process_exit_code(&process), 0);
		if (!file_holds(output, cases[i].says))
			harness_fail("case %zu: \"%s\" does not stand in %s", i, cases[i].says, output);
		assert_false(file_holds(output, HARNESS_SECRET));
	}
}

HARNESS_MAIN(HARNESS_TEST(unusable_settings_keep_the_broker_from_starting),
	HARNESS_TEST(only_jwt_and_a_valid_token_get_in),
	HARNESS_TEST(unexpiring_tokens_get_in_where_the_broker_says_so),
	HARNESS_TEST(unexpiring_tokens_are_refused_and_the_log_says_what_would_let_them_in),
	HARNESS_TEST(enhanced_authentication_is_no_way_in), HARNESS_TEST(client_ids_belong_to_one_user),
	HARNESS_TEST(client_ids_of_handlers_may_stand_between_blanks),
	HARNESS_TEST(a_refused_client_takes_nothing_over), HARNESS_TEST(subscriptions),
	HARNESS_TEST(a_device_is_sent_only_its_own), HARNESS_TEST(what_a_device_publishes),
	HARNESS_TEST(what_a_handler_publishes), HARNESS_TEST(bare_commands_of_every_qos),
	HARNESS_TEST(retained_messages), HARNESS_TEST(last_wills),
	HARNESS_TEST(a_session_is_served_while_its_device_is_away),
	HARNESS_TEST(a_session_is_served_after_a_restart), HARNESS_TEST(a_connection_ends_with_its_token),
	HARNESS_TEST(a_reload_reads_the_secret_and_keeps_the_connected))
