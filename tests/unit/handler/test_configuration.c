/* Tests of configuration.c: what is read is known to the log, so that no line holds it. */
#include "configuration.h"

#include "cashew.h"
#include "exit_codes.h"
#include "log_secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cashew_result do_nothing(cashew_command *command)
{
	(void)command;
	return CASHEW_DONE;
}

static const struct cashew_setting own_settings[] = {
	{.name = "APPLES_KEY", .secret = true, .help = "Key of the orchard."}, {.name = NULL}};
static const struct cashew_handler apples = {
	.name = "apples", .topic = "+/apples", .handle = do_nothing, .settings = own_settings};
static const struct cashew_handler *const handlers[] = {&apples, NULL};

static int read_from(char *const *environment)
{
	struct configuration configuration = {.handlers = NULL};
	char *problems = NULL;
	size_t size;
	FILE *stream = open_memstream(&problems, &size);
	assert_non_null(stream);
	const int error = configuration_read(
		&(const struct configuration_source){.environment = environment, .handlers = handlers},
		stream, &configuration);
	fclose(stream);
	if (error != 0)
		print_message("%s", problems);
	free(problems);
	configuration_free(&configuration);
	return error;
}

static void test_secrets_are_hidden(void **state)
{
	(void)state;
	static const char *const words[] = {"jwt-5ecret-that-is-long-enough-for-HS256",
		"l0ggly-t0ken-of-ours", "m0ng0-passw0rd", "0rchard-0f-apples", "svc:S3same#1",
		"from-the-pr0cess"};
	static char jwt[] = "JWT_SECRET=jwt-5ecret-that-is-long-enough-for-HS256",
		    host[] = "BROKER_HOST=broker.example",
		    url[] = "MONGO_DB_URL=mongodb://user:m0ng0-passw0rd@h",
		    token[] = "LOGGLY_TOKEN=l0ggly-t0ken-of-ours", own[] = "APPLES_KEY=0rchard-0f-apples",
		    proxy[] = "https_proxy=http://svc:S3same#1@proxy.example:3128";
	char *environment[] = {jwt, host, url, token, own, proxy, NULL};
	char text[256];
	/* What libraries read in this process is in its own environment. */
	assert_int_equal(setenv("ALL_PROXY", "http://from-the-pr0cess@proxy", 1), 0);
	assert_int_equal(read_from(environment), 0);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		snprintf(text, sizeof(text), "<%s>", words[i]);
		log_secret_hide(text);
		assert_string_equal(text, "<********>");
	}
	strcpy(text, "broker.example proxy.example apples");
	log_secret_hide(text);
	assert_string_equal(text, "broker.example proxy.example apples");
	unsetenv("ALL_PROXY");
	log_secret_forget();
}

static void test_bad_settings(void **state)
{
	(void)state;
	char *environment[] = {NULL};
	assert_int_equal(read_from(environment), EXIT_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets_are_hidden), cmocka_unit_test(test_bad_settings)};
	return cmocka_run_group_tests_name("configuration", tests, NULL, NULL);
}
