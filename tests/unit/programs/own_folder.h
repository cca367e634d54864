/*
 * own_folder.h - a folder for each test of a program to run in, removed with what these tests put there. One test at a time.
 */
#ifndef OWN_FOLDER_H
#define OWN_FOLDER_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char own_folder[] = "/tmp/cashewd-test-XXXXXX";

/* For cmocka: 0 when the folder is there and the current one. */
static int enter_folder(void **state)
{
	(void)state;
	strcpy(own_folder + sizeof(own_folder) - sizeof("XXXXXX"), "XXXXXX");
	return !mkdtemp(own_folder) || chdir(own_folder) != 0 ? -1 : 0;
}

static int leave_folder(void **state)
{
	static const char *const names[] = {".env", "other.env", "in", "out", "err"};
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	return chdir("/") != 0 || rmdir(own_folder) != 0 ? -1 : 0;
}

#endif
