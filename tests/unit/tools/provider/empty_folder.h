/*
 * empty_folder.h - a folder for each test to run in, removed with all that is in it. One test at a time. Included after cmocka.
 */
#ifndef EMPTY_FOLDER_H
#define EMPTY_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char empty_folder[64];

/* For cmocka: 0 when the folder is there and the current one. */
static int enter_folder(void **state)
{
	(void)state;
	strcpy(empty_folder, "/tmp/cashewd-test-XXXXXX");
	return !mkdtemp(empty_folder) || chdir(empty_folder) != 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static int leave_folder(void **state)
{
	(void)state;
	return chdir("/") != 0 ? -1 : nftw(empty_folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

#endif
