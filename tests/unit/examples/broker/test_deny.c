/* test_deny.c - deny.c of the broker's plugin: what a list may hold, and whom it denies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its source is part of the test. */
#include "deny.c"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIXTY_FOUR   "0123456789012345678901234567890123456789012345678901234567890123"

static char path[] = "/tmp/cashew-deny-test-XXXXXX";
static char told[1024];

static void keep(enum keys_level level, const char *text)
{
	(void)level;
	snprintf(told, sizeof(told), "%s", text);
}

static int make_file(void **state)
{
	(void)state;
	const int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static int read_list(const char *text, size_t size, struct deny **ret_deny)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	told[0] = '\0';
	return deny_read(path, ret_deny, keep);
}

static void lists(void **state)
{
	(void)state;
#define BYTES(text) text, sizeof(text) - 1
	static const struct {
		const char *text;
		size_t size;
		const char *told; /* a part of it */
		int error;
	} cases[] = {
		{BYTES(""), " denies 0", 0},
		{BYTES("\n\n # nobody\n"), " denies 0", 0},
		{BYTES("user 1"), " denies 1", 0},
		{BYTES("user 1\nuser 2\r\n\thandler  a \ntoken x#y\n"), " denies 4", 0},
		{BYTES("user 1 # lost\nuser 2\t#\n"), " denies 2", 0},
		{BYTES("user 1# lost\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1\nuser 1 before 5\nuser 1 before 7\n"), " denies 1", 0},
		{BYTES("user " SIXTY_FOUR "\n"), " denies 1", 0},
		{BYTES("user auth0|5f.A_z-1 before 0\n"), " denies 1", 0},
		{BYTES("token " SIXTY_FOUR SIXTY_FOUR "\n"), " denies 1", 0},
		{BYTES("token " SIXTY_FOUR SIXTY_FOUR "0\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user " SIXTY_FOUR "4\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("\nuser\n"), ":2: expected user ID", DENY_E_UNUSABLE},
		{BYTES("user 1/2\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("uzer 1\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("User 1\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("1\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1 2\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1 before\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1 before x\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1 before -1\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1 before 2026-11-28\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1 before 1 2\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1 before 9999999999999999\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1 after 1\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("token x before 1\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("token\n"), ":1: expected", DENY_E_UNUSABLE},
		{BYTES("user 1\0\nuser 2\n"), ":1: expected", DENY_E_UNUSABLE},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct deny *deny = NULL;
		const int error = read_list(cases[i].text, cases[i].size, &deny);
		if (error != cases[i].error || !strstr(told, cases[i].told))
			fail_msg("\"%s\": %d, %s", cases[i].text, error, told);
		deny_free(deny);
	}
	struct deny *deny = NULL;
	assert_int_equal(deny_read("/nowhere/denied", &deny, keep), DENY_E_UNUSABLE);
	assert_non_null(strstr(told, "/nowhere/denied cannot be read: No such file"));
	assert_int_equal(deny_read("/tmp", &deny, keep), DENY_E_UNUSABLE);
	assert_null(deny);
	deny_free(NULL);
}

static void who_is_denied(void **state)
{
	(void)state;
	static const char list[] =
		"user 1\nuser 2 before 1000\nuser 3 before 10\nuser 3 before 1000\nuser 3 before 100\nuser 4 before 1\nuser 4\n"
		"handler old\nhandler h before 1000\ntoken 5f\ntoken 2\ntoken x#y # z\n";
	static const struct {
		const char *name;
		struct token_identity identity;
		bool denied;
	} cases[] = {
		{"never", {.user_id = "1", .issued = 5}, true},
		{"never, whenever", {.user_id = "1", .issued = INT64_MAX - 1}, true},
		{"a longer one", {.user_id = "11", .issued = 5}, false},
		{"another", {.user_id = "7", .issued = 5}, false},
		{"before", {.user_id = "2", .issued = 999}, true},
		{"not before", {.user_id = "2", .issued = 1000}, false},
		{"does not say when", {.user_id = "2", .issued = INT64_MIN}, true},
		{"the latest of several", {.user_id = "3", .issued = 999}, true},
		{"behind all of them", {.user_id = "3", .issued = 1000}, false},
		{"never, of two lines", {.user_id = "4", .issued = 1000}, true},
		{"a handler", {.is_handler = true, .name = "old", .issued = 5}, true},
		{"a user of its name", {.user_id = "old", .issued = 5}, false},
		{"a handler of a user's name", {.is_handler = true, .name = "1", .issued = 5}, false},
		{"a handler, before", {.is_handler = true, .name = "h", .issued = 999}, true},
		{"a handler, not before", {.is_handler = true, .name = "h", .issued = 1000}, false},
		{"a token", {.user_id = "7", .issued = 5, .id = "5f"}, true},
		{"a handler's token", {.is_handler = true, .name = "x", .issued = 5, .id = "5f"}, true},
		{"a token with a # in it", {.user_id = "7", .issued = 5, .id = "x#y"}, true},
		{"its beginning", {.user_id = "7", .issued = 5, .id = "x"}, false},
		{"another token", {.user_id = "7", .issued = 5, .id = "5f0"}, false},
		{"a token's name as a user", {.user_id = "5f", .issued = 5}, false},
		{"a user's name as a token", {.user_id = "7", .issued = 5, .id = "1"}, false},
		{"a token that looks like a line", {.user_id = "7", .issued = 5, .id = "x\nuser 1"}, false},
	};
	struct deny *deny = NULL;
	assert_int_equal(read_list(list, strlen(list), &deny), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (deny_holds(deny, &cases[i].identity) != cases[i].denied)
			fail_msg("%s", cases[i].name);
		assert_false(deny_holds(NULL, &cases[i].identity));
	}
	deny_free(deny);
}

static void many(void **state)
{
	(void)state;
	enum { USERS = 20000 };
	char *list = malloc((size_t)USERS * 16);
	assert_non_null(list);
	size_t size = 0;
	for (int i = 0; i < USERS; i++)
		size += (size_t)sprintf(list + size, "user %d\n", (i * 7919) % USERS * 2);
	struct deny *deny = NULL;
	assert_int_equal(read_list(list, size, &deny), 0);
	assert_non_null(strstr(told, " denies 20000"));
	for (int i = 0; i < USERS * 2; i++) {
		struct token_identity identity = {.issued = 5};
		sprintf(identity.user_id, "%d", i);
		if (deny_holds(deny, &identity) != (i % 2 == 0))
			fail_msg("user %d", i);
	}
	deny_free(deny);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists), cmocka_unit_test(who_is_denied), cmocka_unit_test(many)};
	return cmocka_run_group_tests_name("deny", tests, make_file, remove_file);
}
