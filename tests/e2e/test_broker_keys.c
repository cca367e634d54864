/*
 * test_broker_keys.c - examples/broker's plugin in a real mosquitto, with several keys: users' tokens of an identity provider, handlers' of a secret of
 * their own, keys that change while the broker runs.
 */
#include "harness.h"
#include "token_maker.h"
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array)	   (sizeof(array) / sizeof((array)[0]))
#define HANDLERS_SECRET	   "h8Xq-2mVw7_Tc4Nd9Zb1Kf6Gj3Rs5Lp0"
#define WITH_KID(alg, kid) "{\"alg\":\"" alg "\",\"kid\":\"" kid "\",\"typ\":\"JWT\"}"
#define PLAIN_HEADER	   "{\"alg\":\"HS256\"}"

/* What claims_of() says. */
#define ORIGIN "plugin_opt_issuer https://login.example.com/\nplugin_opt_audience cashew\n"

enum { REFUSED = MQTT_RC_NOT_AUTHORIZED };

/* ---- Tokens ---- */

/* Kept as long as the case. */
static char *kept(struct harness *h, char *owned)
{
	char *copy = harness_format(h, "%s", owned);
	free(owned);
	return copy;
}

/* The claims of a user's token of one hour, as an identity provider writes them. */
static const char *claims_of(struct harness *h, const char *user)
{
	const long long now = (long long)time(NULL);
	return harness_format(h,
		"{\"iss\":\"https://login.example.com/\",\"aud\":\"cashew\",\"user_id\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
		user, now, now + 3600);
}

static char *token_by_key(
	struct harness *h, const char *header, const char *claims, EVP_PKEY *key, const EVP_MD *digest)
{
	const struct maker_signer signer = {.key = key, .digest = digest};
	return kept(h, maker_token(header, claims, &signer));
}

static char *token_by_secret(struct harness *h, const char *claims, const char *secret)
{
	const struct maker_signer signer = {.secret = secret, .digest = EVP_sha256()};
	return kept(h, maker_token(PLAIN_HEADER, claims, &signer));
}

/* The JWK Set of one key. */
static char *set_of(struct harness *h, EVP_PKEY *key, const char *members)
{
	char *jwk = kept(h, maker_jwk(key, "P-256", members));
	return harness_format(h, "{\"keys\":[%s,{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}", jwk);
}

static int connack_of(struct harness *h, const char *user, const char *token)
{
	struct device *device = device_new(h, user);
	device->token = token;
	const int connack = device_try_connect(device);
	if (connack == 0)
		device_disconnect(device);
	return connack;
}

/* ---- The broker's log ---- */

/* Has the broker read its keys again, and waits until it says that. */
static void reload(struct harness *h, const char *text)
{
	struct broker *broker = harness_broker(h);
	const size_t before = broker_count_log(broker, text);
	kill(broker_pid(broker), SIGHUP);
	broker_wait_log(h, broker, text, before + 1);
}

/* ---- Whose key is whose ---- */

HARNESS_CASE(each_key_is_for_its_own_tokens)
{
	EVP_PKEY *rsa = maker_rsa(2048, 65537), *point = maker_curve("P-256"),
		 *other = maker_rsa(2048, 65537);
	char *pem = kept(h, maker_pem(point)), *rsa_pem = kept(h, maker_pem(rsa));
	const struct broker_options options = {
		.extra = harness_format(h,
			ORIGIN
			"plugin_opt_handler_secret_file %s\nplugin_opt_users_jwks_file %s\nplugin_opt_users_key_file ES256 kid=e1 %s\n",
			harness_write_file(h, "handlers", HANDLERS_SECRET "\n"),
			harness_write_file(h, "jwks.json", set_of(h, rsa, "\"kid\":\"r1\",\"use\":\"sig\",")),
			harness_write_file(h, "e1.pem", pem))};
	harness_broker_with(h, &options);
	const char *user = claims_of(h, "1");
	const char *handler = harness_format(
		h, "{\"handler\":{\"name\":\"cashewd\"},\"exp\":%lld}", (long long)time(NULL) + 3600);
	const char *both = harness_format(h, "{\"user_id\":\"1\",\"handler\":{\"name\":\"x\"},\"exp\":%lld}",
		(long long)time(NULL) + 3600);
	const struct {
		const char *name, *token;
		bool in;
	} cases[] = {
		{"RS256", token_by_key(h, WITH_KID("RS256", "r1"), user, rsa, EVP_sha256()), true},
		{"ES256", token_by_key(h, WITH_KID("ES256", "e1"), user, point, EVP_sha256()), true},
		{"a user's by the users' secret", token_by_secret(h, user, HARNESS_SECRET), true},
		{"a handler's by the handlers'", token_by_secret(h, handler, HANDLERS_SECRET), true},
		{"both claims by the handlers'", token_by_secret(h, both, HANDLERS_SECRET), true},
		{"a user's by the handlers'", token_by_secret(h, user, HANDLERS_SECRET), false},
		{"a handler's by the users'", token_by_secret(h, handler, HARNESS_SECRET), false},
		{"both claims by the users'", token_by_secret(h, both, HARNESS_SECRET), false},
		{"a handler's by RS256", token_by_key(h, WITH_KID("RS256", "r1"), handler, rsa, EVP_sha256()),
			false},
		{"both claims by ES256", token_by_key(h, WITH_KID("ES256", "e1"), both, point, EVP_sha256()),
			false},
		{"RS256 by another key", token_by_key(h, WITH_KID("RS256", "r1"), user, other, EVP_sha256()),
			false},
		{"RS384", token_by_key(h, WITH_KID("RS384", "r1"), user, rsa, EVP_sha384()), false},
		{"an unknown kid", token_by_key(h, WITH_KID("RS256", "r2"), user, rsa, EVP_sha256()), false},
		{"HS256 by the PEM of the RSA key", token_by_secret(h, user, rsa_pem), false},
		{"HS256 by the PEM of the point", token_by_secret(h, user, pem), false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const int connack = connack_of(h, "1", cases[i].token);
		if (connack != (cases[i].in ? 0 : REFUSED))
			harness_fail("%s: CONNACK %d", cases[i].name, connack);
	}
	assert_int_equal(
		broker_count_log(harness_broker(h), "one secret is for users' and for handlers' tokens"), 0);
	assert_int_equal(broker_count_log(harness_broker(h), HANDLERS_SECRET), 0);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(point);
	EVP_PKEY_free(other);
}

HARNESS_CASE(one_secret_for_both_is_warned_of)
{
	harness_broker(h);
	assert_int_equal(
		broker_count_log(harness_broker(h), "one secret is for users' and for handlers' tokens"), 1);
}

/* ---- Rotation ---- */

HARNESS_CASE(keys_change_while_the_broker_runs)
{
	EVP_PKEY *first = maker_rsa(2048, 65537), *second = maker_rsa(2048, 65537);
	const char *first_set = set_of(h, first, "\"kid\":\"2025\","),
		   *second_set = set_of(h, second, "\"kid\":\"2026\",");
	const struct broker_options options = {
		.extra = harness_format(h, ORIGIN "plugin_opt_users_jwks_file %s\n",
			harness_write_file(h, "jwks.json", first_set))};
	harness_broker_with(h, &options);
	const char *user = claims_of(h, "1");
	const char *by_first = token_by_key(h, WITH_KID("RS256", "2025"), user, first, EVP_sha256());
	const char *by_second = token_by_key(h, WITH_KID("RS256", "2026"), user, second, EVP_sha256());
	struct device *online = device_new(h, "1");
	online->token = by_first;
	device_connect(online);
	assert_int_equal(connack_of(h, "1", by_second), REFUSED);
	/* Both, as while a provider changes its keys. */
	harness_write_file(h, "jwks.json",
		harness_format(h, "{\"keys\":[%s,%s]}", kept(h, maker_jwk(first, NULL, "\"kid\":\"2025\",")),
			kept(h, maker_jwk(second, NULL, "\"kid\":\"2026\","))));
	reload(h, "reloaded: the keys were read again");
	assert_int_equal(connack_of(h, "1", by_first), 0);
	assert_int_equal(connack_of(h, "1", by_second), 0);
	harness_write_file(h, "jwks.json", second_set);
	reload(h, "reloaded: the keys were read again");
	assert_int_equal(connack_of(h, "1", by_first), REFUSED);
	assert_int_equal(connack_of(h, "1", by_second), 0);
	/* Whatever is wrong with the file, the keys stay. */
	static const char *const bad[] = {"", "{\"keys\":[", "<html>502</html>", "{\"keys\":[]}"};
	for (size_t i = 0; i <= COUNT(bad); i++) {
		if (i < COUNT(bad))
			harness_write_file(h, "jwks.json", bad[i]);
		else
			unlink(harness_path(h, "jwks.json"));
		reload(h, "reloaded: the keys stay those that were read before");
		assert_int_equal(connack_of(h, "1", by_first), REFUSED);
		assert_int_equal(connack_of(h, "1", by_second), 0);
	}
	assert_true(online->connected);
	EVP_PKEY_free(first);
	EVP_PKEY_free(second);
}

/* ---- Rules ---- */

HARNESS_CASE(what_a_token_says_of_its_origin)
{
	EVP_PKEY *point = maker_curve("P-256");
	const struct broker_options options = {
		.extra = harness_format(h,
			ORIGIN
			"plugin_opt_claim_user sub\nplugin_opt_max_lifetime 7200\nplugin_opt_handler_names cashewd , apples\n"
			"plugin_opt_users_jwks_file %s\n",
			harness_write_file(h, "jwks.json", set_of(h, point, "\"kid\":\"1\",")))};
	harness_broker_with(h, &options);
	const long long now = (long long)time(NULL);
	static const struct {
		const char *name, *claims; /* exp stands behind them */
		int lifetime_s;
		bool is_handler, in;
	} cases[] = {
		{"as it should be", "\"iss\":\"https://login.example.com/\",\"aud\":\"cashew\",\"sub\":\"1\"",
			3600, false, true},
		{"for several",
			"\"iss\":\"https://login.example.com/\",\"aud\":[\"cashew\",\"cashew\"],\"sub\":\"1\"",
			3600, false, true},
		{"for others, too",
			"\"iss\":\"https://login.example.com/\",\"aud\":[\"a\",\"cashew\"],\"sub\":\"1\"",
			3600, false, false},
		{"of another issuer",
			"\"iss\":\"https://login.example.com\",\"aud\":\"cashew\",\"sub\":\"1\"", 3600, false,
			false},
		{"for others", "\"iss\":\"https://login.example.com/\",\"aud\":\"shop\",\"sub\":\"1\"", 3600,
			false, false},
		{"user_id instead of sub",
			"\"iss\":\"https://login.example.com/\",\"aud\":\"cashew\",\"user_id\":\"1\"", 3600,
			false, false},
		{"a sub that is no user id",
			"\"iss\":\"https://login.example.com/\",\"aud\":\"cashew\",\"sub\":\"1/2\"", 3600,
			false, false},
		{"valid for too long",
			"\"iss\":\"https://login.example.com/\",\"aud\":\"cashew\",\"sub\":\"1\"", 7300,
			false, false},
		{"a handler", "\"handler\":{\"name\":\"apples\"}", 3600, true, true},
		{"another handler", "\"handler\":{\"name\":\"pears\"}", 3600, true, false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *claims =
			harness_format(h, "{%s,\"exp\":%lld}", cases[i].claims, now + cases[i].lifetime_s);
		const char *token = cases[i].is_handler ? token_by_secret(h, claims, HARNESS_SECRET)
							: token_by_key(h, WITH_KID("ES256", "1"), claims,
								  point, EVP_sha256());
		const int connack = connack_of(h, "1", token);
		if (connack != (cases[i].in ? 0 : REFUSED))
			harness_fail("%s: CONNACK %d", cases[i].name, connack);
	}
	assert_int_equal(broker_count_log(harness_broker(h), "the token's sub is not 1 to 64 of"), 1);
	assert_int_equal(
		broker_count_log(harness_broker(h), "handler pears is not one of those that are let in"), 1);
	EVP_PKEY_free(point);
}

/* Several applications of one provider, whose access tokens are for its own service too. */
HARNESS_CASE(whom_a_token_is_for)
{
	EVP_PKEY *point = maker_curve("P-256");
	const struct broker_options options = {
		.extra = harness_format(h,
			ORIGIN
			"plugin_opt_audience cashew on phones\nplugin_opt_trust_audience https://login.example.com/userinfo\n"
			"plugin_opt_authorized_party shop\nplugin_opt_users_jwks_file %s\n",
			harness_write_file(h, "jwks.json", set_of(h, point, "\"kid\":\"1\",")))};
	harness_broker_with(h, &options);
	static const struct {
		const char *name, *claims;
		bool in;
	} cases[] = {
		{"the first application", "\"aud\":\"cashew\"", true},
		{"the other one", "\"aud\":\"cashew on phones\",\"azp\":\"cashew on phones\"", true},
		{"with one that is trusted", "\"aud\":[\"cashew\",\"https://login.example.com/userinfo\"]",
			true},
		{"who is trusted alone", "\"aud\":\"https://login.example.com/userinfo\"", false},
		{"with one that is not", "\"aud\":[\"cashew\",\"shop\"]", false},
		{"made for a client that is named", "\"aud\":\"cashew\",\"azp\":\"shop\"", true},
		{"made for another client", "\"aud\":\"cashew\",\"azp\":\"stranger\"", false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *claims = harness_format(h,
			"{\"iss\":\"https://login.example.com/\",\"user_id\":\"1\",%s,\"exp\":%lld}",
			cases[i].claims, (long long)time(NULL) + 3600);
		const int connack = connack_of(
			h, "1", token_by_key(h, WITH_KID("ES256", "1"), claims, point, EVP_sha256()));
		if (connack != (cases[i].in ? 0 : REFUSED))
			harness_fail("%s: CONNACK %d", cases[i].name, connack);
	}
	assert_int_equal(broker_count_log(harness_broker(h), "which nobody said to trust"), 1);
	assert_int_equal(broker_count_log(harness_broker(h), "it was made for another client"), 1);
	EVP_PKEY_free(point);
}

/* ---- The deny list ---- */

static bool is_gone(void *context)
{
	const struct device *device = context;
	return !device->connected;
}

HARNESS_CASE(a_deny_list_ends_connections)
{
	const char *list = harness_path(h, "denied");
	harness_write_file(h, "denied", "# nobody yet\n");
	const struct broker_options options = {.extra = harness_format(h, "plugin_opt_deny_file %s\n", list)};
	harness_broker_with(h, &options);
	struct device *one = device_new(h, "1"), *two = device_new(h, "2"), *three = device_new(h, "3"),
		      *handler = device_new_handler(h, "old-host");
	const long long now = (long long)time(NULL);
	three->token = token_by_secret(h,
		harness_format(h, "{\"user_id\":\"3\",\"jti\":\"5f0c2a\",\"exp\":%lld}", now + 3600),
		HARNESS_SECRET);
	device_connect(one);
	device_connect(two);
	device_connect(three);
	device_connect(handler);
	harness_write_file(h, "denied",
		harness_format(h,
			"user 1\nuser 2 before %lld # its phone was lost\ntoken 5f0c2a\nhandler old-host\n",
			now + 1000));
	reload(h, "closing its connection");
	harness_wait(h, is_gone, one, "the denied user's connection to be closed");
	harness_wait(h, is_gone, two, "that of the old token to be closed");
	harness_wait(h, is_gone, three, "that of the denied token to be closed");
	harness_wait(h, is_gone, handler, "the denied handler's connection to be closed");
	assert_int_equal(device_try_connect(one), REFUSED);
	assert_int_equal(device_try_connect(two), REFUSED);
	assert_int_equal(device_try_connect(three), REFUSED);
	assert_int_equal(device_try_connect(handler), REFUSED);
	/* Another token of the same user is not that token. */
	three->token = token_by_secret(
		h, harness_format(h, "{\"user_id\":\"3\",\"exp\":%lld}", now + 3600), HARNESS_SECRET);
	device_connect(three);
	/* A list that cannot be right changes nothing. */
	harness_write_file(h, "denied", "user 3\nuzer 1\n");
	reload(h, "the deny list stays the one that was read before");
	assert_int_equal(broker_count_log(harness_broker(h), "denied:2: expected user ID"), 1);
	assert_int_equal(device_try_connect(one), REFUSED);
	assert_int_equal(connack_of(h, "4", device_new(h, "4")->token), 0);
	harness_write_file(h, "denied", harness_format(h, "user 2 before %lld\n", now - 1000));
	reload(h, "denied denies 1");
	device_connect(one);
	device_connect(two);
	assert_true(three->connected);
}

/* ---- The whole ---- */

/* The host has the handlers' secret alone, a phone a token of the provider's. */
HARNESS_CASE(a_host_serves_users_of_an_identity_provider)
{
	EVP_PKEY *point = maker_curve("P-256");
	const struct broker_options options = {
		.extra = harness_format(h,
			ORIGIN "plugin_opt_handler_secret_file %s\nplugin_opt_users_jwks_file %s\n",
			harness_write_file(h, "handlers", HANDLERS_SECRET "\n"),
			harness_write_file(h, "jwks.json", set_of(h, point, "")))};
	harness_broker_with(h, &options);
	harness_database(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "JWT_SECRET", NULL);
	host_set(host, "JWT_HANDLER_SECRET", HANDLERS_SECRET);
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	phone->token = token_by_key(h, "{\"alg\":\"ES256\"}", claims_of(h, "68946"), point, EVP_sha256());
	device_connect(phone);
	device_command(phone, "get_apples", "{}");
	device_expect(phone, "got_apples");
	EVP_PKEY_free(point);
}

HARNESS_MAIN(HARNESS_TEST(each_key_is_for_its_own_tokens), HARNESS_TEST(one_secret_for_both_is_warned_of),
	HARNESS_TEST(keys_change_while_the_broker_runs), HARNESS_TEST(what_a_token_says_of_its_origin),
	HARNESS_TEST(whom_a_token_is_for), HARNESS_TEST(a_deny_list_ends_connections),
	HARNESS_TEST(a_host_serves_users_of_an_identity_provider))
