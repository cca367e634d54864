/* test_cashew_token_provider.c - cashew-token jwks and exchange, as programs: command lines, what they print, exit codes, and how often a provider is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "provider_parts.h"
#include "token_program.h"
#include "token_verify.h"
#include <jansson.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET	     "0123456789abcdef0123456789abcdef"

/* ---- Running it ---- */

static const char *const with_secret[] = {"JWT_SECRET=" SECRET, NULL};

/* The usual command line, with some more arguments behind it. */
static struct outcome exchange(const char *token, const char *const *more)
{
	const char *arguments[ARGUMENTS_MAX + 1] = {"exchange", "--issuer", parts_issuer, "--client-id",
		"app", "--jwks", "jwks.json", "--ca-file", "ca.crt"};
	size_t count = 9;
	for (size_t i = 0; more && more[i]; i++)
		arguments[count++] = more[i];
	return run(arguments, with_secret, token, NULL);
}

static void expect(const char *name, struct outcome *outcome, int code, const char *out, const char *err)
{
	if (outcome->code != code || (out && strcmp(outcome->out, out) != 0) || !strstr(outcome->err, err) ||
		(err[0] == '\0' && outcome->err[0] != '\0'))
		fail_msg("%s: exit code %d, \"%s\" \"%s\"", name, outcome->code, outcome->out, outcome->err);
	/* The secret stands nowhere. */
	assert_null(strstr(outcome->err, SECRET));
	outcome_free(outcome);
}

/* ---- Tokens ---- */

static char *id_token(const char *kid, const char *claims, int64_t lifetime_s)
{
	char header[64], *text = NULL;
	const struct maker_signer signer = {.key = parts_rsa, .digest = EVP_sha256()};
	const long long now = time(NULL);
	(void)snprintf(header, sizeof(header), "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid);
	assert_true(
		asprintf(&text,
			"{\"iss\":\"%s\",\"sub\":\"auth0|5f7\",\"aud\":\"app\",%s\"iat\":%lld,\"exp\":%lld}",
			parts_issuer, claims, now, now + lifetime_s) > 0);
	char *token = maker_token(header, text, &signer);
	free(text);
	return token;
}

/* Nothing but user_id, iat and exp, signed with the secret. */
static void expect_user_token(const char *line, int64_t ends_at_most)
{
	char token[4096], reason[TOKEN_REASON_SIZE] = "", *header = NULL, *text = NULL;
	struct token_identity identity;
	(void)snprintf(token, sizeof(token), "%.*s", (int)strcspn(line, "\n"), line);
	assert_string_equal(line + strlen(token), "\n");
	if (token_verify(SECRET, token, strlen(token), time(NULL), false, &identity, reason) != 0)
		fail_msg("%s", reason);
	assert_string_equal(identity.user_id, "auth0|5f7");
	assert_true(identity.expires <= ends_at_most);
	assert_int_equal(token_show(token, strlen(token), &header, &text, reason), 0);
	json_t *claims = json_loads(text, 0, NULL);
	assert_int_equal(json_object_size(claims), 3);
	assert_true(json_object_get(claims, "user_id") && json_object_get(claims, "iat") &&
		    json_object_get(claims, "exp"));
	json_decref(claims);
	free(header);
	free(text);
}

/* As on the first day: no keys, nobody asked, no .env. */
static int fresh(void **state)
{
	(void)state;
	static const char *const names[] = {"jwks.json", "jwks.json.asked", ".env"};
	for (size_t i = 0; i < COUNT(names); i++)
		(void)unlink(parts_path(names[i]));
	parts_honest("1");
	return 0;
}

/* ---- jwks ---- */

static void keys_are_fetched(void **state)
{
	(void)state;
	const char *const arguments[] = {
		"jwks", parts_issuer, "--out", "jwks.json", "--ca-file", "ca.crt", NULL};
	char said[128];
	(void)snprintf(said, sizeof(said), "jwks.json: 1 key of %s, 0 passed over\n", parts_issuer);
	/* It needs no secret. */
	struct outcome outcome = run(arguments, NULL, "", NULL);
	expect("first", &outcome, 0, said, "");
	outcome = run(arguments, NULL, "", NULL);
	expect("the same", &outcome, 0, "", "");
	char *before = parts_read("jwks.json");
	parts_say(PARTS_DISCOVERY, &(struct liar_answer){.status = 302, .headers = "Location: /\r\n"});
	outcome = run(arguments, NULL, "", NULL);
	expect("a redirect", &outcome, 65, "",
		"cashew-token jwks: https://localhost:"); /* and the rest: test_provider_keys.c */
	parts_expect("a redirect", "jwks.json", before);
	parts_say(PARTS_DISCOVERY, &(struct liar_answer){.status = 503});
	outcome = run(arguments, NULL, "", NULL);
	expect("away", &outcome, 69, "", "/.well-known/openid-configuration: it answers 503: expected 200\n");
	parts_expect("away", "jwks.json", before);
	free(before);
	const char *const unwritable[] = {
		"jwks", parts_issuer, "--out", "missing/jwks.json", "--ca-file", "ca.crt", NULL};
	parts_honest("1");
	outcome = run(unwritable, NULL, "", NULL);
	expect("a folder that is not there", &outcome, 74, "", "missing/jwks.json cannot be replaced");
	/* The system's authorities do not vouch for it. */
	const char *const without_ca[] = {"jwks", parts_issuer, "--out", "jwks.json", NULL};
	outcome = run(without_ca, NULL, "", NULL);
	expect("not vouched for", &outcome, 69, "", "certificate");
}

/* ---- exchange ---- */

static void exchanged(void **state)
{
	(void)state;
	static const struct {
		const char *claims;
		int64_t lifetime_s;
		const char *more[4];
		int64_t ends_in_s; /* what is made, at most */
	} cases[] = {
		{"", 86400, {NULL}, 3600},
		{"", 86400, {"--expires", "30d", NULL}, 86400},
		{"", 86400, {"--expires", "90s", NULL}, 90},
		{"", 60, {NULL}, 60},
		{"\"nonce\":\"n\",\"email\":\"a@b\",\"handler_\":1,\"azp\":\"app\",", 600,
			{"--nonce", "n", NULL}, 600},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = id_token("1", cases[i].claims, cases[i].lifetime_s);
		struct outcome outcome = exchange(token, cases[i].more);
		if (outcome.code != 0)
			fail_msg("case %zu: %d %s", i, outcome.code, outcome.err);
		assert_string_equal(outcome.err, "");
		/* The clock has gone on since. */
		expect_user_token(outcome.out, time(NULL) + cases[i].ends_in_s);
		outcome_free(&outcome);
		free(token);
	}
}

/* The provider's end is the end, to the second. */
static void never_longer(void **state)
{
	(void)state;
	const int64_t before = time(NULL);
	char *token = id_token("1", "", 1000);
	struct outcome outcome = exchange(token, NULL);
	assert_int_equal(outcome.code, 0);
	struct token_identity identity;
	char reason[TOKEN_REASON_SIZE];
	assert_int_equal(token_verify(SECRET, outcome.out, strlen(outcome.out) - 1, time(NULL), false,
				 &identity, reason),
		0);
	assert_in_range(identity.expires, before + 1000, time(NULL) + 1000);
	char *text = NULL, *header = NULL;
	assert_int_equal(token_show(token, strlen(token), &header, &text, reason), 0);
	char expected[64];
	(void)snprintf(expected, sizeof(expected), "\"exp\": %lld", (long long)identity.expires);
	assert_non_null(strstr(text, expected));
	free(text);
	free(header);
	outcome_free(&outcome);
	free(token);
}

static void refused(void **state)
{
	(void)state;
	static const struct {
		const char *claims, *more[4], *words;
	} cases[] = {
		{"\"azp\":\"other\",", {NULL}, "azp"},
		{"\"typ\":\"Bearer\",", {NULL}, "no ID token"},
		{"", {"--nonce", "n", NULL}, "nonce"},
		{"", {"--claim-user", "email", NULL}, "no email"},
		{"\"handler\":{\"name\":\"cashewd\"},", {NULL}, "handler"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = id_token("1", cases[i].claims, 600);
		struct outcome outcome = exchange(token, cases[i].more);
		expect(cases[i].words, &outcome, 1, "", cases[i].words);
		free(token);
	}
	static char large[100000];
	memset(large, 'A', sizeof(large) - 1);
	static const char *const inputs[][2] = {{"", "the token is empty"}, {"\n", "the token is empty"},
		{"a.b.c", "header"}, {large, "larger than 4096"}};
	for (size_t i = 0; i < COUNT(inputs); i++) {
		struct outcome outcome = exchange(inputs[i][0], NULL);
		expect(inputs[i][1], &outcome, 1, "", inputs[i][1]);
	}
}

static void others_are_trusted_by_name(void **state)
{
	(void)state;
	const struct maker_signer signer = {.key = parts_rsa, .digest = EVP_sha256()};
	char *claims = NULL;
	const long long now = time(NULL);
	assert_true(
		asprintf(&claims,
			"{\"iss\":\"%s\",\"sub\":\"auth0|5f7\",\"aud\":[\"app\",\"api\"],\"iat\":%lld,\"exp\":%lld}",
			parts_issuer, now, now + 600) > 0);
	char *token = maker_token("{\"alg\":\"RS256\",\"kid\":\"1\"}", claims, &signer);
	struct outcome outcome = exchange(token, NULL);
	expect("not trusted", &outcome, 1, "", "nobody said to trust");
	outcome = exchange(token, (const char *const[]){"--trust-audience", "apis", NULL});
	expect("another", &outcome, 1, "", "nobody said to trust");
	outcome = exchange(
		token, (const char *const[]){"--trust-audience", "x", "--trust-audience", "api", NULL});
	assert_int_equal(outcome.code, 0);
	outcome_free(&outcome);
	const char *const another[] = {"exchange", "--issuer", parts_issuer, "--client-id", "another",
		"--jwks", "jwks.json", "--ca-file", "ca.crt", NULL};
	outcome = run(another, with_secret, token, NULL);
	expect("for others", &outcome, 1, "", "aud is not the audience");
	/* Another application of ours needs no trust. */
	outcome = exchange(token, (const char *const[]){"--client-id", "api", NULL});
	assert_int_equal(outcome.code, 0);
	outcome_free(&outcome);
	free(token);
	free(claims);
}

/* ---- How often the provider is asked ---- */

static void asked_before(int64_t ago_s)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%lld\n", (long long)(time(NULL) - ago_s));
	parts_write("jwks.json.asked", text);
}

static void unknown_kid(void **state)
{
	(void)state;
	char *known = id_token("1", "", 600), *next = id_token("2", "", 600);
	const unsigned start = liar_server_requests(parts_server);
	/* The first one finds no file. */
	struct outcome outcome = exchange(known, NULL);
	expect("no file", &outcome, 0, NULL, "");
	assert_int_equal(liar_server_requests(parts_server), start + 2);
	/* Whose key is there, nobody is asked. */
	for (unsigned i = 0; i < 3; i++) {
		outcome = exchange(known, NULL);
		expect("known", &outcome, 0, NULL, "");
	}
	assert_int_equal(liar_server_requests(parts_server), start + 2);
	/* The provider has a new key, but was asked just now. */
	parts_honest("2");
	for (unsigned i = 0; i < 3; i++) {
		outcome = exchange(next, NULL);
		expect("too soon", &outcome, 75, "",
			"the token's key is not in jwks.json, and the provider was asked for its keys less than 60 s ago\n");
	}
	assert_int_equal(liar_server_requests(parts_server), start + 2);
	asked_before(61);
	outcome = exchange(next, NULL);
	expect("a minute later", &outcome, 0, NULL, "");
	assert_int_equal(liar_server_requests(parts_server), start + 4);
	/* The old key is gone with that, and to say so makes nobody ask within the minute. */
	outcome = exchange(known, NULL);
	expect("the old one", &outcome, 75, "", "key is not in jwks.json");
	asked_before(61);
	outcome = exchange(known, NULL);
	expect("the old one, asked for", &outcome, 1, "", "the token's kid is that of no key\n");
	assert_int_equal(liar_server_requests(parts_server), start + 6);
	free(known);
	free(next);
}

/* What cannot be the provider's has nobody asked. */
static void garbage(void **state)
{
	(void)state;
	static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"3\"}",
		"{\"alg\":\"none\",\"kid\":\"3\"}", "{\"alg\":\"RS256\"}", "{\"alg\":\"RS256\",\"kid\":7}"};
	const struct maker_signer signer = {.secret = SECRET, .digest = EVP_sha256()};
	char *set = parts_set(parts_rsa, "\"kid\":\"1\",");
	parts_write("jwks.json", set);
	const unsigned start = liar_server_requests(parts_server);
	for (size_t i = 0; i < COUNT(headers); i++) {
		char *token = maker_token(headers[i], "{\"sub\":\"1\"}", &signer);
		struct outcome outcome = exchange(token, NULL);
		expect(headers[i], &outcome, 1, "", "the token");
		free(token);
	}
	assert_int_equal(liar_server_requests(parts_server), start);
	assert_int_equal(access(parts_path("jwks.json.asked"), F_OK), -1);
	free(set);
}

/* A provider that fails is not asked more often; what is in the file goes on counting. */
static void provider_fails(void **state)
{
	(void)state;
	char *known = id_token("1", "", 600), *next = id_token("2", "", 600);
	struct outcome outcome = exchange(known, NULL);
	expect("first", &outcome, 0, NULL, "");
	parts_say(PARTS_KEYS, &(struct liar_answer){.body = "<html></html>"});
	asked_before(61);
	const unsigned start = liar_server_requests(parts_server);
	outcome = exchange(next, NULL);
	expect("lies", &outcome, 65, "", "key is not in jwks.json, and https://localhost");
	outcome = exchange(next, NULL);
	expect("lies, soon", &outcome, 75, "", "less than 60 s ago");
	parts_say(PARTS_DISCOVERY, &(struct liar_answer){.status = 503});
	asked_before(61);
	outcome = exchange(next, NULL);
	expect("away", &outcome, 69, "", "answers 503");
	assert_int_equal(liar_server_requests(parts_server), start + 3);
	outcome = exchange(known, NULL);
	expect("known", &outcome, 0, NULL, "");
	free(known);
	free(next);
}

static void unusable_files(void **state)
{
	(void)state;
	char *token = id_token("1", "", 600);
	/* Half written, by somebody else: the provider has it whole. */
	parts_write("jwks.json", "{\"keys\":[{\"kty\":");
	struct outcome outcome = exchange(token, NULL);
	expect("half written", &outcome, 0, NULL, "");
	parts_write("jwks.json", "{\"keys\":[{\"kty\":");
	outcome = exchange(token, NULL);
	expect("half written, soon", &outcome, 75, "",
		"jwks.json cannot be used: it is no JSON object, or only a part of one\n");
	(void)unlink(parts_path("jwks.json"));
	outcome = exchange(token, NULL);
	expect("gone, soon", &outcome, 75, "", "jwks.json cannot be read: No such file");
	/* Where nothing can be written: with keys it is the token that is refused, without it is the file. */
	char *set = parts_set(parts_rsa, "\"kid\":\"0\",");
	parts_write("jwks.json", set);
	(void)unlink(parts_path("jwks.json.asked"));
	assert_int_equal(mkdir(parts_path("jwks.json.asked"), 0700), 0);
	outcome = exchange(token, NULL);
	expect("not to be renewed", &outcome, 1, "", "jwks.json.asked cannot be opened: Is a directory");
	(void)unlink(parts_path("jwks.json"));
	outcome = exchange(token, NULL);
	expect("nor made", &outcome, 74, "", "jwks.json.asked cannot be opened: Is a directory");
	assert_int_equal(rmdir(parts_path("jwks.json.asked")), 0);
	free(set);
	free(token);
}

/* ---- Command lines ---- */

#define EXCHANGE "exchange", "--issuer", "https://a.example", "--client-id", "b", "--jwks", "c"

static void command_lines(void **state)
{
	(void)state;
	static const struct {
		const char *arguments[12], *words;
	} cases[] = {
		{{"jwks"}, "cashew-token jwks: ISSUER is missing (see cashew-token jwks --help)\n"},
		{{"jwks", "https://a.example"}, "--out is missing"},
		{{"jwks", "https://a.example", "--out"}, "--out needs a value"},
		{{"jwks", "https://a.example", "--out", ""}, "--out is empty"},
		{{"jwks", "https://a.example", "b", "--out", "c"}, "expected one issuer"},
		{{"jwks", "http://a.example", "--out", "c"}, "the issuer does not begin with https://"},
		{{"jwks", "https://a.example?b", "--out", "c"}, "the issuer has a query"},
		{{"jwks", "https://a.example", "--out", "c", "--ca-file", ""}, "--ca-file is empty"},
		{{"jwks", "https://a.example", "--out", "c", "--insecure"}, "unknown option"},
		{{"jwks", "https://a.example", "--out", "c", "--client-id", "b"}, "unknown option"},
		{{"exchange"}, "--issuer is missing (see cashew-token exchange --help)\n"},
		{{"exchange", "--issuer", "https://a.example", "--jwks", "c"}, "--client-id is missing"},
		{{"exchange", "--issuer", "https://a.example", "--client-id", "b"}, "--jwks is missing"},
		{{"exchange", "--issuer", "a.example", "--client-id", "b", "--jwks", "c"},
			"the issuer does not"},
		{{EXCHANGE, "eyJhbGciOiJSUzI1NiJ9"}, "the ID token comes on standard input"},
		{{EXCHANGE, "--client-id", ""}, "--client-id is empty"},
		{{EXCHANGE, "--nonce", ""}, "--nonce is empty"},
		{{EXCHANGE, "--claim-user", ""}, "--claim-user is empty"},
		{{EXCHANGE, "--trust-audience", ""}, "--trust-audience is empty"},
		{{EXCHANGE, "--expires", "1w"}, "--expires: expected a number and s, m, h or d"},
		{{EXCHANGE, "--leeway", "90s"}, "unknown option"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct outcome outcome = run(cases[i].arguments, with_secret, "", NULL);
		expect(cases[i].words, &outcome, 64, "", cases[i].words);
	}
}

static void secrets(void **state)
{
	(void)state;
	static const char *const arguments[] = {EXCHANGE, NULL};
	static const struct {
		const char *settings[3], *words;
	} cases[] = {
		{{NULL}, "JWT_SECRET is not set"},
		{{"JWT_SECRET="}, "JWT_SECRET is empty"},
		{{"JWT_SECRET=short"}, "5 bytes: expected 32 or more"},
		{{"JWT_HANDLER_SECRET=" SECRET}, "JWT_SECRET is not set"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct outcome outcome = run(arguments, cases[i].settings, "", NULL);
		expect(cases[i].words, &outcome, 78, "", cases[i].words);
	}
	parts_write("other.env", "JWT_SECRET=" SECRET "\n");
	char *token = id_token("1", "", 600);
	const char *const with_file[] = {"exchange", "--issuer", parts_issuer, "--client-id", "app", "--jwks",
		"jwks.json", "--ca-file", "ca.crt", "--env-file", "other.env", NULL};
	struct outcome outcome = run(with_file, NULL, token, NULL);
	assert_int_equal(outcome.code, 0);
	expect_user_token(outcome.out, time(NULL) + 600);
	outcome_free(&outcome);
	free(token);
}

static void help(void **state)
{
	(void)state;
	static const char *const commands[] = {"jwks", "exchange"};
	for (size_t i = 0; i < COUNT(commands); i++) {
		const char *const arguments[] = {commands[i], "--help", NULL};
		struct outcome outcome = run(arguments, NULL, "", NULL);
		assert_int_equal(outcome.code, 0);
		size_t lines = 0;
		for (const char *line = outcome.out; *line != '\0'; line += strcspn(line, "\n") + 1, lines++)
			assert_in_range(strcspn(line, "\n"), 0, 80);
		assert_in_range(lines, 10, 24);
		outcome_free(&outcome);
		outcome = run(arguments, NULL, "", "/dev/full");
		assert_int_equal(outcome.code, 74);
		outcome_free(&outcome);
	}
	char *token = id_token("1", "", 600);
	const char *const arguments[] = {"exchange", "--issuer", parts_issuer, "--client-id", "app", "--jwks",
		"jwks.json", "--ca-file", "ca.crt", NULL};
	struct outcome outcome = run(arguments, with_secret, token, "/dev/full");
	assert_int_equal(outcome.code, 74);
	assert_non_null(strstr(outcome.err, "standard output cannot be written"));
	outcome_free(&outcome);
	free(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(keys_are_fetched, fresh),
		cmocka_unit_test_setup(exchanged, fresh),
		cmocka_unit_test_setup(never_longer, fresh),
		cmocka_unit_test_setup(refused, fresh),
		cmocka_unit_test_setup(others_are_trusted_by_name, fresh),
		cmocka_unit_test_setup(unknown_kid, fresh),
		cmocka_unit_test_setup(garbage, fresh),
		cmocka_unit_test_setup(provider_fails, fresh),
		cmocka_unit_test_setup(unusable_files, fresh),
		cmocka_unit_test_setup(command_lines, fresh),
		cmocka_unit_test_setup(secrets, fresh),
		cmocka_unit_test_setup(help, fresh),
	};
	return cmocka_run_group_tests_name("cashew_token_provider", tests, parts_setup, parts_teardown);
}
