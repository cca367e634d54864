/* Tests of file_trust.c: owners, write bits, and the folder that a file is in. */
#include "file_trust.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those first */
#include <cmocka.h>

enum { MINE = 0, ROOTS, ANOTHERS };

static void test_files(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		mode_t mode;
		int whose;
		const char *said; /* a part of it; NULL: nothing */
	} cases[] = {
		{"private", S_IFREG | 0600, MINE, NULL},
		{"readable by all", S_IFREG | 0644, MINE, NULL},
		{"of root", S_IFREG | 0644, ROOTS, NULL},
		{"its group can write", S_IFREG | 0660, MINE, "others can write to it (mode 0660)"},
		{"all can write", S_IFREG | 0602, MINE, "others can write to it (mode 0602)"},
		{"all can write, root's", S_IFREG | 0666, ROOTS, "others can write to it (mode 0666)"},
		{"another's", S_IFREG | 0600, ANOTHERS, "it belongs to another user (uid "},
		{"another's that all can write", S_IFREG | 0666, ANOTHERS,
			"it belongs to another user (uid "},
		{"a folder that all can write", S_IFDIR | 0777, MINE, "mode 0777"},
		{"a folder that all can write, with the sticky bit", S_IFDIR | 01777, MINE, "mode 1777"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct stat status = {.st_mode = cases[i].mode,
			.st_uid = cases[i].whose == ROOTS      ? 0
				  : cases[i].whose == ANOTHERS ? geteuid() + 1
							       : geteuid()};
		char said[FILE_TRUST_SIZE] = "";
		print_message("  %s\n", cases[i].name);
		assert_int_equal(file_trust_doubt(&status, said), cases[i].said != NULL);
		if (cases[i].said)
			assert_non_null(strstr(said, cases[i].said));
		else
			assert_string_equal(said, "");
	}
}

static void test_folders(void **state)
{
	(void)state;
	static const struct {
		mode_t mode;
		bool doubted;
	} cases[] = {
		{0700, false}, {0755, false}, {01777, false}, {01770, false}, {0777, true}, {0775, true}};
	char folder[] = "/tmp/cashewd-test-XXXXXX", path[64], said[FILE_TRUST_SIZE];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/.env", folder);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %04o\n", (unsigned)cases[i].mode);
		assert_return_code(chmod(folder, cases[i].mode), errno);
		assert_int_equal(file_trust_doubt_folder(path, said), cases[i].doubted);
	}
	assert_return_code(chdir(folder), errno);
	assert_true(file_trust_doubt_folder(".env", said));
	if (geteuid() == 0) {
		assert_return_code(chmod(folder, 01700), errno);
		assert_return_code(chown(folder, 65534, (gid_t)-1), errno);
		assert_true(file_trust_doubt_folder(".env", said));
		assert_non_null(strstr(said, "uid 65534"));
	}
	assert_return_code(chdir("/"), errno);
	assert_return_code(rmdir(folder), errno);
	/* The root folder is root's; what is not there is for others to tell. */
	assert_false(file_trust_doubt_folder("/.env", said));
	assert_false(file_trust_doubt_folder(path, said));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_files), cmocka_unit_test(test_folders)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
