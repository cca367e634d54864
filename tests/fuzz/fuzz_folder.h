/*
 * fuzz_folder.h - a folder of the target's own, for what is read from files. It is gone when the program ends by itself.
 */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include "fuzz.h"
#include <fcntl.h>
#include <unistd.h>

static char fuzz_folder_path[4096];

/* Deletes the files in it that are named; a list that NULL ends. */
FUZZ void fuzz_folder_clear(const char *const *names)
{
	char path[4200];
	for (; *names; names++) {
		snprintf(path, sizeof(path), "%s/%s", fuzz_folder_path, *names);
		(void)unlink(path);
	}
}

FUZZ void fuzz_folder_end(void)
{
	static const char *const names[] = {"input", "lock", "account", NULL};
	fuzz_folder_clear(names);
	(void)rmdir(fuzz_folder_path);
}

/* Made at the first call, in TMPDIR. */
FUZZ const char *fuzz_folder(void)
{
	const char *temporary = getenv("TMPDIR");
	if (fuzz_folder_path[0] != '\0')
		return fuzz_folder_path;
	snprintf(fuzz_folder_path, sizeof(fuzz_folder_path), "%s/cashew-fuzz.XXXXXX",
		temporary && temporary[0] != '\0' ? temporary : "/tmp");
	FUZZ_NEED(mkdtemp(fuzz_folder_path));
	FUZZ_NEED(atexit(fuzz_folder_end) == 0);
	return fuzz_folder_path;
}

/* Puts a file with these bytes there, for its owner alone. Its path, which stays until the next call. */
FUZZ const char *fuzz_folder_file(const char *name, const uint8_t *bytes, size_t size)
{
	static char path[4200];
	snprintf(path, sizeof(path), "%s/%s", fuzz_folder(), name);
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_NEED(fd >= 0);
	FUZZ_NEED(write(fd, size > 0 ? (const void *)bytes : "", size) == (ssize_t)size);
	FUZZ_NEED(close(fd) == 0);
	return path;
}

#endif
