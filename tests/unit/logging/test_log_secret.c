/* Tests of log_secret.c: no eight characters in a row of a secret stay in a text, in whatever spelling, and nothing else goes. */
#include "log_secret.h"

#include <ctype.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PASSWORD "S3same#1&Open/+Se"
#define TOKEN	 "0123abcd-4567-EFGH-89ab-cdef01234567"
#define LONG	 "a secret of the tests, long enough for HS256"

static const char *const secrets[] = {PASSWORD, TOKEN, LONG};
enum { SECRETS = sizeof(secrets) / sizeof(secrets[0]) };

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < SECRETS; i++)
		if (log_secret_add(secrets[i]) != 0)
			return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_secret_forget();
	return 0;
}

static void test_texts(void **state)
{
	(void)state;
	static const struct {
		const char *name, *text, *expected;
	} cases[] = {
		{"nothing", "", ""},
		{"no secret", "connected to the broker 127.0.0.1:8883",
			"connected to the broker 127.0.0.1:8883"},
		{"as it is", "a " PASSWORD " b", "a ******** b"},
		{"alone", TOKEN, "********"},
		{"twice", TOKEN "," TOKEN, "********,********"},
		{"one after the other", TOKEN PASSWORD, "********"},
		{"other case", "user s3SAME#1&oPEN/+sE.", "user ********."},
		{"encoded", "GET /S3same%231%26Open%2f%2BSe HTTP", "GET /******** HTTP"},
		{"encoded where it need not be", "%53%33same%231&Open", "********"},
		{"encoded twice", "S3same%25231%2526Open", "********"},
		{"wrapped", "0123abcd-4567\r\n -EFGH-89ab", "********"},
		{"wrapped in a wrapped one", "0123\nabcd\n-456\n7-EF", "********"},
		{"with escapes", "S3same#1&Open\\/+Se", "********"},
		{"blanks as in a form", "a+secret+of+the+tests", "********"},
		{"a word of it", "signed with another secret is refused, as 9 of the 10",
			"signed with another secret is refused, as 9 of the 10"},
		{"eight of it", "x0123abcdx", "x********x"},
		{"eight of it encoded", "=S3same%231=", "=********="},
		{"seven of it", "x0123abcx", "x0123abcx"},
		{"cut at its end", "token 0123abcd-4567-EF", "token ********"},
		{"cut at its beginning", "cdef01234567, they say", "********, they say"},
		{"a percent sign at the end", "100%", "100%"},
		{"a cut escape", "S3same#1%2", "********%2"},
		{"a cut escape of it", "S3same#1%26Open%2", "********%2"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256];
		print_message("%s\n", cases[i].name);
		strcpy(text, cases[i].text);
		log_secret_hide(text);
		assert_string_equal(text, cases[i].expected);
	}
}

/* Without what a text may be wrapped with, small, decoded once. */
static void simplify(const char *text, char *ret)
{
	for (; *text != '\0'; text++) {
		unsigned code;
		char byte = *text;
		if (byte == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
			sscanf(text + 1, "%2x", &code);
			byte = (char)code;
			text += 2;
		}
		if (!strchr(" \r\n\t", byte))
			*ret++ = (char)tolower((unsigned char)byte);
	}
	*ret = '\0';
}

static void assert_no_piece(const char *text, const char *secret)
{
	char simple_text[512], simple_secret[128], piece[LOG_SECRET_RUN + 1];
	simplify(text, simple_text);
	simplify(secret, simple_secret);
	for (size_t i = 0; i + LOG_SECRET_RUN <= strlen(simple_secret); i++) {
		snprintf(piece, sizeof(piece), "%.8s", simple_secret + i);
		if (strstr(simple_text, piece))
			fail_msg("'%s' is in '%s'", piece, text);
	}
}

/* Every way in which somebody may have spelled it: by chance, as a generator with a fixed seed throws it. */
static void test_spellings(void **state)
{
	(void)state;
	unsigned seed = 7;
	for (unsigned round = 0; round < 20000; round++) {
		const char *secret = secrets[round % SECRETS];
		char text[512], *to = text;
		const size_t size = strlen(secret), from = (unsigned)rand_r(&seed) % size;
		const size_t count = 1 + (unsigned)rand_r(&seed) % (size - from);
		to += sprintf(to, "before<");
		const char *const begin = to;
		for (size_t i = from; i < from + count; i++) {
			const char c = secret[i];
			switch (rand_r(&seed) % 8) {
			case 0: to += sprintf(to, "%%%02x", (unsigned char)c); break;
			case 1: to += sprintf(to, "%%%02X", (unsigned char)c); break;
			case 2: *to++ = (char)toupper((unsigned char)c); break;
			case 3: to += sprintf(to, "\r\n %c", c); break;
			default: *to++ = c;
			}
		}
		strcpy(to, ">behind");
		const size_t spelled = strlen(begin) - strlen(">behind");
		log_secret_hide(text);
		assert_no_piece(text, secret);
		assert_memory_equal(text, "before<", 7);
		assert_string_equal(text + strlen(text) - 7, ">behind");
		assert_true(spelled > 0);
	}
}

static void test_short_secrets(void **state)
{
	(void)state;
	static const struct {
		const char *text, *expected;
	} cases[] = {{"login as svc:hunt2 failed", "login as svc:***** failed"}, {"HUNT2", "*****"},
		{"hunt2 hunt2", "***** *****"}, {"the hunt21 goes on", "the hunt21 goes on"}};
	assert_int_equal(log_secret_add("hunt2"), 0);
	/* Too short to be looked for: half of all lines would have it. */
	assert_int_equal(log_secret_add("a"), 0);
	assert_int_equal(log_secret_add(""), 0);
	assert_int_equal(log_secret_add(NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];
		strcpy(text, cases[i].text);
		log_secret_hide(text);
		assert_string_equal(text, cases[i].expected);
	}
}

/* However many tokens come and go, the settings' secrets stay known, and so do the last tokens. */
static void test_passing(void **state)
{
	(void)state;
	char text[128];
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "eyJ0%08x%08x", i * 2654435761U, i);
		assert_int_equal(log_secret_add_passing(text), 0);
	}
	log_secret_hide(text);
	assert_string_equal(text, "********");
	strcpy(text, TOKEN " " PASSWORD);
	log_secret_hide(text);
	assert_string_equal(text, "******** ********");
	snprintf(text, sizeof(text), "%08x", 3 * 2654435761U);
	log_secret_hide(text);
	assert_string_not_equal(text, "********");
}

/* While one thread makes tokens, others search; what they search for was there before. */
static atomic_bool ends;

static void *search(void *argument)
{
	size_t *rounds = argument;
	do {
		char text[] = "a " PASSWORD " b " TOKEN;
		log_secret_hide(text);
		if (strcmp(text, "a ******** b ********") != 0)
			abort();
		++*rounds;
	} while (!ends);
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t threads[2];
	size_t rounds[2] = {0};
	char token[64];
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, search, &rounds[i]), 0);
	for (unsigned i = 0; i < 500; i++) {
		snprintf(token, sizeof(token), "eyJ1%08x%08x", i * 2654435761U, i);
		assert_int_equal(log_secret_add_passing(token), 0);
	}
	ends = true;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(rounds[i] > 0);
	}
}

static void test_none(void **state)
{
	(void)state;
	char text[] = TOKEN;
	log_secret_forget();
	assert_false(log_secret_any());
	log_secret_hide(text);
	assert_string_equal(text, TOKEN);
	assert_int_equal(setup(NULL), 0);
	assert_true(log_secret_any());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_short_secrets),
		cmocka_unit_test(test_passing),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_none),
	};
	return cmocka_run_group_tests_name("log_secret", tests, setup, teardown);
}
