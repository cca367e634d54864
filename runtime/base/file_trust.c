/* file_trust.c - see file_trust.h. */
#include "file_trust.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool doubt(const struct stat *status, bool writable, char ret[static FILE_TRUST_SIZE])
{
	const unsigned mode = (unsigned)(status->st_mode & 07777);
	if (status->st_uid != 0 && status->st_uid != geteuid())
		(void)snprintf(ret, FILE_TRUST_SIZE,
			"it belongs to another user (uid %lu), who can change it: chown it to the one that runs this",
			(unsigned long)status->st_uid);
	else if (writable)
		(void)snprintf(
			ret, FILE_TRUST_SIZE, "others can write to it (mode %04o): chmod go-w it", mode);
	else
		return false;
	return true;
}

bool file_trust_doubt(const struct stat *status, char ret[static FILE_TRUST_SIZE])
{
	return doubt(status, (status->st_mode & (S_IWGRP | S_IWOTH)) != 0, ret);
}

bool file_trust_doubt_folder(const char *path, char ret[static FILE_TRUST_SIZE])
{
	char folder[4096];
	struct stat status;
	const char *slash = strrchr(path, '/');
	const size_t size = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
	if (size >= sizeof(folder))
		return false;
	memcpy(folder, slash ? path : ".", size);
	folder[size] = '\0';
	if (stat(folder, &status) != 0)
		return false;
	const bool writable = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0;
	return doubt(&status, writable, ret);
}
