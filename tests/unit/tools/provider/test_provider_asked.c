/* test_provider_asked.c - provider_asked.c: a provider is asked once a minute at most, by all processes together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "empty_folder.h"
#include "provider_asked.h"
#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void asked_before(void **state)
{
	(void)state;
	static const struct {
		const char *text; /* of the stamp; NULL: it is that many seconds ago */
		int64_t ago_s;
		bool is_soon;
	} cases[] = {
		{"", 0, false},
		{NULL, 0, true},
		{NULL, 50, true},
		{NULL, 61, false},
		{NULL, 100000, false},
		/* The clock was set back: not for an hour nobody would ask. */
		{NULL, -3600, false},
		{"what is this", 0, false},
		{"99999999999999999999999999999999", 0, false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[64], reason[PROVIDER_REASON_SIZE] = "";
		(void)snprintf(text, sizeof(text), "%lld\n", (long long)(time(NULL) - cases[i].ago_s));
		write_file("jwks.json.asked", cases[i].text ? cases[i].text : text);
		int lock = -1;
		const int error = provider_asked_begin("jwks.json", &lock, reason);
		if (error != (cases[i].is_soon ? PROVIDER_E_SOON : 0))
			fail_msg("case %zu: %d %s", i, error, reason);
		if (error == 0)
			provider_asked_end(lock);
		else
			assert_non_null(strstr(reason, "less than 60 s ago"));
		/* Whatever came of asking, the next one is soon. */
		assert_int_equal(provider_asked_begin("jwks.json", &lock, reason), PROVIDER_E_SOON);
	}
}

/* Of several processes that come at once one asks. */
static void at_once(void **state)
{
	(void)state;
	enum { PROCESSES = 8 };
	unsigned asked = 0, soon = 0;
	for (unsigned i = 0; i < PROCESSES; i++) {
		const pid_t pid = fork();
		assert_return_code(pid, errno);
		if (pid == 0) {
			char reason[PROVIDER_REASON_SIZE];
			int lock;
			const int error = provider_asked_begin("jwks.json", &lock, reason);
			_exit(error == 0 ? 1 : error == PROVIDER_E_SOON ? 2 : 3);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		asked += WEXITSTATUS(status) == 1;
		soon += WEXITSTATUS(status) == 2;
	}
	assert_int_equal(asked, 1);
	assert_int_equal(soon, PROCESSES - 1);
}

/* Whether that process waits for a lock of this kind. */
static bool waits_for_lock(pid_t pid)
{
	char line[256], number[32];
	bool waits = false;
	(void)snprintf(number, sizeof(number), " %d ", pid);
	FILE *locks = fopen("/proc/locks", "re");
	assert_non_null(locks);
	while (fgets(line, sizeof(line), locks))
		waits = waits || (strstr(line, "-> FLOCK") && strstr(line, number));
	(void)fclose(locks);
	return waits;
}

/* Whoever comes while another one asks waits for its end, and is told then. */
static void meanwhile(void **state)
{
	(void)state;
	char reason[PROVIDER_REASON_SIZE] = "", stamp[32];
	int lock = -1, status;
	assert_int_equal(provider_asked_begin("jwks.json", &lock, reason), 0);
	/* What it would find if it did not wait. */
	write_file("jwks.json.asked", "");
	const pid_t pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		close(lock);
		const int error = provider_asked_begin("jwks.json", &lock, reason);
		_exit(error == PROVIDER_E_SOON ? 0 : 1);
	}
	while (!waits_for_lock(pid))
		assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	(void)snprintf(stamp, sizeof(stamp), "%lld\n", (long long)time(NULL));
	write_file("jwks.json.asked", stamp);
	provider_asked_end(lock);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void no_stamp(void **state)
{
	(void)state;
	static const struct {
		const char *path, *words;
	} cases[] = {
		{"missing/jwks.json", "missing/jwks.json.asked cannot be opened: No such file"},
		{"folder", "folder.asked cannot be opened: Is a directory"},
		{"link", "link.asked cannot be opened"},
		{"fifo", "fifo.asked cannot be opened: Invalid argument"},
	};
	assert_int_equal(mkdir("folder.asked", 0700), 0);
	assert_int_equal(symlink("elsewhere", "link.asked"), 0);
	assert_int_equal(mkfifo("fifo.asked", 0600), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char reason[PROVIDER_REASON_SIZE] = "";
		int lock;
		assert_int_equal(provider_asked_begin(cases[i].path, &lock, reason), PROVIDER_E_FILE);
		if (!strstr(reason, cases[i].words))
			fail_msg("%s: %s", cases[i].path, reason);
	}
	assert_int_equal(access("elsewhere", F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(asked_before, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(at_once, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(meanwhile, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(no_stamp, enter_folder, leave_folder),
	};
	return cmocka_run_group_tests_name("provider_asked", tests, NULL, NULL);
}
