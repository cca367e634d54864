/* test_provider_keys.c - provider_keys.c and provider_fetch.c: what is taken from a provider, and that nothing else replaces the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "provider_keys.h"
#include "provider_parts.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OLD	     "what was there before\n"
#define X	     "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"

/* Those that are not waited for may be gone before the request is read. */
enum { PATIENT_MS = 30000, IMPATIENT_MS = 300, SLOW_ONES = 2 };

static int renew(const char *issuer, const char *ca, unsigned timeout_ms, struct provider_keys_news *news,
	char *reason)
{
	char ca_file[256], file[256];
	(void)snprintf(ca_file, sizeof(ca_file), "%s", parts_path(ca));
	(void)snprintf(file, sizeof(file), "%s", parts_path("jwks.json"));
	const struct provider_source source = {
		.issuer = issuer, .ca_file = ca_file, .timeout_ms = timeout_ms};
	return provider_keys_renew(&source, file, news, reason);
}

/* The old file stays, to the byte, and nothing is left beside it. */
static void expect_failure(const char *name, const char *issuer, const char *ca, unsigned timeout_ms,
	int expected, const char *words)
{
	char reason[PROVIDER_REASON_SIZE] = "";
	struct provider_keys_news news;
	parts_write("jwks.json", OLD);
	const unsigned count = parts_count();
	const int error = renew(issuer, ca, timeout_ms, &news, reason);
	if (error != expected || !strstr(reason, words))
		fail_msg("%s: %d \"%s\", expected %d \"%s\"", name, error, reason, expected, words);
	parts_expect(name, "jwks.json", OLD);
	assert_int_equal(parts_count(), count);
}

/* ---- An honest one ---- */

static void honest(void **state)
{
	(void)state;
	char reason[PROVIDER_REASON_SIZE] = "";
	struct provider_keys_news news = {.changed = false};
	struct stat status;
	parts_honest("1");
	(void)unlink(parts_path("jwks.json"));
	const mode_t was = umask(077);
	if (renew(parts_issuer, "ca.crt", PATIENT_MS, &news, reason) != 0)
		fail_msg("%s", reason);
	(void)umask(was);
	assert_true(news.changed);
	assert_int_equal(news.key_count, 1);
	assert_int_equal(news.passed_over, 0);
	char *set = parts_set(parts_rsa, "\"kid\":\"1\",\"use\":\"sig\",\"alg\":\"RS256\",");
	parts_expect("honest", "jwks.json", set);
	free(set);
	/* The broker is another user. */
	assert_int_equal(stat(parts_path("jwks.json"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0644);
	const ino_t file = status.st_ino;

	/* The same again: the file is the same one. */
	assert_int_equal(renew(parts_issuer, "ca.crt", PATIENT_MS, &news, reason), 0);
	assert_false(news.changed);
	assert_int_equal(stat(parts_path("jwks.json"), &status), 0);
	assert_int_equal(status.st_ino, file);

	struct token_keys keys;
	assert_int_equal(provider_keys_read(parts_path("jwks.json"), &keys, reason), 0);
	assert_int_equal(keys.count, 1);
	assert_string_equal(keys.keys[0].id, "1");
	token_keys_clear(&keys);

	parts_honest("2");
	assert_int_equal(renew(parts_issuer, "ca.crt", PATIENT_MS, &news, reason), 0);
	assert_true(news.changed);
}

/* Its issuer ends in a /, and has a path. */
static void issuers_of_all_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *behind, *path;
	} cases[] = {{"/", PARTS_DISCOVERY}, {"/realms/a", "/realms/a" PARTS_DISCOVERY}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char issuer[128], keys[128], reason[PROVIDER_REASON_SIZE] = "";
		struct provider_keys_news news;
		parts_honest("1");
		(void)snprintf(issuer, sizeof(issuer), "%s%s", parts_issuer, cases[i].behind);
		(void)snprintf(keys, sizeof(keys), "%s" PARTS_KEYS, parts_issuer);
		char *document = parts_document(issuer, keys);
		parts_say(cases[i].path, &(struct liar_answer){.body = document});
		free(document);
		if (renew(issuer, "ca.crt", PATIENT_MS, &news, reason) != 0)
			fail_msg("%s: %s", issuer, reason);
	}
}

/* ---- Liars ---- */

static void discovery_lies(void **state)
{
	(void)state;
	static char huge[PROVIDER_BODY_MAX + 2];
	memset(huge, ' ', sizeof(huge) - 1);
	huge[0] = '{';
	huge[sizeof(huge) - 2] = '}';
	static const struct {
		const char *name;
		struct liar_answer answer;
		unsigned timeout_ms;
		int error;
		const char *words;
	} cases[] = {
		{"another issuer",
			{.body = "{\"issuer\":\"https://evil.example\",\"jwks_uri\":\"https://evil.example/keys\"}"},
			PATIENT_MS, PROVIDER_E_ANSWER,
			"its issuer is \"https://evil.example\", not the https://localhost"},
		{"an issuer that is no address",
			{.body = "{\"issuer\":\"\\u001b[31mevil\",\"jwks_uri\":\"https://evil.example/keys\"}"},
			PATIENT_MS, PROVIDER_E_ANSWER, "its issuer is another one, not the"},
		{"no issuer", {.body = "{\"jwks_uri\":\"https://localhost/keys\"}"}, PATIENT_MS,
			PROVIDER_E_ANSWER, "it has no issuer"},
		{"an error as JSON", {.body = "{\"error\":\"not_found\"}"}, PATIENT_MS, PROVIDER_E_ANSWER,
			"no issuer"},
		{"a redirect", {.status = 302, .headers = "Location: https://evil.example/\r\n"}, PATIENT_MS,
			PROVIDER_E_ANSWER, "answers 302, and redirects are not followed"},
		{"a redirect to itself", {.status = 308, .headers = "Location: " PARTS_KEYS "\r\n"},
			PATIENT_MS, PROVIDER_E_ANSWER, "answers 308"},
		{"404", {.status = 404, .body = "{}"}, PATIENT_MS, PROVIDER_E_AWAY,
			"answers 404: expected 200"},
		{"503", {.status = 503}, PATIENT_MS, PROVIDER_E_AWAY, "answers 503"},
		{"201 with all that is wanted", {.status = 201, .body = "{}"}, PATIENT_MS, PROVIDER_E_AWAY,
			"answers 201"},
		{"HTML", {.headers = "Content-Type: text/html\r\n", .body = "<html>Welcome</html>"},
			PATIENT_MS, PROVIDER_E_ANSWER, "no JSON object"},
		{"nothing", {.body = ""}, PATIENT_MS, PROVIDER_E_ANSWER, "no JSON object"},
		{"a list", {.body = "[]"}, PATIENT_MS, PROVIDER_E_ANSWER, "no JSON object"},
		{"a key twice", {.body = "{\"issuer\":\"a\",\"issuer\":\"b\"}"}, PATIENT_MS,
			PROVIDER_E_ANSWER, "no JSON object"},
		{"half written", {.body = "{\"issuer\":\"https://local"}, PATIENT_MS, PROVIDER_E_ANSWER,
			"only a part"},
		{"cut", {.body = "{\"issuer\":\"a\"}         ", .manner = LIAR_CUTS}, PATIENT_MS,
			PROVIDER_E_AWAY, ": "},
		{"huge, and says so", {.body = huge}, PATIENT_MS, PROVIDER_E_ANSWER,
			"larger than 65536 bytes"},
		{"endless", {.manner = LIAR_ENDLESS}, PATIENT_MS, PROVIDER_E_ANSWER,
			"larger than 65536 bytes"},
		{"silent", {.manner = LIAR_SILENT}, IMPATIENT_MS, PROVIDER_E_AWAY, "timed out"},
		{"a byte now and then", {.manner = LIAR_TRICKLES}, IMPATIENT_MS, PROVIDER_E_AWAY,
			"timed out"},
		{"closed", {.manner = LIAR_CLOSES}, PATIENT_MS, PROVIDER_E_AWAY, ": "},
	};
	const unsigned before = liar_server_requests(parts_server);
	for (size_t i = 0; i < COUNT(cases); i++) {
		parts_honest("1");
		parts_say(PARTS_DISCOVERY, &cases[i].answer);
		expect_failure(cases[i].name, parts_issuer, "ca.crt", cases[i].timeout_ms, cases[i].error,
			cases[i].words);
	}
	/* It is right for whoever asks for it so. */
	parts_honest("1");
	char with_slash[80];
	(void)snprintf(with_slash, sizeof(with_slash), "%s/", parts_issuer);
	expect_failure("no / at the end", with_slash, "ca.crt", PATIENT_MS, PROVIDER_E_ANSWER,
		"also a / at the end");
	/* Nobody went where one of them pointed. The server takes one after the other, so it has seen all of them. */
	assert_in_range(
		liar_server_requests(parts_server) - before, COUNT(cases) + 1 - SLOW_ONES, COUNT(cases) + 1);
}

static void addresses_of_keys(void **state)
{
	(void)state;
	static const struct {
		const char *keys, *words;
	} cases[] = {
		{"http://localhost/keys", "jwks_uri does not begin with https://"},
		{"file:///etc/passwd", "jwks_uri does not begin with https://"},
		{"/keys", "jwks_uri does not begin with https://"},
		{"https://user:secret@localhost/keys", "jwks_uri has a user name"},
		{"https://localhost/a b", "jwks_uri has a character"},
		{"", "jwks_uri does not begin"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *document = parts_document(parts_issuer, cases[i].keys);
		parts_say(PARTS_DISCOVERY, &(struct liar_answer){.body = document});
		expect_failure(
			cases[i].keys, parts_issuer, "ca.crt", PATIENT_MS, PROVIDER_E_ANSWER, cases[i].words);
		free(document);
	}
	char document[256];
	(void)snprintf(document, sizeof(document), "{\"issuer\":\"%s\",\"jwks_uri\":[\"%s\"]}", parts_issuer,
		parts_issuer);
	parts_say(PARTS_DISCOVERY, &(struct liar_answer){.body = document});
	expect_failure(
		"a list", parts_issuer, "ca.crt", PATIENT_MS, PROVIDER_E_ANSWER, "jwks_uri is not there");
}

static void sets_that_cannot_be_used(void **state)
{
	(void)state;
	static char huge[PROVIDER_BODY_MAX + 2];
	memset(huge, ' ', sizeof(huge) - 1);
	EVP_PKEY *weak = maker_rsa(1024, 65537);
	char *weak_set = parts_set(weak, "\"kid\":\"1\","),
	     *good_set = parts_set(parts_rsa, "\"kid\":\"1\",");
	char *jwk = maker_jwk(parts_rsa, NULL, "\"kid\":\"1\","), *twice = NULL,
	     *half = strndup(good_set, strlen(good_set) / 2);
	assert_true(asprintf(&twice, "{\"keys\":[%s,%s]}", jwk, jwk) > 0);
	const struct {
		const char *name;
		struct liar_answer answer;
		unsigned timeout_ms;
		int error;
		const char *words;
	} cases[] = {
		{"not there", {.status = 404}, PATIENT_MS, PROVIDER_E_AWAY, "/keys: it answers 404"},
		{"gone", {.status = 410}, PATIENT_MS, PROVIDER_E_AWAY, "/keys: it answers 410"},
		{"a redirect",
			{.status = 307, .headers = "Location: https://localhost/\r\n", .body = good_set},
			PATIENT_MS, PROVIDER_E_ANSWER, "/keys: it answers 307"},
		{"huge", {.body = huge}, PATIENT_MS, PROVIDER_E_ANSWER,
			"/keys: its answer is larger than 65536"},
		{"endless", {.manner = LIAR_ENDLESS}, PATIENT_MS, PROVIDER_E_ANSWER,
			"/keys: its answer is larger than 65536"},
		{"half written", {.body = half}, PATIENT_MS, PROVIDER_E_ANSWER, "only a part of one"},
		{"cut", {.body = good_set, .manner = LIAR_CUTS}, PATIENT_MS, PROVIDER_E_AWAY, "/keys: "},
		{"silent", {.manner = LIAR_SILENT}, IMPATIENT_MS, PROVIDER_E_AWAY, "timed out"},
		{"HTML", {.body = "<html></html>"}, PATIENT_MS, PROVIDER_E_ANSWER, "no JSON object"},
		{"nothing", {.body = ""}, PATIENT_MS, PROVIDER_E_ANSWER, "no JSON object"},
		{"no keys", {.body = "{\"keys\":[]}"}, PATIENT_MS, PROVIDER_E_ANSWER,
			"no key for RS256 or ES256"},
		{"a key of another kind",
			{.body = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}"},
			PATIENT_MS, PROVIDER_E_ANSWER, "no key for RS256 or ES256"},
		{"a secret", {.body = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"}, PATIENT_MS,
			PROVIDER_E_ANSWER, "private"},
		{"two keys with one kid", {.body = twice}, PATIENT_MS, PROVIDER_E_ANSWER,
			"has the kid of another key, 1"},
		{"RSA of 1024 bits", {.body = weak_set}, PATIENT_MS, PROVIDER_E_ANSWER,
			"RSA key of 1024 bits"},
		{"a point off the curve",
			{.body = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" X
				 "\"}]}"},
			PATIENT_MS, PROVIDER_E_ANSWER, "not on its curve"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		parts_honest("1");
		parts_say(PARTS_KEYS, &cases[i].answer);
		expect_failure(cases[i].name, parts_issuer, "ca.crt", cases[i].timeout_ms, cases[i].error,
			cases[i].words);
	}
	/* A key of another kind beside one that can be used is passed over. */
	char *mixed = NULL, reason[PROVIDER_REASON_SIZE] = "";
	struct provider_keys_news news;
	assert_true(asprintf(&mixed, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"},%s]}",
			    jwk) > 0);
	parts_say(PARTS_KEYS, &(struct liar_answer){.body = mixed});
	assert_int_equal(renew(parts_issuer, "ca.crt", PATIENT_MS, &news, reason), 0);
	assert_int_equal(news.key_count, 1);
	assert_int_equal(news.passed_over, 1);
	char *const texts[] = {weak_set, good_set, jwk, twice, half, mixed};
	for (size_t i = 0; i < COUNT(texts); i++)
		free(texts[i]);
	EVP_PKEY_free(weak);
}

/* ---- Who is on the other side ---- */

static void not_verified(void **state)
{
	(void)state;
	static const struct {
		const char *certificate, *ca, *words;
	} cases[] = {
		{"expired.crt", "ca.crt", "expired"},
		{"wrong-name.crt", "ca.crt", "localhost"},
		{"other-ca.crt", "ca.crt", "certificate"},
		{"server.crt", "other-authority.crt", "certificate"},
		{"server.crt", "no-such-file.crt", "no-such-file.crt"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct liar_server *server = parts_start(cases[i].certificate);
		char issuer[64], keys[80];
		(void)snprintf(issuer, sizeof(issuer), "https://localhost:%u", liar_server_port(server));
		(void)snprintf(keys, sizeof(keys), "%s" PARTS_KEYS, issuer);
		char *document = parts_document(issuer, keys);
		liar_server_say(server, PARTS_DISCOVERY, &(struct liar_answer){.body = document});
		free(document);
		expect_failure(cases[i].certificate, issuer, cases[i].ca, PATIENT_MS, PROVIDER_E_AWAY,
			cases[i].words);
		assert_int_equal(liar_server_requests(server), 0);
		liar_server_stop(server);
		/* Nobody listens there any more. */
		expect_failure("away", issuer, "ca.crt", PATIENT_MS, PROVIDER_E_AWAY, issuer);
	}
	expect_failure("no such host", "https://provider.invalid", "ca.crt", IMPATIENT_MS, PROVIDER_E_AWAY,
		"provider.invalid");
}

/* ---- The file ---- */

static void files(void **state)
{
	(void)state;
	static char huge[TOKEN_KEY_FILE_MAX + 2];
	memset(huge, ' ', sizeof(huge) - 1);
	static const struct {
		const char *text, *words;
	} cases[] = {
		{NULL, "cannot be read: No such file"},
		{huge, "too large"},
		{"{\"keys\":[{\"kty\":\"RSA\"", "cannot be used: it is no JSON object, or only a part"},
		{"", "cannot be used"},
		{"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\"}]}", "RSA key of 1 bits"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct token_keys keys;
		char reason[PROVIDER_REASON_SIZE] = "";
		(void)unlink(parts_path("keys.json"));
		if (cases[i].text)
			parts_write("keys.json", cases[i].text);
		assert_int_equal(provider_keys_read(parts_path("keys.json"), &keys, reason), PROVIDER_E_FILE);
		if (!strstr(reason, cases[i].words) || !strstr(reason, "/keys.json "))
			fail_msg("case %zu: %s", i, reason);
		assert_int_equal(keys.count, 0);
	}
	struct token_keys keys;
	char reason[PROVIDER_REASON_SIZE] = "";
	assert_int_equal(mkfifo(parts_path("fifo"), 0600), 0);
	assert_int_equal(provider_keys_read(parts_path("fifo"), &keys, reason), PROVIDER_E_FILE);
	assert_non_null(strstr(reason, "not a regular file"));
	assert_int_equal(provider_keys_read(parts_folder, &keys, reason), PROVIDER_E_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest),
		cmocka_unit_test(issuers_of_all_kinds),
		cmocka_unit_test(discovery_lies),
		cmocka_unit_test(addresses_of_keys),
		cmocka_unit_test(sets_that_cannot_be_used),
		cmocka_unit_test(not_verified),
		cmocka_unit_test(files),
	};
	return cmocka_run_group_tests_name("provider_keys", tests, parts_setup, parts_teardown);
}
