/*
 * settings_value.c - one value: read by the type of its setting, held against its range, and stored in its field.
 *
 * Happy path: settings_store() fills the field. Failure: one line that says where the value was found, what it is unless that is secret, and what was
 * expected; the field stays as it was.
 */
#include "settings.h"

#include "settings_private.h"
#include "text_line.h"
#include "topic.h"
#include "value_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHOWN_BYTES = 60 };

void settings_where(const struct settings_found *found, FILE *out)
{
	if (found->where)
		fprintf(out, "%s:%u: ", found->where, found->line);
	else if (!found->is_default)
		fputs("environment: ", out);
}

void settings_problem(
	struct settings_reader *reader, const struct settings_found *found, const char *name, bool show)
{
	FILE *out = reader->problems;
	reader->count++;
	settings_where(found, out);
	fputs(name, out);
	if (show) {
		fputc('=', out);
		const bool utf8 = text_is_utf8(found->value, strlen(found->value));
		size_t shown = 0;
		for (const char *at = found->value; *at != '\0' && shown < SHOWN_BYTES; at++, shown++) {
			if (text_is_control((unsigned char)*at) || (!utf8 && (unsigned char)*at >= 0x80))
				fprintf(out, "\\x%02x", (unsigned)(unsigned char)*at);
			else
				fputc(*at, out);
		}
		if (found->value[shown] != '\0')
			fputs("...", out);
	}
	fputs(": ", out);
}

bool settings_hides(const struct setting *setting)
{
	return setting->secret || setting->url;
}

void settings_warn_of_oddity(
	struct settings_reader *reader, const struct settings_found *found, const char *name)
{
	const char *oddity = found->is_default ? NULL : value_text_oddity(found->value, strlen(found->value));
	if (!oddity)
		return;
	settings_where(found, reader->warnings);
	fprintf(reader->warnings, "%s: the value %s: it is taken as it stands\n", name, oddity);
}

/* Digits alone; a suffix K or M where has_suffix. False: not a number. One that is too large is INT64_MAX. */
static bool parse_number(const char *text, bool has_suffix, int64_t *ret)
{
	const size_t digits = strspn(text, "0123456789");
	const char *suffix = text + digits;
	int64_t factor = 1;
	if (digits == 0)
		return false;
	if (has_suffix && suffix[0] != '\0' && suffix[1] == '\0' && strchr("kKmM", suffix[0]))
		factor = suffix[0] == 'k' || suffix[0] == 'K' ? 1024 : 1024 * 1024;
	else if (suffix[0] != '\0')
		return false;
	errno = 0;
	const long long number = strtoll(text, NULL, 10);
	int64_t scaled;
	*ret = errno != 0 || __builtin_mul_overflow((int64_t)number, factor, &scaled) ? INT64_MAX : scaled;
	return true;
}

static bool parse_switch(const char *text, bool *ret)
{
	static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = i % 2 == 1;
			return true;
		}
	}
	return false;
}

static void number_problem(
	struct settings_reader *reader, const struct setting *setting, const struct settings_found *found)
{
	settings_problem(reader, found, setting->name, true);
	fprintf(reader->problems, "expected %s from %" PRId64 " to %" PRId64 "%s%s\n",
		setting->type == SETTING_SIZE ? "a number, or one with K or M behind it," : "a number",
		setting->min, setting->max, setting->unit ? " " : "", setting->unit ? setting->unit : "");
}

static void store_number(struct settings_reader *reader, const struct setting *setting,
	const struct settings_found *found, struct settings *settings)
{
	int64_t number;
	const bool parsed = parse_number(found->value, setting->type == SETTING_SIZE, &number);
	if (parsed && number == 0 && setting->zero_is_default) {
		settings_where(found, reader->warnings);
		fprintf(reader->warnings, "%s=0 counts as %s: remove it, or set %" PRId64 " to %" PRId64 "\n",
			setting->name, setting->default_value, setting->min, setting->max);
		return;
	}
	if (!parsed || number < setting->min || number > setting->max) {
		number_problem(reader, setting, found);
		return;
	}
	void *field = (char *)settings + setting->offset;
	if (setting->type == SETTING_SIZE)
		*(size_t *)field = (size_t)number;
	else
		*(unsigned *)field = (unsigned)number;
}

static void store_text(struct settings_reader *reader, const struct setting *setting,
	const struct settings_found *found, struct settings *settings)
{
	const char *value = found->value;
	const int64_t size = (int64_t)strlen(value);
	bool control = false;
	for (const char *at = value; *at != '\0'; at++)
		control |= (unsigned char)*at < ' ' || *at == 0x7f;
	const bool show = !settings_hides(setting);

	if (size < setting->min || size > setting->max) {
		settings_problem(reader, found, setting->name, show);
		if (size == 0)
			fputs("it is empty: ", reader->problems);
		fprintf(reader->problems, "expected %" PRId64 " to %" PRId64 " bytes%s\n", setting->min,
			setting->max, setting->plain ? " of A-Z a-z 0-9 . _ | -" : "");
	} else if (setting->plain && !topic_user_characters(value)) {
		settings_problem(reader, found, setting->name, show);
		fputs("expected only A-Z a-z 0-9 . _ | -\n", reader->problems);
	} else if (!setting->secret && control) {
		settings_problem(reader, found, setting->name, show);
		fputs("expected one line without control characters\n", reader->problems);
	} else if (!setting->secret && !setting->file && !text_is_utf8(value, strlen(value))) {
		settings_problem(reader, found, setting->name, show);
		fputs("expected UTF-8\n", reader->problems);
	} else {
		*(const char **)((char *)settings + setting->offset) = value;
		settings_warn_of_oddity(reader, found, setting->name);
	}
}

static void store_switch(struct settings_reader *reader, const struct setting *setting,
	const struct settings_found *found, struct settings *settings)
{
	if (!parse_switch(found->value, (bool *)((char *)settings + setting->offset))) {
		settings_problem(reader, found, setting->name, true);
		fputs("expected on or off\n", reader->problems);
	}
}

static void store_choice(struct settings_reader *reader, const struct setting *setting,
	const struct settings_found *found, struct settings *settings)
{
	for (unsigned i = 0; setting->choices[i]; i++) {
		if (strcasecmp(found->value, setting->choices[i]) == 0) {
			*(unsigned *)((char *)settings + setting->offset) = i;
			return;
		}
	}
	settings_problem(reader, found, setting->name, true);
	fputs("expected one of", reader->problems);
	for (unsigned i = 0; setting->choices[i]; i++)
		fprintf(reader->problems, "%s %s", i > 0 ? "," : "", setting->choices[i]);
	fputc('\n', reader->problems);
}

void settings_store(struct settings_reader *reader, const struct setting *setting,
	const struct settings_found *found, struct settings *settings)
{
	switch (setting->type) {
	case SETTING_TEXT: store_text(reader, setting, found, settings); break;
	case SETTING_INTEGER:
	case SETTING_SIZE: store_number(reader, setting, found, settings); break;
	case SETTING_SWITCH: store_switch(reader, setting, found, settings); break;
	case SETTING_CHOICE: store_choice(reader, setting, found, settings); break;
	}
}
