/* Tests of resolver.c and the files that it reads: real files, a real lookup of 127.0.0.1. */
#include "resolver.h"

#include "handler_token.h"
#include "settings.h"
#include "tls_server.h"
#include "token.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

static char folder[] = "/tmp/cashewd-test-XXXXXX";
static struct certificate authority, client, locked;
static char fifo[96], rubbish[96], token_file[96], missing[96], torn[96], chain[96], torn_chain[96];

static struct settings settings_of_tests(void)
{
	return (struct settings){.client_id = "cashewd",
		.broker_host = "127.0.0.1",
		.broker_port = 1,
		.broker_tls = true,
		.broker_ca_file = authority.certificate_file,
		.broker_cert_file = "",
		.broker_key_file = "",
		.jwt_secret = "a secret of the tests, long enough for HS256",
		.handler_name = "apples",
		.handler_token_file = "",
		.token_lifetime_s = 60};
}

static void ask_locked(
	const struct settings *settings, const struct handler_topics *topics, struct resolver_answer *ret)
{
	struct resolver *resolver = NULL;
	struct resolver_request *request = NULL;
	assert_int_equal(resolver_new(settings, &resolver), 0);
	if (topics)
		assert_int_equal(resolver_lock(resolver, topics), 0);
	assert_int_equal(resolver_ask(resolver, NULL, &request), 0);
	struct pollfd entry = {.fd = resolver_poll_fd(request), .events = POLLIN};
	assert_int_equal(poll(&entry, 1, PATIENCE_MS), 1);
	assert_true(resolver_take(request, ret));
	resolver_forget(request);
	resolver_free(resolver);
}

static void ask(const struct settings *settings, struct resolver_answer *ret)
{
	ask_locked(settings, NULL, ret);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* What the file holds goes behind what is in `to`. */
static void append_file(const char *from, const char *to)
{
	char text[8192];
	FILE *file = fopen(from, "re");
	assert_non_null(file);
	const size_t size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[size] = '\0';
	file = fopen(to, "ae");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* ---- Tests ---- */

static void test_files(void **state)
{
	(void)state;
	write_text(torn, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	append_file(authority.certificate_file, torn);
	append_file(client.certificate_file, chain);
	append_file(client.certificate_file, torn_chain);
	append_file(torn, torn_chain);
	append_file(authority.certificate_file, chain);
	static const struct {
		const char *name, *authorities, *certificate, *key, *expected;
	} cases[] = {
		{"all", authority.certificate_file, client.certificate_file, client.key_file, NULL},
		{"system's authorities", "", "", "", NULL},
		{"chain", authority.certificate_file, chain, client.key_file, NULL},
		{"authorities: FIFO", fifo, "", "",
			"fifo: expected certificates in PEM format: it is not a regular file"},
		{"authorities: device", "/dev/zero", "", "",
			"BROKER_CA_FILE=/dev/zero: expected certificates in PEM format: it is not a regular file"},
		{"authorities: folder", "/tmp", "", "",
			"BROKER_CA_FILE=/tmp: expected certificates in PEM format: it is not a regular file"},
		{"authorities: missing", missing, "", "",
			"missing: expected certificates in PEM format: No such file or directory"},
		{"authorities: rubbish", rubbish, "", "",
			"rubbish: expected certificates in PEM format: no start line"},
		{"authorities: a key", authority.key_file, "", "",
			"authority.key: expected certificates in PEM format: no start line"},
		{"authorities: torn", torn, "", "", "torn: expected certificates in PEM format: "},
		{"certificate: FIFO", authority.certificate_file, fifo, client.key_file,
			"fifo: expected a certificate in PEM format: it is not a regular file"},
		{"certificate: rubbish", authority.certificate_file, rubbish, client.key_file,
			"rubbish: expected a certificate in PEM format: no start line"},
		{"certificate: torn", authority.certificate_file, torn, authority.key_file,
			"torn: expected a certificate in PEM format: "},
		{"certificate: another behind it is torn", authority.certificate_file, torn_chain,
			client.key_file, "torn_chain: expected a certificate in PEM format: "},
		{"key: FIFO", authority.certificate_file, client.certificate_file, fifo,
			"fifo: expected the private key of BROKER_CERT_FILE in PEM format: it is not a regular file"},
		{"key: another's", authority.certificate_file, client.certificate_file, authority.key_file,
			"authority.key: expected the private key of BROKER_CERT_FILE in PEM format: "},
		{"key: with a password", authority.certificate_file, locked.certificate_file, locked.key_file,
			"locked.key: expected the private key of BROKER_CERT_FILE in PEM format: bad password read"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings settings = settings_of_tests();
		settings.broker_ca_file = cases[i].authorities;
		settings.broker_cert_file = cases[i].certificate;
		settings.broker_key_file = cases[i].key;
		struct resolver_answer answer;
		char reason[TLS_REASON_SIZE] = "";
		ask(&settings, &answer);
		const int rc = tls_check(&settings, reason);
		assert_int_equal(rc, cases[i].expected ? TLS_E_SETTINGS : 0);
		if (answer.ok != !cases[i].expected ||
			(cases[i].expected && !strstr(answer.reason, cases[i].expected)))
			fail_msg("%s: \"%s\"", cases[i].name, answer.reason);
		if (cases[i].expected)
			assert_string_equal(answer.reason, reason);
		assert_true(!answer.addresses == !answer.ok && !answer.context == !answer.ok &&
			    !answer.token == !answer.ok);
		resolver_answer_free(&answer);
	}
}

static void test_token(void **state)
{
	(void)state;
	static const struct {
		const char *name, *file, *token, *expected;
	} cases[] = {
		{"file", token_file, "a.b.c", NULL},
		{"FIFO", fifo, NULL,
			"the handler's token cannot be read from HANDLER_TOKEN_FILE: it is not a regular file"},
		{"missing", missing, NULL,
			"the handler's token cannot be read from HANDLER_TOKEN_FILE: No such file or directory"},
		{"signed", "", "ey", NULL},
	};
	write_text(token_file, "a.b.c\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings settings = settings_of_tests();
		settings.broker_tls = false;
		settings.handler_token_file = cases[i].file;
		struct resolver_answer answer;
		ask(&settings, &answer);
		if (answer.ok != !cases[i].expected ||
			(cases[i].expected && strcmp(answer.reason, cases[i].expected) != 0))
			fail_msg("%s: \"%s\"", cases[i].name, answer.reason);
		assert_null(answer.context);
		if (cases[i].token)
			assert_memory_equal(answer.token, cases[i].token, strlen(cases[i].token));
		resolver_answer_free(&answer);
	}
}

/* The filters are copied: the caller's are gone when the token is signed. */
static void test_locked_token(void **state)
{
	(void)state;
	struct settings settings = settings_of_tests();
	settings.broker_tls = false;
	for (size_t count = 0; count <= 2; count++) {
		char first[] = "+/get_apples", second[] = "+/ping";
		const char *filters[] = {first, second};
		struct resolver_answer answer;
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE] = "";
		ask_locked(&settings, &(struct handler_topics){filters, count}, &answer);
		assert_true(answer.ok);
		assert_int_equal(token_verify(settings.jwt_secret, answer.token, strlen(answer.token),
					 (int64_t)time(NULL), false, &identity, reason),
			0);
		assert_string_equal(identity.filters,
			count == 0 ? " subscribe publish 3:+/# client_ids 7:cashewd"
			: count == 1
				? " subscribe 12:+/get_apples publish 3:+/# client_ids 7:cashewd"
				: " subscribe 12:+/get_apples 6:+/ping publish 3:+/# client_ids 7:cashewd");
		token_identity_clear(&identity);
		resolver_answer_free(&answer);
	}
}

/* Requests that are forgotten before, while and after they are answered, and a resolver that goes first. */
static void test_forgotten(void **state)
{
	(void)state;
	const struct settings settings = settings_of_tests();
	for (unsigned round = 0; round < 50; round++) {
		struct resolver *resolver = NULL;
		struct resolver_request *requests[8];
		assert_int_equal(resolver_new(&settings, &resolver), 0);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(resolver_ask(resolver, NULL, &requests[i]), 0);
		struct pollfd entry = {.fd = resolver_poll_fd(requests[round % 8]), .events = POLLIN};
		assert_int_equal(poll(&entry, 1, PATIENCE_MS), 1);
		if (round % 2 == 0)
			resolver_free(resolver);
		for (unsigned i = 8; i-- > 0;)
			resolver_forget(requests[i]);
		if (round % 2 != 0)
			resolver_free(resolver);
	}
	resolver_forget(NULL);
	resolver_free(NULL);
}

/* ---- All of them ---- */

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	authority = certificate_new(folder, "authority", "Authority of the tests", NULL, NULL, NULL);
	client = certificate_new(folder, "client", "client", NULL, &authority, NULL);
	locked = certificate_new(folder, "locked", "locked", NULL, &authority, "open sesame");
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	snprintf(rubbish, sizeof(rubbish), "%s/rubbish", folder);
	snprintf(token_file, sizeof(token_file), "%s/token", folder);
	snprintf(missing, sizeof(missing), "%s/missing", folder);
	snprintf(torn, sizeof(torn), "%s/torn", folder);
	snprintf(torn_chain, sizeof(torn_chain), "%s/torn_chain", folder);
	snprintf(chain, sizeof(chain), "%s/chain", folder);
	write_text(rubbish, "rubbish\n");
	return mkfifo(fifo, 0600);
}

static int tear_down(void **state)
{
	(void)state;
	const char *const paths[] = {authority.certificate_file, authority.key_file, client.certificate_file,
		client.key_file, locked.certificate_file, locked.key_file, fifo, rubbish, token_file, torn,
		chain, torn_chain};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		(void)unlink(paths[i]);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_locked_token),
		cmocka_unit_test(test_forgotten),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
