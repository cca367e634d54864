/*
 * settings_file.h - a .env file as names and values, read as the npm package dotenv (version 16) reads it.
 *
 * Happy path: settings_file_read(), settings_file_find() per name, settings_file_free().
 * Where dotenv skips a line that is no assignment in silence, this is a problem that names the line: a typing
 * error must not leave a default in force. What dotenv reads differently from what its author may have meant
 * is a warning.
 */
#ifndef SETTINGS_FILE_H
#define SETTINGS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { SETTINGS_FILE_SIZE_MAX = 256 * 1024 };

/* How long a FIFO or a device is waited for, until its end: half a minute, since a person may have to unlock what writes it. Tests wait less. */
extern unsigned settings_file_wait_ms;

enum settings_file_error { SETTINGS_FILE_E_INVALID = 1 };

/* One assignment. Both texts live until settings_file_free(). */
struct settings_entry {
	const char *name;
	const char *value;
	unsigned line; /* where it begins: 1 for the first */
};

struct settings_file {
	char *text; /* the file's bytes, cut into names and values; NULL for a missing file */
	size_t size;
	struct settings_entry *entries; /* in the file's order; a name may occur more than once */
	size_t count;
};

/*
 * Reads the file at path, and everything in it that can be read also after a problem. 0 and *ret, owned by
 * the caller; a missing file is an empty one. SETTINGS_FILE_E_INVALID and *ret likewise after writing one
 * line per problem to `problems` (unreadable, too large, a NUL byte, a line that is no assignment); -ENOMEM
 * with *ret untouched. What is no regular file, as password managers and <(...) have it, is waited for,
 * settings_file_wait_ms at most, and no longer when SIGTERM or SIGINT is pending: each is a problem. Never
 * writes a value of the file to either stream. Warnings: others can read the file; a quote that is not
 * closed; a # inside an unquoted word.
 */
__attribute__((warn_unused_result)) int settings_file_read(
	const char *path, FILE *problems, FILE *warnings, struct settings_file *ret);

/*
 * Whether there is a file at path. Where there is none, that is a line on `problems`: for a file that was named on the command line, while a .env that
 * nobody asked for may be missing.
 */
bool settings_file_exists(const char *path, FILE *problems);

/*
 * Whether the file at path can be read once more by a thread that must not wait: it is a regular file, missing, or /dev/null. Where it is not, as
 * a FIFO or <(...), which need not be written a second time, that is a line on `problems`.
 */
bool settings_file_rereadable(const char *path, FILE *problems);

/*
 * Says on `out` that there is no file at path, in which folder it was looked for, and how to get one: one line. Nothing where there is one, or where
 * path is empty. For whoever has found that a setting is missing.
 */
void settings_file_tell_missing(const char *path, FILE *out);

/* The last assignment of that name, which is the one that counts; NULL if there is none. */
const struct settings_entry *settings_file_find(const struct settings_file *file, const char *name);

/* Overwrites the texts (they hold secrets) and frees them. An all-zero structure is fine. */
void settings_file_free(struct settings_file *file);

#endif
