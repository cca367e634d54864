/* settings_private.h - what the files settings*.c share and nobody else sees. "Own" settings are those that handlers declare. */
#ifndef SETTINGS_PRIVATE_H
#define SETTINGS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cashew_handler;
struct cashew_setting;
struct setting;
struct settings;
struct settings_entry;

/* The value of a handler's own setting. */
struct own_value {
	const struct cashew_setting *setting; /* the first declaration of that name */
	const char *value;
};

/* What struct settings owns: this, the values of the handlers' own settings, then the texts of both kinds of settings. */
struct settings_block {
	size_t size; /* of the block */
	size_t count;
	struct own_value values[];
};

/* Where the reading of settings tells what it found. */
struct settings_reader {
	FILE *problems, *warnings;
	unsigned count; /* of problems */
	bool unset;	/* something that must be set is not */
	bool unread;	/* the file of a secret could not be read, which was told */
	const struct cashew_handler *const *handlers;
};

/* Whether the setting's value may hold a secret: it is never shown, and one line end behind it is no part of it. */
bool settings_hides(const struct setting *setting);

/* ---- Secrets in files of their own ---- */

enum { SETTINGS_NAME_MAX = 64, SETTINGS_NAME_SIZE = 80 };

/* "JWT_SECRET" to "JWT_SECRET_FILE". False where the name is too long for that. */
bool settings_secret_file_name(const char *name, char ret[static SETTINGS_NAME_SIZE]);

/* The setting of the table whose secret's file the setting of that name names; NULL: it is no such name. */
const struct setting *settings_secret_file_of(const char *name);

struct settings_found;

/*
 * Reads the secret out of the file that the setting `name` names; where that was found is told in problems. 0 with *ret_size bytes of *ret, which
 * small_file_free() frees and which may hold a line end behind them; SETTINGS_E_INVALID after one problem; -ENOMEM.
 */
__attribute__((warn_unused_result)) int settings_secret_file_read(struct settings_reader *reader,
	const struct settings_found *found, const char *name, char **ret, size_t *ret_size);

/* Where a value was found. */
struct settings_found {
	const char *value; /* NULL: nowhere */
	const char *where; /* the file; NULL: the environment, or the default */
	unsigned line;
	bool is_default;
};

/* Writes "file:line: " or "environment: " before what is said of it; nothing of a default. */
void settings_where(const struct settings_found *found, FILE *out);

/* Begins a problem's line and counts it: where, name and, if `show`, what was found. The caller ends the line. */
void settings_problem(
	struct settings_reader *reader, const struct settings_found *found, const char *name, bool show);

/* Warns of a value that was found, and not by default, where it is one that nobody types on purpose: see value_text.h. */
void settings_warn_of_oddity(
	struct settings_reader *reader, const struct settings_found *found, const char *name);

/* Stores what was found in the setting's field, or tells what is wrong with it. A text is not copied. */
void settings_store(struct settings_reader *reader, const struct setting *setting,
	const struct settings_found *found, struct settings *settings);

/* A setting of an earlier version: setting it does nothing but to bring a warning. */
struct retired_setting {
	const char *name;
	const char *advice; /* what to do, one sentence */
};

extern const struct retired_setting settings_retired[]; /* ended by a name that is NULL */

/* Whether a connection string's option of that name may hold a secret. */
bool settings_option_is_secret(const char *name, size_t size);

/* Tells of an assignment in the .env at path whose name nothing reads. nearest: the setting that was probably meant; NULL: none. */
void settings_name_unknown(struct settings_reader *reader, const char *path,
	const struct settings_entry *entry, const char *nearest);

/* Tells what is wrong between settings whose values are each in range. */
void settings_check(struct settings_reader *reader, const struct settings *settings);

/* Warns of what can be used and should not be: secrets that are guessed, files that others can change, ways on which others can listen. */
void settings_risks(struct settings_reader *reader, const struct settings *settings);

#endif
