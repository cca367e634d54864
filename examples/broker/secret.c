/* secret.c - the secret that tokens are signed with, from a file or the environment: see secret.h. */
#include "secret.h"
#include "token.h"
#include "value_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_MAX = 4096 };

void secret_free(char *secret)
{
	if (secret) {
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
}

/* At SIGHUP it runs on the broker's only thread: opening a FIFO, or reading it, would stop that. */
static int file_read(
	const char *path, char text[static SECRET_MAX + 3], bool *ret_readable_by_others, char *reason)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	const bool opened = fd >= 0 && fstat(fd, &status) == 0,
		   regular = opened && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
	ssize_t size = regular ? read(fd, text, SECRET_MAX + 2) : -1;
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (opened && !regular) {
		(void)snprintf(reason, SECRET_REASON_SIZE, "secret_file %s is not a regular file", path);
		return SECRET_E_UNUSABLE;
	}
	if (size < 0) {
		(void)snprintf(reason, SECRET_REASON_SIZE, "secret_file %s cannot be read: %s", path,
			strerror(error));
		return SECRET_E_UNUSABLE;
	}
	text[size] = '\0';
	if (strlen(text) != (size_t)size) {
		(void)snprintf(reason, SECRET_REASON_SIZE, "secret_file %s holds a NUL byte", path);
		return SECRET_E_UNUSABLE;
	}
	if (value_text_secret_size(text, (size_t)size) > SECRET_MAX) {
		(void)snprintf(reason, SECRET_REASON_SIZE, "secret_file %s is larger than %d bytes", path,
			SECRET_MAX);
		return SECRET_E_UNUSABLE;
	}
	*ret_readable_by_others = (status.st_mode & S_IROTH) != 0;
	return 0;
}

int secret_read(const char *path, bool allow_short, char **ret_secret, struct secret_notes *ret_notes,
	char reason[static SECRET_REASON_SIZE])
{
	char text[SECRET_MAX + 3] = "";
	struct secret_notes notes = {.oddity = NULL};
	const char *given = !path ? getenv("JWT_SECRET") : text, *source = !path ? "JWT_SECRET" : path;
	if (path) {
		int error = file_read(path, text, &notes.readable_by_others, reason);
		if (error != 0)
			return error;
	}
	const size_t size = given ? value_text_secret_size(given, strlen(given)) : 0;
	if (size == 0) {
		(void)snprintf(reason, SECRET_REASON_SIZE,
			"%s is %s: give the secret by plugin_opt_secret_file, or by JWT_SECRET in the broker's environment",
			source, !given ? "not set" : "empty");
		return SECRET_E_UNUSABLE;
	}
	if (size < TOKEN_SECRET_MIN && !allow_short) {
		(void)snprintf(reason, SECRET_REASON_SIZE,
			"the secret of %s has %zu bytes: HS256 wants %d or more (plugin_opt_allow_short_secret on accepts it all the same)",
			source, size, TOKEN_SECRET_MIN);
		explicit_bzero(text, sizeof(text));
		return SECRET_E_UNUSABLE;
	}
	notes.oddity = value_text_oddity(given, size);
	char *secret = strndup(given, size);
	explicit_bzero(text, sizeof(text));
	if (!secret)
		return -ENOMEM;
	*ret_secret = secret;
	*ret_notes = notes;
	return 0;
}
