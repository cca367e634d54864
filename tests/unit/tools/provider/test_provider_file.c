/* test_provider_file.c - provider_file.c: a file is replaced whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "empty_folder.h"
#include "provider_file.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void expect_text(const char *name, const char *expected)
{
	char text[64] = "";
	FILE *file = fopen(name, "re");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	(void)fclose(file);
	assert_string_equal(text, expected);
}

static unsigned files_here(void)
{
	unsigned count = 0;
	DIR *here = opendir(".");
	assert_non_null(here);
	for (const struct dirent *entry; (entry = readdir(here));)
		count += entry->d_name[0] != '.';
	(void)closedir(here);
	return count;
}

/* ---- Replacing ---- */

static void replaced(void **state)
{
	(void)state;
	char reason[PROVIDER_REASON_SIZE] = "", absolute[128];
	bool changed = false;
	assert_int_equal(provider_file_replace("a", "one", 3, &changed, reason), 0);
	assert_true(changed);
	expect_text("a", "one");
	/* Whoever has it open reads the old one to its end. */
	FILE *old = fopen("a", "re");
	assert_non_null(old);
	assert_int_equal(provider_file_replace("./a", "a longer one", 12, &changed, reason), 0);
	assert_true(changed);
	expect_text("a", "a longer one");
	char text[8] = "";
	assert_int_equal(fread(text, 1, sizeof(text) - 1, old), 3);
	(void)fclose(old);
	assert_int_equal(provider_file_replace("a", "a longer one", 12, &changed, reason), 0);
	assert_false(changed);
	/* The beginning of the old one is another one. */
	(void)snprintf(absolute, sizeof(absolute), "%s/a", empty_folder);
	assert_int_equal(provider_file_replace(absolute, "a long", 6, &changed, reason), 0);
	assert_true(changed);
	expect_text("a", "a long");
	assert_int_equal(files_here(), 1);
}

static void not_replaced(void **state)
{
	(void)state;
	static const struct {
		const char *path, *words;
	} cases[] = {
		{"folder", "folder is not a regular file"},
		{"fifo", "fifo is not a regular file"},
		{"link", "link is not a regular file"},
		{"dangling", "dangling is not a regular file"},
		{"/dev/null", "/dev/null is not a regular file"},
		{"missing/a", "missing/a cannot be replaced"},
		{"a/b", "a/b cannot be replaced: Not a directory"},
		{"folder/", "is not a regular file"},
	};
	write_file("a", "one");
	assert_int_equal(mkdir("folder", 0700), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(symlink("a", "link"), 0);
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char reason[PROVIDER_REASON_SIZE] = "";
		bool changed;
		assert_int_equal(
			provider_file_replace(cases[i].path, "two", 3, &changed, reason), PROVIDER_E_FILE);
		if (!strstr(reason, cases[i].words))
			fail_msg("%s: %s", cases[i].path, reason);
	}
	expect_text("a", "one");
	assert_int_equal(files_here(), 5);
}

static void path_too_long(void **state)
{
	(void)state;
	static char path[PROVIDER_FILE_PATH_MAX + 2];
	char reason[PROVIDER_REASON_SIZE] = "";
	bool changed;
	memset(path, 'a', sizeof(path) - 1);
	assert_int_equal(provider_file_replace(path, "two", 3, &changed, reason), PROVIDER_E_FILE);
	assert_non_null(strstr(reason, "too long"));
}

/* As on a disk that is full: the second half cannot be written. */
static void disk_full(void **state)
{
	(void)state;
	static char much[8192];
	write_file("a", "one");
	const pid_t pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		char reason[PROVIDER_REASON_SIZE] = "";
		bool changed;
		signal(SIGXFSZ, SIG_IGN);
		(void)setrlimit(RLIMIT_FSIZE, &(const struct rlimit){.rlim_cur = 4096, .rlim_max = 4096});
		const int error = provider_file_replace("a", much, sizeof(much), &changed, reason);
		_exit(error == PROVIDER_E_FILE && strstr(reason, "a cannot be replaced: File too large") ? 0
													 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_text("a", "one");
	assert_int_equal(files_here(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(replaced, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(not_replaced, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(path_too_long, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(disk_full, enter_folder, leave_folder),
	};
	return cmocka_run_group_tests_name("provider_file", tests, NULL, NULL);
}
