/*
 * test_broker_plugin.c - examples/broker's plugin in a real mosquitto, over TLS: who gets in, as whom and for how long, and what keeps the broker from
 * starting. What they may do then: test_broker_access.c.
 */
#include "harness.h"
#include "plugin_parts.h"
#include "port.h"
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UUID "550e8400-e29b-41d4-a716-446655440000"

/* ---- Tokens, handlers, logs ---- */

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
	if (!file)
		harness_fail("%s: %s", path, strerror(errno));
	char *line = NULL;
	size_t room = 0;
	bool found = false;
	while (!found && getline(&line, &room, file) >= 0)
		found = strstr(line, text);
	free(line);
	fclose(file);
	return found;
}

/* ---- Visitors: clients of any kind, to see whether they are let in ---- */

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
	expect_log(h, "refused client 68946 from 127.0.0.1: the token has expired");
	const char *const secrets[] = {HARNESS_SECRET, strrchr(valid, '.') + 1, strrchr(expired, '.') + 1,
		strrchr(foreign, '.') + 1, strrchr(changed, '.') + 1, "0000000000000000"};
	for (size_t i = 0; i < COUNT(secrets); i++)
		assert_int_equal(broker_count_log(harness_broker(h), secrets[i]), 0);
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
	device_barrier(observer, device, "7/barrier");
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
	device_barrier(handler, owner, "12/barrier");
	device_command(owner, "get_apples", "{}");
	device_expect(handler, "12/get_apples");
	assert_true(owner->connected);
	assert_true(handler->connected);
	assert_int_equal(thief->message_count, 0);
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
	device_barrier(handler, brief, "1/barrier");
	harness_wait(h, device_is_gone, brief, "the connection of an expired token to be closed");
	harness_wait(h, device_is_gone, brief_too, "the other one to be closed too");
	expect_log(h, harness_format(h, "the token of client %s has expired", brief->client_id));
	assert_int_equal(device_try_connect(brief), REFUSED);
	brief->token = user_token(h, HARNESS_SECRET, "1", 0, 3600);
	device_connect(brief);
	device_barrier(handler, brief, "1/barrier_two");
	device_barrier(handler, lasting, "3/barrier");
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
	device_barrier(handler, online, "1/after_reload");
	assert_int_equal(broker_count_log(harness_broker(h), "refused client"), 0);
	/* A token of the first secret does not get in any more; an identity alone never does. */
	const struct visitor old = {
		.username = "JWT", .password = user_token(h, HARNESS_SECRET, "4", 0, 3600), .client_id = "4"};
	assert_int_equal(visit(h, &old), REFUSED);
	const struct visitor impostor = {.username = "user:4", .client_id = "4"};
	assert_int_equal(visit(h, &impostor), REFUSED);
	device_barrier(handler, online, "1/barrier");
	assert_int_equal(device_publish_answered(handler, "2/got_apples", "while away"), 0);
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
		for (; common[count]; count++)
			environment[count] = common[count];
		environment[count] = cases[i].environment;
		const char *output = harness_path(h, "broker-%zu.log", i);
		const char *const argv[] = {SOURCE_DIR "/examples/broker/run", "--plugin",
			BINARY_DIR "/cashew_broker_plugin.so", "--state", harness_path(h, "state"), "--port",
			harness_format(h, "%d", port_reserve()), "--handler-port",
			harness_format(h, "%d", port_reserve()), "--extra",
			harness_write_file(h, "extra.conf", cases[i].extra),
			cases[i].secret ? "--secret-file" : NULL,
			cases[i].secret ? harness_write_file(h, "secret", cases[i].secret) : NULL, NULL};
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
	HARNESS_TEST(a_refused_client_takes_nothing_over), HARNESS_TEST(a_connection_ends_with_its_token),
	HARNESS_TEST(a_reload_reads_the_secret_and_keeps_the_connected))
