/*
 * settings_show.c - the settings as text: --check, --help, the table of docs/settings.md, .env.example.
 *
 * Everything is written to a stream, whose errors are its owner's to look at. Secrets are masked: the whole value of a secret setting, and in a
 * URL the password and the options that hold one.
 */
#include "settings.h"

#include "cashew.h"
#include "settings_private.h"

#include <inttypes.h>
#include <string.h>

enum { HELP_WIDTH = 80, FILE_WIDTH = 100, NAME_WIDTH = 22 };

#define MASK "********"

/* Writes bytes [begin, end) with control characters as \xHH, so that a value stays one line. */
static void print_escaped(const char *begin, const char *end, FILE *out)
{
	for (const char *at = begin; at < end; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			fprintf(out, "\\x%02x", (unsigned)(unsigned char)*at);
		else
			fputc(*at, out);
	}
}

/* Masks from the first : to the last @, which is more than the password where that holds an @ of its own. */
static void print_url(const char *url, FILE *out)
{
	const char *scheme_end = strstr(url, "://");
	const char *user = scheme_end ? scheme_end + 3 : url;
	const char *at = strrchr(user, '@');
	const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
	const char *rest = url;
	if (colon) {
		print_escaped(url, colon + 1, out);
		fputs(MASK, out);
		rest = at;
	}
	const char *option = strchr(rest, '?');
	while (option) {
		option++;
		print_escaped(rest, option, out);
		rest = option;
		const char *end = option + strcspn(option, "&");
		const char *sign = memchr(option, '=', (size_t)(end - option));
		if (sign && settings_option_is_secret(option, (size_t)(sign - option))) {
			print_escaped(option, sign + 1, out);
			fputs(MASK, out);
			rest = end;
		}
		option = *end == '&' ? end : NULL;
	}
	print_escaped(rest, rest + strlen(rest), out);
}

static void print_value(const struct settings *settings, const struct setting *setting, FILE *out)
{
	const void *field = (const char *)settings + setting->offset;
	const char *text;
	switch (setting->type) {
	case SETTING_TEXT:
		text = *(const char *const *)field;
		if (setting->secret)
			fputs(text[0] != '\0' ? MASK : "", out);
		else if (setting->url)
			print_url(text, out);
		else
			print_escaped(text, text + strlen(text), out);
		break;
	case SETTING_INTEGER: fprintf(out, "%u", *(const unsigned *)field); break;
	case SETTING_SIZE: fprintf(out, "%zu", *(const size_t *)field); break;
	case SETTING_SWITCH: fputs(*(const bool *)field ? "on" : "off", out); break;
	case SETTING_CHOICE: fputs(setting->choices[*(const unsigned *)field], out); break;
	}
}

void settings_print(const struct settings *settings, FILE *out)
{
	for (size_t i = 0; i < settings_count; i++) {
		fprintf(out, "%s=", settings_table[i].name);
		print_value(settings, &settings_table[i], out);
		fputc('\n', out);
	}
	for (size_t i = 0; settings->block && i < settings->block->count; i++) {
		const struct own_value *own = &settings->block->values[i];
		fprintf(out, "%s=", own->setting->name);
		if (own->setting->secret)
			fputs(own->value[0] != '\0' ? MASK : "", out);
		else
			print_escaped(own->value, own->value + strlen(own->value), out);
		fputc('\n', out);
	}
}

static void write_value(const struct settings *settings, const struct setting *setting, FILE *out)
{
	if (setting->type == SETTING_TEXT)
		fputs(*(const char *const *)((const char *)settings + setting->offset), out);
	else
		print_value(settings, setting, out);
}

void settings_write(const struct settings *settings, FILE *out)
{
	for (size_t i = 0; i < settings_count; i++) {
		fprintf(out, "%s=", settings_table[i].name);
		write_value(settings, &settings_table[i], out);
		fputc('\0', out);
	}
	for (size_t i = 0; settings->block && i < settings->block->count; i++) {
		const struct own_value *own = &settings->block->values[i];
		fprintf(out, "%s=%s", own->setting->name, own->value);
		fputc('\0', out);
	}
}

/* What a setting may be and what it is when left out: "1 to 65535; default 8883". */
static void print_range(const struct setting *setting, FILE *out)
{
	switch (setting->type) {
	case SETTING_TEXT: break;
	case SETTING_INTEGER:
	case SETTING_SIZE:
		fprintf(out, "%" PRId64 " to %" PRId64 "%s%s; ", setting->min, setting->max,
			setting->unit ? " " : "", setting->unit ? setting->unit : "");
		break;
	case SETTING_SWITCH: fputs("on or off; ", out); break;
	case SETTING_CHOICE:
		for (size_t i = 0; setting->choices[i]; i++)
			fprintf(out, "%s%s", i > 0 ? ", " : "", setting->choices[i]);
		fputs("; ", out);
		break;
	}
	if (!setting->default_value)
		fputs("must be set", out);
	else
		fprintf(out, "default %s",
			setting->default_value[0] != '\0' ? setting->default_value : "empty");
	if (setting->file_name)
		fprintf(out, "; or set %s", setting->file_name);
}

/* Writes text after `column` columns of `width`, wrapped at words; the lines that follow begin with `indent`. */
static void print_wrapped(const char *text, size_t column, size_t width, const char *indent, FILE *out)
{
	while (*text != '\0') {
		const size_t size = strcspn(text, " ");
		if (column + 1 + size > width && column > strlen(indent)) {
			fprintf(out, "\n%s", indent);
			column = strlen(indent);
		} else if (column > strlen(indent)) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)size, text);
		column += size;
		text += size + strspn(text + size, " ");
	}
	fputc('\n', out);
}

/* Whether the setting at i is the first of its group. */
static bool begins_group(size_t i)
{
	return i == 0 || strcmp(settings_table[i].group, settings_table[i - 1].group) != 0;
}

void settings_help(FILE *out)
{
	static const char indent[] = "                        ";
	_Static_assert(sizeof(indent) - 1 == NAME_WIDTH + 2, "what follows the name is aligned");
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *setting = &settings_table[i];
		if (begins_group(i))
			fprintf(out, "%s%s\n", i > 0 ? "\n" : "", setting->group);
		fprintf(out, "  %-*s", NAME_WIDTH, setting->name);
		print_wrapped(setting->help, strlen(indent), HELP_WIDTH, indent, out);
		fprintf(out, "%s(", indent);
		print_range(setting, out);
		fputs(")\n", out);
	}
	fputs("\nA secret NAME may stand in a file of its own, as containers and systemd mount\n"
	      "them: NAME_FILE says which. One line end behind the secret is no part of it.\n"
	      "Secrets that handlers declare may as well.\n",
		out);
}

void settings_markdown(FILE *out)
{
	fputs("| Setting | Values | Default | What it is |\n|---|---|---|---|\n", out);
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *setting = &settings_table[i];
		fprintf(out, "| `%s` | ", setting->name);
		switch (setting->type) {
		case SETTING_TEXT: fputs(setting->secret ? "text, secret" : "text", out); break;
		case SETTING_INTEGER:
		case SETTING_SIZE:
			fprintf(out, "%" PRId64 " to %" PRId64 "%s%s", setting->min, setting->max,
				setting->unit ? " " : "", setting->unit ? setting->unit : "");
			break;
		case SETTING_SWITCH: fputs("`on`, `off`", out); break;
		case SETTING_CHOICE:
			for (size_t k = 0; setting->choices[k]; k++)
				fprintf(out, "%s`%s`", k > 0 ? ", " : "", setting->choices[k]);
			break;
		}
		if (setting->file_name)
			fprintf(out, "; or `%s`", setting->file_name);
		if (!setting->default_value)
			fputs(" | must be set", out);
		else if (setting->default_value[0] == '\0')
			fputs(" | empty", out);
		else
			fprintf(out, " | `%s`", setting->default_value);
		fprintf(out, " | %s |\n", setting->help);
	}
}

void settings_example(FILE *out)
{
	fputs("# Settings of cashewd. Copy this file to .env, then: chmod 600 .env\n"
	      "# What is commented out shows its default. The real environment wins over .env.\n"
	      "# A secret NAME may stand in a file of its own: set NAME_FILE to the file's name instead.\n",
		out);
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *setting = &settings_table[i];
		if (begins_group(i))
			fprintf(out, "\n# ---- %s ----\n", setting->group);
		fputs("\n# ", out);
		print_wrapped(setting->help, 2, FILE_WIDTH, "# ", out);
		fputs("# (", out);
		print_range(setting, out);
		fputs(")\n", out);
		/* The secret stands empty, not as an example that someone would deploy: empty is refused. */
		const bool is_secret = setting->offset == offsetof(struct settings, jwt_secret);
		fprintf(out, "%s%s=%s\n", setting->default_value && !is_secret ? "#" : "", setting->name,
			setting->default_value ? setting->default_value : setting->example);
	}
}
