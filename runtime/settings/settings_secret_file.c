/*
 * settings_secret_file.c - a secret in a file of its own, as containers and systemd mount them: the setting NAME_FILE names the file that holds NAME.
 *
 * Happy path: the file is read once, while the settings are, and holds the secret and at most one line end behind it. Failure: one that cannot be
 * read, is no regular file, is empty or too large, or holds a NUL byte is a problem that names setting and file. Warned of is a file that everybody
 * can read, or that others can change. Never said is what the file holds, nor a name that may be the secret itself, put there by mistake.
 */
#include "settings.h"

#include "file_trust.h"
#include "settings_private.h"
#include "small_file.h"
#include "value_text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { SECRET_FILE_MAX = 64 * 1024 };

#define ENDING "_FILE"

bool settings_secret_file_name(const char *name, char ret[static SETTINGS_NAME_SIZE])
{
	return (size_t)snprintf(ret, SETTINGS_NAME_SIZE, "%s" ENDING, name) < SETTINGS_NAME_SIZE;
}

const struct setting *settings_secret_file_of(const char *name)
{
	for (size_t i = 0; i < settings_count; i++)
		if (settings_table[i].file_name && strcmp(settings_table[i].file_name, name) == 0)
			return &settings_table[i];
	return NULL;
}

/* A name that is not there is told only where its folder is: base64 and connection strings may begin like a path. */
static bool may_be_shown(const char *path)
{
	char folder[4096];
	struct stat status;
	const char *slash = strrchr(path, '/');
	const size_t size = slash ? (size_t)(slash - path) : 0;
	if (stat(path, &status) == 0)
		return true;
	if (size == 0 || size >= sizeof(folder))
		return false;
	memcpy(folder, path, size);
	folder[size] = '\0';
	return stat(folder, &status) == 0 && S_ISDIR(status.st_mode);
}

static int fail(struct settings_reader *reader, const struct settings_found *found, const char *name,
	const char *what, const char *expected)
{
	const bool show = may_be_shown(found->value);
	settings_problem(reader, found, name, show);
	fprintf(reader->problems, "%s%s%s\n", what,
		show ? "" : " (its name is not shown, as it may be the secret itself)", expected);
	return SETTINGS_E_INVALID;
}

static void look_at_rights(
	struct settings_reader *reader, const struct settings_found *found, const char *name)
{
	struct stat status;
	char doubt[FILE_TRUST_SIZE];
	if (stat(found->value, &status) != 0)
		return;
	/* The group's right to read is how systemd says that the service's user has it. */
	if ((status.st_mode & S_IROTH) != 0)
		fprintf(reader->warnings,
			"%s=%s: everybody can read it (mode %04o), and it holds a secret: chmod o-r it\n",
			name, found->value, (unsigned)(status.st_mode & 07777));
	if (file_trust_doubt(&status, doubt))
		fprintf(reader->warnings, "%s=%s: %s\n", name, found->value, doubt);
}

int settings_secret_file_read(struct settings_reader *reader, const struct settings_found *found,
	const char *name, char **ret, size_t *ret_size)
{
	char *bytes = NULL;
	size_t size = 0;
	const int error = small_file_read(found->value, SECRET_FILE_MAX, &bytes, &size);
	if (error == -ENOMEM)
		return error;
	if (error == SMALL_FILE_E_SIZE)
		return fail(reader, found, name, "it is larger than 64 KiB",
			": expected a file that holds a secret and nothing else");
	if (error == SMALL_FILE_E_KIND)
		return fail(reader, found, name, small_file_explain(error),
			": expected one, since it is read again at SIGHUP");
	if (error != 0) {
		char what[128];
		snprintf(what, sizeof(what), "it cannot be read: %s", small_file_explain(error));
		return fail(reader, found, name, what, "");
	}
	const char *wrong = memchr(bytes, '\0', size)		       ? "it holds a NUL byte"
			    : value_text_secret_size(bytes, size) == 0 ? "it is empty"
								       : NULL;
	if (wrong) {
		small_file_free(bytes, size);
		return fail(reader, found, name, wrong, ": expected a secret, as text");
	}
	look_at_rights(reader, found, name);
	*ret = bytes;
	*ret_size = value_text_secret_size(bytes, size);
	return 0;
}

int settings_secret_file(
	const char *path, const char *name, FILE *problems, FILE *warnings, char **ret, size_t *ret_size)
{
	struct settings_reader reader = {.problems = problems, .warnings = warnings};
	/* Where the name was found is not known here, and not told. */
	const struct settings_found found = {.value = path, .is_default = true};
	return settings_secret_file_read(&reader, &found, name, ret, ret_size);
}
