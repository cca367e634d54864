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

static const char *const option_names[] = {
	[SECRET_USERS] = "secret_file", [SECRET_HANDLERS] = "handler_secret_file"};
static const char *const variable_names[] = {
	[SECRET_USERS] = "JWT_SECRET", [SECRET_HANDLERS] = "JWT_HANDLER_SECRET"};

void secret_free(char *secret)
{
	if (secret) {
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
}

/* At SIGHUP it runs on the broker's only thread: opening a FIFO, or reading it, would stop that. */
static int file_read(const char *option, const char *path, char text[static SECRET_MAX + 3],
	struct secret_notes *notes, char *reason)
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
		(void)snprintf(reason, SECRET_REASON_SIZE, "%s %s is not a regular file", option, path);
		return SECRET_E_UNUSABLE;
	}
	if (size < 0) {
		(void)snprintf(reason, SECRET_REASON_SIZE, "%s %s cannot be read: %s", option, path,
			strerror(error));
		return SECRET_E_UNUSABLE;
	}
	text[size] = '\0';
	if (strlen(text) != (size_t)size) {
		(void)snprintf(reason, SECRET_REASON_SIZE, "%s %s holds a NUL byte", option, path);
		return SECRET_E_UNUSABLE;
	}
	if (value_text_secret_size(text, (size_t)size) > SECRET_MAX) {
		(void)snprintf(reason, SECRET_REASON_SIZE, "%s %s is larger than %d bytes", option, path,
			SECRET_MAX);
		return SECRET_E_UNUSABLE;
	}
	notes->readable_by_others = (status.st_mode & S_IROTH) != 0;
	(void)file_trust_doubt(&status, notes->doubt);
	return 0;
}

bool secret_given(enum secret_kind kind, const char *path)
{
	const char *given = getenv(variable_names[kind]);
	return path || (given && value_text_secret_size(given, strlen(given)) > 0);
}

const char *secret_source(enum secret_kind kind, const char *path)
{
	return path ? path : variable_names[kind];
}

int secret_read(enum secret_kind kind, const char *path, bool allow_short, char **ret_secret,
	struct secret_notes *ret_notes, char reason[static SECRET_REASON_SIZE])
{
	char text[SECRET_MAX + 3] = "";
	struct secret_notes notes = {.oddity = NULL};
	const char *given = !path ? getenv(variable_names[kind]) : text, *source = secret_source(kind, path);
	if (path) {
		int error = file_read(option_names[kind], path, text, &notes, reason);
		if (error != 0)
			return error;
	}
	const size_t size = given ? value_text_secret_size(given, strlen(given)) : 0;
	if (size == 0) {
		(void)snprintf(reason, SECRET_REASON_SIZE,
			"%s is %s: give the secret by plugin_opt_%s, or by %s in the broker's environment",
			source, !given ? "not set" : "empty", option_names[kind], variable_names[kind]);
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
	notes.repeats = value_text_repeats(given, size);
	char *secret = strndup(given, size);
	explicit_bzero(text, sizeof(text));
	if (!secret)
		return -ENOMEM;
	*ret_secret = secret;
	*ret_notes = notes;
	return 0;
}
