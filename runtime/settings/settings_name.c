/*
 * settings_name.c - what is said of a name in .env that is no setting's.
 *
 * Happy path: it belongs to another program, which is a warning. Failure: it is nearly a setting's, or may be a piece of a secret; both are problems.
 * Nothing that may be a piece of a secret is shown.
 */
#include "settings_file.h"
#include "settings_private.h"

#include <string.h>

/* As settings are called, and not like a piece of base64. */
static bool is_written_as_name(const char *text)
{
	return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

/* What is left of a secret that goes on over a second line: letters, and the padding of base64 behind them. */
static bool is_end_of_secret(const struct settings_entry *entry)
{
	const bool is_base64 = entry->name[strcspn(entry->name, "_.-")] == '\0';
	return is_base64 && !is_written_as_name(entry->name) &&
	       (strcmp(entry->value, "") == 0 || strcmp(entry->value, "=") == 0);
}

/* A name that nothing reads. Nearly one of ours it is a typing error, which must not leave a default in force; else it may be for another program:
 * a .env is often shared, with compose for one. Text that may be a piece of a secret is not shown. */
void settings_name_unknown(struct settings_reader *reader, const char *path,
	const struct settings_entry *entry, const char *nearest)
{
	const bool is_problem = nearest || is_end_of_secret(entry);
	FILE *out = is_problem ? reader->problems : reader->warnings;
	reader->count += is_problem;
	fprintf(out, "%s:%u: ", path, entry->line);
	if (nearest)
		fprintf(out, "%.*s: there is no setting of that name; did you mean %s?\n", SETTINGS_NAME_MAX,
			entry->name, nearest);
	else if (is_problem)
		fputs("what stands before the = is no setting, and not shown, as it may be the second line of a secret (--help settings lists them)\n",
			out);
	else if (is_written_as_name(entry->name))
		fprintf(out, "%.*s is no setting of cashewd, and not used (--help settings lists them)\n",
			SETTINGS_NAME_MAX, entry->name);
	else
		fputs("what stands before the = is no setting of cashewd, and not used (--help settings lists them)\n",
			out);
}
