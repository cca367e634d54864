/*
 * fuzz_env.c - .env (runtime/settings/settings_file.c). What was read and is written down again, in quotes, reads as the same; a problem names its
 * line; problems are told where, and only where, something is wrong.
 */
#include "fuzz_folder.h"
#include "settings_file.h"

enum { ENTRIES_MAX = 2 }; /* that are written down again: each costs as much as reading the file */

static char *problems, *warnings;
static size_t problems_size, warnings_size;

/* The streams' texts are free()d by whoever calls. */
static int read_file(const uint8_t *bytes, size_t size, struct settings_file *ret)
{
	const char *path = fuzz_folder_file("input", bytes, size);
	FILE *told = open_memstream(&problems, &problems_size),
	     *warned = open_memstream(&warnings, &warnings_size);
	FUZZ_NEED(told && warned);
	const int error = settings_file_read(path, told, warned, ret);
	FUZZ_NEED(fclose(told) == 0 && fclose(warned) == 0);
	return error;
}

static void free_texts(void)
{
	free(problems);
	free(warnings);
	problems = warnings = NULL;
}

/* Each line begins with the file's path. */
static void check_told(const char *text)
{
	char beginning[4300];
	snprintf(beginning, sizeof(beginning), "%s/input:", fuzz_folder());
	for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
		FUZZ_NEED(strncmp(at, beginning, strlen(beginning)) == 0);
		FUZZ_NEED(strchr(at, '\n'));
	}
}

static void check_entry(const struct settings_entry *entry, unsigned before, size_t lines)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	FUZZ_NEED(entry->name[0] != '\0' && entry->name[strspn(entry->name, characters)] == '\0');
	FUZZ_NEED(entry->line > before && entry->line <= lines);
}

/* The quote that a text can stand in, as it is; '\0': none. What is between " has its \n and \r undone, and a line end is one of Unix. */
static char quote_for(const char *value)
{
	const size_t size = strlen(value);
	if (strchr(value, '\r') || (size > 0 && value[size - 1] == '\\'))
		return '\0';
	return !strchr(value, '\'')			     ? '\''
	       : !strchr(value, '`')			     ? '`'
	       : !strchr(value, '"') && !strchr(value, '\\') ? '"'
							     : '\0';
}

static void check_again(const struct settings_entry *entry)
{
	const char quote = quote_for(entry->value);
	char *text = NULL;
	if (quote == '\0')
		return;
	const int size = asprintf(&text, "%s=%c%s%c\n", entry->name, quote, entry->value, quote);
	FUZZ_NEED(size > 0);
	struct settings_file file = {.text = NULL};
	const int error =
		size <= SETTINGS_FILE_SIZE_MAX ? read_file((const uint8_t *)text, (size_t)size, &file) : -1;
	if (error >= 0) {
		FUZZ_NEED(error == 0 && file.count == 1 && problems_size == 0 && warnings_size == 0);
		FUZZ_NEED(strcmp(file.entries[0].name, entry->name) == 0 &&
			  strcmp(file.entries[0].value, entry->value) == 0);
		settings_file_free(&file);
		free_texts();
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct settings_file file = {.text = NULL};
	const int error = read_file(bytes, size, &file);
	FUZZ_NEED(error == 0 || error == SETTINGS_FILE_E_INVALID);
	FUZZ_NEED((error == 0) == (problems_size == 0));
	check_told(problems);
	check_told(warnings);
	free_texts();
	size_t lines = 1;
	for (size_t i = 0; i < size; i++)
		lines += bytes[i] == '\n' || bytes[i] == '\r';
	for (size_t i = 0; i < file.count; i++) {
		check_entry(&file.entries[i], i > 0 ? file.entries[i - 1].line : 0, lines);
		/* The last one of a name counts. */
		const struct settings_entry *found = settings_file_find(&file, file.entries[i].name);
		FUZZ_NEED(found && found >= &file.entries[i]);
	}
	for (size_t i = 0; i < file.count && i < ENTRIES_MAX; i++)
		check_again(&file.entries[i]);
	FUZZ_NEED(!settings_file_find(&file, "no such name"));
	settings_file_free(&file);
	return 0;
}
