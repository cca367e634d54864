/*
 * test_token_wycheproof.c - token_key.c with the signatures of Project Wycheproof, which are made to be taken by verifiers that they should not be: RSA with
 * broken padding, points with numbers outside of the curve's order. wycheproof/take says where they come from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "token.h"
#include "token_base64.h"
#include "token_key.h"
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 2048 };

struct bytes {
	unsigned char bytes[BYTES_MAX];
	size_t size;
};

struct counts {
	unsigned keys, weak_keys, good, bad, undecided, passed_over;
};

static struct bytes decoded(const char *text)
{
	struct bytes bytes = {.size = 0};
	if (strcmp(text, ".") == 0)
		return bytes;
	const int size = token_base64_decode(text, strlen(text), bytes.bytes, BYTES_MAX);
	if (size < 0)
		fail_msg("no base64url: %s", text);
	bytes.size = (size_t)size;
	return bytes;
}

/* "RS256 N E" or "ES256 X Y". Wycheproof has RSA keys whose exponent is 3, which we do not take. */
static void take_key(char *line, struct token_key *key, struct counts *counts)
{
	char *rest = NULL, reason[TOKEN_REASON_SIZE] = "";
	const bool is_rsa = strcmp(strtok_r(line, " ", &rest), "RS256") == 0;
	const struct bytes first = decoded(strtok_r(NULL, " ", &rest)),
			   second = decoded(strtok_r(NULL, " ", &rest));
	token_key_clear(key);
	if (!is_rsa) {
		assert_int_equal(first.size, TOKEN_KEY_COORDINATE_SIZE);
		assert_int_equal(second.size, TOKEN_KEY_COORDINATE_SIZE);
	}
	const int error =
		is_rsa ? token_key_from_rsa(first.bytes, first.size, second.bytes, second.size, key, reason)
		       : token_key_from_point(first.bytes, second.bytes, key, reason);
	const bool is_weak = is_rsa && second.size == 1;
	if (error != (is_weak ? TOKEN_E_REFUSED : 0) || (is_weak && !strstr(reason, "exponent")))
		fail_msg("%.40s: %d %s", line, error, reason);
	counts->keys++;
	counts->weak_keys += is_weak;
}

/* "RESULT NUMBER MESSAGE SIGNATURE COMMENT". What is "acceptable" may be taken by those who read old signatures; who cannot tell stays out of it. */
static void check(char *line, const struct token_key *key, struct counts *counts)
{
	char *rest = NULL;
	const char *result = strtok_r(line, " ", &rest), *number = strtok_r(NULL, " ", &rest);
	const struct bytes message = decoded(strtok_r(NULL, " ", &rest)),
			   signature = decoded(strtok_r(NULL, " ", &rest));
	if (!key->public_key) {
		counts->passed_over++;
		return;
	}
	const bool taken =
		token_key_signed(key, message.bytes, message.size, signature.bytes, signature.size);
	if (strcmp(result, "acceptable") == 0) {
		counts->undecided++;
		return;
	}
	const bool good = strcmp(result, "valid") == 0;
	if (!good && strcmp(result, "invalid") != 0)
		fail_msg("%s: unknown", result);
	if (taken != good)
		fail_msg("%s %s: %s: %s", token_key_algorithm_name(key->algorithm), number, rest,
			taken ? "taken" : "refused");
	counts->good += good;
	counts->bad += !good;
}

static void wycheproof(void **state)
{
	(void)state;
	static const char path[] = SOURCE_DIR "/tests/unit/token/wycheproof/vectors.txt";
	FILE *file = fopen(path, "re");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	struct token_key key = {0};
	struct counts counts = {0};
	char *line = NULL;
	size_t room = 0;
	for (ssize_t size; (size = getline(&line, &room, file)) > 0;) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "RS256 ", 6) == 0 || strncmp(line, "ES256 ", 6) == 0)
			take_key(line, &key, &counts);
		else if (line[0] != '#')
			check(line, &key, &counts);
	}
	free(line);
	fclose(file);
	token_key_clear(&key);
	assert_int_equal(ERR_peek_error(), 0);
	print_message("%u keys (%u weak), %u good and %u bad signatures; %u undecided, %u by weak keys\n",
		counts.keys, counts.weak_keys, counts.good, counts.bad, counts.undecided, counts.passed_over);
	/* That it has looked at something. */
	assert_true(counts.keys > 100 && counts.good > 150 && counts.bad > 400);
	assert_true(counts.weak_keys > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(wycheproof)};
	return cmocka_run_group_tests_name("token_wycheproof", tests, NULL, NULL);
}
