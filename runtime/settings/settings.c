/*
 * settings.c - reads the settings: .env, the environment on top, every value checked.
 *
 * Happy path: the names in the file are known. Each setting of the table and of the handlers is found (environment, file, default) and stored.
 * settings_check.c looks at what spans settings, and the texts are copied into one block of our own. Failure: each problem is told and the reading
 * goes on. Out of memory leaves nothing behind.
 */
#include "settings.h"

#include "cashew.h"
#include "nearest.h"
#include "settings_file.h"
#include "settings_private.h"
#include "small_file.h"
#include "value_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A value that is not as it stands in the file or the environment. */
struct copy {
	struct copy *next;
	char text[];
};

struct reader {
	struct settings_reader base;
	const char *path;
	char *const *environment;
	const struct cashew_handler *const *handlers;
	const char *const *wanted; /* names, ended by NULL; NULL: all */
	struct settings_file file;
	struct own_value *own; /* own_count of them */
	size_t own_count;
	struct copy *copies;
	bool no_memory; /* for a copy */
};

static void reader_free(struct reader *r)
{
	settings_file_free(&r->file);
	free(r->own);
	while (r->copies) {
		struct copy *copy = r->copies;
		r->copies = copy->next;
		explicit_bzero(copy->text, strlen(copy->text));
		free(copy);
	}
}

static const struct setting *find_setting(const char *name)
{
	for (size_t i = 0; i < settings_count; i++) {
		if (strcmp(settings_table[i].name, name) == 0)
			return &settings_table[i];
	}
	return NULL;
}

static struct own_value *find_own(const struct reader *r, const char *name)
{
	for (size_t i = 0; i < r->own_count; i++) {
		if (strcmp(r->own[i].setting->name, name) == 0)
			return &r->own[i];
	}
	return NULL;
}

static struct settings_found find_value(const struct reader *r, const char *name, const char *default_value)
{
	const size_t size = strlen(name);
	for (char *const *at = r->environment; at && *at; at++) {
		if (strncmp(*at, name, size) == 0 && (*at)[size] == '=')
			return (struct settings_found){.value = *at + size + 1};
	}
	const struct settings_entry *entry = settings_file_find(&r->file, name);
	if (entry)
		return (struct settings_found){.value = entry->value, .where = r->path, .line = entry->line};
	return (struct settings_found){.value = default_value, .is_default = true};
}

/* Makes a value of those bytes, which live as long as the reader. Without memory the value stays as it was. */
static void take_copy(struct reader *r, const char *bytes, size_t size, struct settings_found *found)
{
	struct copy *copy = malloc(sizeof(*copy) + size + 1);
	if (!copy) {
		r->no_memory = true;
		return;
	}
	memcpy(copy->text, bytes, size);
	copy->text[size] = '\0';
	copy->next = r->copies;
	r->copies = copy;
	found->value = copy->text;
}

/* Whether a file of its own is named for that secret; ret_name is then the setting that names it. What another process has read is in none. */
static bool find_secret_file(const struct reader *r, const char *name, struct settings_found *ret,
	char ret_name[static SETTINGS_NAME_SIZE])
{
	if (!r->path || !settings_secret_file_name(name, ret_name) || find_setting(ret_name) ||
		find_own(r, ret_name))
		return false;
	*ret = find_value(r, ret_name, NULL);
	return ret->value && ret->value[0] != '\0';
}

/* The secret that a file holds. NULL, after a problem, where that cannot be used. */
static struct settings_found read_secret_file(struct reader *r, const struct settings_found *beside,
	const struct settings_found *file, const char *name, const char *file_name)
{
	struct settings_found found = {.where = file->value, .line = 1};
	char *bytes = NULL;
	size_t size = 0;
	if (beside->value && !beside->is_default && beside->value[0] != '\0') {
		r->base.unread = true;
		settings_problem(&r->base, file, file_name, false);
		fprintf(r->base.problems, "%s is set as well: expected one of them\n", name);
		return found;
	}
	const int error = settings_secret_file_read(&r->base, file, file_name, &bytes, &size);
	r->no_memory |= error == -ENOMEM;
	r->base.unread |= error != 0;
	if (error == 0)
		take_copy(r, bytes, size, &found);
	small_file_free(bytes, size);
	return found;
}

/* The same of a secret: it may stand in a file of its own, and one line end behind it is no part of it. What another process has read already is
 * as it should be. */
static struct settings_found find_secret(struct reader *r, const char *name, const char *default_value)
{
	struct settings_found found = find_value(r, name, default_value), file;
	char file_name[SETTINGS_NAME_SIZE];
	if (find_secret_file(r, name, &file, file_name))
		return read_secret_file(r, &found, &file, name, file_name);
	const size_t whole = found.value ? strlen(found.value) : 0;
	const size_t size = whole > 0 && r->path ? value_text_secret_size(found.value, whole) : whole;
	if (size != whole)
		take_copy(r, found.value, size, &found);
	return found;
}

static bool is_wanted(const struct reader *r, const char *name)
{
	if (!r->wanted)
		return true;
	for (size_t i = 0; r->wanted[i]; i++)
		if (strcmp(r->wanted[i], name) == 0)
			return true;
	return false;
}

/* Every setting first gets its default, so that the checks that span settings see something sound after a
 * problem. */
static void read_table(struct reader *r, struct settings *settings)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *setting = &settings_table[i];
		const char *preset = setting->default_value;
		if (!preset && setting->type == SETTING_TEXT)
			*(const char **)((char *)settings + setting->offset) = "";
		if (preset)
			settings_store(&r->base, setting,
				&(struct settings_found){.value = preset, .is_default = true}, settings);
		if (!is_wanted(r, setting->name))
			continue;
		const struct settings_found found = settings_hides(setting)
							    ? find_secret(r, setting->name, NULL)
							    : find_value(r, setting->name, NULL);
		if (found.value)
			settings_store(&r->base, setting, &found, settings);
		else if (!preset && !found.where) {
			settings_problem(&r->base, &found, setting->name, false);
			fprintf(r->base.problems, "it is not set. %s\n", setting->help);
			r->base.unset = true;
		}
	}
}

/* Whether HANDLERS lets that handler run. */
static bool is_selected(const struct settings *settings, const struct cashew_handler *handler)
{
	const char *list = settings->handlers;
	return list[0] == '\0' || settings_list_holds(list, handler->name);
}

static bool own_name_valid(const char *name)
{
	return name[0] >= 'A' && name[0] <= 'Z' && strlen(name) <= SETTINGS_NAME_MAX &&
	       name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static bool is_name_of_ours(const char *name)
{
	return find_setting(name) || settings_secret_file_of(name);
}

/* Takes in one declaration of a handler. Two handlers may share a setting that both declare alike. */
static void declare_own(
	struct reader *r, const struct cashew_handler *handler, const struct cashew_setting *setting)
{
	const struct own_value *other = find_own(r, setting->name);
	if (!own_name_valid(setting->name) || is_name_of_ours(setting->name)) {
		r->base.count++;
		fprintf(r->base.problems, "handler %s declares a setting %s: %s\n", handler->name,
			setting->name,
			own_name_valid(setting->name)
				? "that is a setting of cashewd's own"
				: "expected a name of A-Z 0-9 _ that begins with a letter");
	} else if (!other) {
		r->own[r->own_count++] = (struct own_value){.setting = setting, .value = ""};
	} else if (other->setting->secret != setting->secret ||
		   (!other->setting->default_value) != (!setting->default_value) ||
		   (setting->default_value &&
			   strcmp(other->setting->default_value, setting->default_value) != 0)) {
		r->base.count++;
		fprintf(r->base.problems,
			"handler %s declares the setting %s otherwise than another handler does\n",
			handler->name, setting->name);
	}
}

static int declare_all(struct reader *r)
{
	size_t count = 0;
	for (size_t i = 0; r->handlers[i]; i++) {
		const struct cashew_setting *at = r->handlers[i]->settings;
		for (; at && at->name; at++)
			count++;
	}
	r->own = calloc(count + 1, sizeof(*r->own));
	if (!r->own)
		return -ENOMEM;
	for (size_t i = 0; r->handlers[i]; i++) {
		const struct cashew_setting *at = r->handlers[i]->settings;
		for (; at && at->name; at++)
			declare_own(r, r->handlers[i], at);
	}
	return 0;
}

/* Finds the values of the handlers' settings. One that must be set must only be so for handlers that run. */
static void read_own(struct reader *r, const struct settings *settings)
{
	for (size_t i = 0; i < r->own_count; i++) {
		const struct cashew_setting *setting = r->own[i].setting;
		const struct settings_found found =
			setting->secret ? find_secret(r, setting->name, setting->default_value)
					: find_value(r, setting->name, setting->default_value);
		if (!found.value)
			continue;
		r->own[i].value = found.value;
		settings_warn_of_oddity(&r->base, &found, setting->name);
	}
	for (size_t i = 0; r->handlers[i]; i++) {
		const struct cashew_setting *at = r->handlers[i]->settings;
		for (; is_selected(settings, r->handlers[i]) && at && at->name; at++) {
			char file_name[SETTINGS_NAME_SIZE];
			struct settings_found file;
			const struct settings_found found = find_value(r, at->name, at->default_value);
			if (found.value || (at->secret && find_secret_file(r, at->name, &file, file_name)))
				continue;
			settings_problem(&r->base, &found, at->name, false);
			fprintf(r->base.problems, "it is not set, and handler %s needs it. %s\n",
				r->handlers[i]->name, at->help ? at->help : "");
			r->base.unset = true;
		}
	}
}

static const struct retired_setting *find_retired(const char *name)
{
	for (const struct retired_setting *at = settings_retired; at->name; at++)
		if (strcmp(at->name, name) == 0)
			return at;
	return NULL;
}

/* Warns of what was a setting once: where it counts, so the file's only where the environment has none. */
static void check_retired(struct reader *r)
{
	for (const struct retired_setting *at = settings_retired; at->name; at++) {
		const struct settings_found found = find_value(r, at->name, NULL);
		if (!found.value || find_own(r, at->name))
			continue;
		settings_where(&found, r->base.warnings);
		fprintf(r->base.warnings, "%s is no setting any more and does nothing: %s\n", at->name,
			at->advice);
	}
}

/* Whether a handler's own secret may stand in a file that the setting of that name names. */
static bool is_file_of_own(const struct reader *r, const char *name)
{
	char file_name[SETTINGS_NAME_SIZE];
	for (size_t i = 0; i < r->own_count; i++)
		if (r->own[i].setting->secret &&
			settings_secret_file_name(r->own[i].setting->name, file_name) &&
			strcmp(name, file_name) == 0)
			return true;
	return false;
}

/* What the nearest name is looked for among. */
static const char **known_names(const struct reader *r)
{
	const char **names = calloc(2 * settings_count + r->own_count + 1, sizeof(*names));
	size_t count = 0;
	for (size_t i = 0; i < settings_count && names; i++) {
		names[count++] = settings_table[i].name;
		if (settings_table[i].file_name)
			names[count++] = settings_table[i].file_name;
	}
	for (size_t i = 0; i < r->own_count && names; i++)
		names[count++] = r->own[i].setting->name;
	return names;
}

/* Tells names in the file that nothing reads, and those that are set again. */
static int check_names(struct reader *r)
{
	const char **names = known_names(r);
	if (!names)
		return -ENOMEM;

	for (size_t i = 0; i < r->file.count; i++) {
		const struct settings_entry *entry = &r->file.entries[i];
		if (is_name_of_ours(entry->name) || find_own(r, entry->name) ||
			is_file_of_own(r, entry->name)) {
			const struct settings_entry *last = settings_file_find(&r->file, entry->name);
			if (last != entry)
				fprintf(r->base.warnings,
					"%s:%u: %s is set again in line %u: the last one counts\n", r->path,
					entry->line, entry->name, last->line);
			continue;
		}
		if (find_retired(entry->name))
			continue;
		if (settings_is_proxy(entry->name)) {
			r->base.count++;
			fprintf(r->base.problems,
				"%s:%u: %.*s: set it in the environment that cashewd is started with: libraries read it there, and not in this file\n",
				r->path, entry->line, SETTINGS_NAME_MAX, entry->name);
			continue;
		}
		settings_name_unknown(&r->base, r->path, entry, nearest_name(entry->name, names));
	}
	free(names);
	return 0;
}

/* Copies every text into one block, which settings->block then is. */
static int keep_texts(const struct reader *r, struct settings *settings)
{
	size_t size = sizeof(struct settings_block) + r->own_count * sizeof(struct own_value);
	for (size_t i = 0; i < settings_count; i++) {
		if (settings_table[i].type == SETTING_TEXT)
			size += strlen(*(const char **)((char *)settings + settings_table[i].offset)) + 1;
	}
	for (size_t i = 0; i < r->own_count; i++)
		size += strlen(r->own[i].value) + 1;
	struct settings_block *block = malloc(size);
	if (!block)
		return -ENOMEM;
	block->size = size;
	block->count = r->own_count;
	char *to = (char *)&block->values[block->count];
	for (size_t i = 0; i < settings_count; i++) {
		if (settings_table[i].type != SETTING_TEXT)
			continue;
		const char **field = (const char **)((char *)settings + settings_table[i].offset);
		const char *from = *field;
		*field = to;
		to = stpcpy(to, from) + 1;
	}
	for (size_t i = 0; i < block->count; i++) {
		block->values[i] = (struct own_value){.setting = r->own[i].setting, .value = to};
		to = stpcpy(to, r->own[i].value) + 1;
	}
	settings->block = block;
	return 0;
}

/* What spans settings is only checked where all are read. */
static int read_all(struct reader *r, struct settings *settings)
{
	int error = declare_all(r);
	if (error == 0)
		error = check_names(r);
	if (error != 0)
		return error;
	check_retired(r);
	read_table(r, settings);
	read_own(r, settings);
	settings_check(&r->base, settings);
	return 0;
}

static int read_with(struct reader *r, struct settings *ret)
{
	struct settings settings = {.block = NULL};
	int error = r->path ? settings_file_read(r->path, r->base.problems, r->base.warnings, &r->file) : 0;
	if (error < 0)
		return error;
	if (error != 0)
		r->base.count++;
	error = 0;
	if (!r->wanted)
		error = read_all(r, &settings);
	else
		read_table(r, &settings);
	if (error == 0 && r->no_memory)
		error = -ENOMEM;
	if (error != 0)
		return error;
	if (r->base.unset && r->path)
		settings_file_tell_missing(r->path, r->base.problems);
	if (r->base.count > 0)
		return SETTINGS_E_INVALID;
	error = keep_texts(r, &settings);
	if (error != 0)
		return error;
	*ret = settings;
	return 0;
}

int settings_read(const char *env_file, char *const *environment,
	const struct cashew_handler *const *handlers, FILE *problems, FILE *warnings, struct settings *ret)
{
	__attribute__((cleanup(reader_free))) struct reader reader = {
		.base = {.problems = problems, .warnings = warnings, .handlers = handlers},
		.path = env_file,
		.environment = environment,
		.handlers = handlers,
	};
	return read_with(&reader, ret);
}

int settings_read_some(const char *env_file, char *const *environment, const char *const *names,
	FILE *problems, FILE *warnings, struct settings *ret)
{
	__attribute__((cleanup(reader_free))) struct reader reader = {
		.base = {.problems = problems, .warnings = warnings},
		.path = env_file,
		.environment = environment,
		.wanted = names,
	};
	return read_with(&reader, ret);
}

void settings_free(struct settings *settings)
{
	if (settings->block)
		explicit_bzero(settings->block, settings->block->size);
	free(settings->block);
	*settings = (struct settings){.block = NULL};
}

const char *settings_own_value(const struct settings *settings, const char *name)
{
	for (size_t i = 0; settings->block && i < settings->block->count; i++) {
		if (strcmp(settings->block->values[i].setting->name, name) == 0)
			return settings->block->values[i].value;
	}
	return NULL;
}
