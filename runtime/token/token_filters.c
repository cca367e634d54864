/* token_filters.c - see token_filters.h. */
#include "token_filters.h"

#include "text_line.h"
#include "token_form.h"
#include "topic.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *token_filters_name(enum token_filters_kind kind)
{
	static const char *const names[TOKEN_FILTERS_KINDS] = {[TOKEN_FILTERS_SUBSCRIBE] = "subscribe",
		[TOKEN_FILTERS_PUBLISH] = "publish",
		[TOKEN_FILTERS_CLIENT_IDS] = "client_ids"};
	return names[kind];
}

/* ---- Reading ---- */

/* Brokers refuse them in topics, and logs are not made for them. jansson lets no NUL and no bad UTF-8 come this far. */
static bool has_control_characters(const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
		if (text_is_control(*at) || text_is_c1(at, 2))
			return true;
	return false;
}

/* Why it is no filter that a handler could be locked to, in words that follow "...[n] "; NULL: it is one. */
static const char *oddity(const json_t *json)
{
	const char *filter = json_string_value(json);
	if (!filter)
		return "is not a text";
	if (filter[0] == '\0')
		return "is empty";
	if (json_string_length(json) > TOKEN_FILTER_SIZE_MAX)
		return "has more than 1024 bytes";
	if (has_control_characters(filter))
		return "has a control character";
	if (filter[0] == '$')
		return "begins with $: what a handler may share it may subscribe to, without $share/{group}/";
	if (!topic_filter_valid(filter))
		return "is no topic filter: + stands alone in its level, # alone in the last";
	return NULL;
}

static int list_check(const json_t *list, const char *name, char *reason)
{
	if (!json_is_array(list))
		return token_form_refuse(reason, "the token's handler.%s is not a list", name);
	if (json_array_size(list) > TOKEN_FILTERS_MAX)
		return token_form_refuse(
			reason, "the token's handler.%s has more than %d filters", name, TOKEN_FILTERS_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *odd = oddity(json_array_get(list, i));
		if (odd)
			return token_form_refuse(reason, "the token's handler.%s[%zu] %s", name, i, odd);
	}
	return 0;
}

/* Behind the text's end, of which *size bytes are used; whether there was room. */
__attribute__((format(printf, 3, 4))) static bool append(char *text, size_t *size, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	const int more = vsnprintf(text + *size, TOKEN_FILTERS_TEXT_MAX - *size, format, arguments);
	va_end(arguments);
	if (more < 0 || (size_t)more >= TOKEN_FILTERS_TEXT_MAX - *size)
		return false;
	*size += (size_t)more;
	return true;
}

static bool lists_write(const json_t *handler, char text[static TOKEN_FILTERS_TEXT_MAX])
{
	size_t size = 0;
	for (enum token_filters_kind kind = 0; kind < TOKEN_FILTERS_KINDS; kind++) {
		const json_t *list = json_object_get(handler, token_filters_name(kind));
		if (list && !append(text, &size, " %s", token_filters_name(kind)))
			return false;
		for (size_t i = 0; i < json_array_size(list); i++)
			if (!append(text, &size, " %zu:%s", json_string_length(json_array_get(list, i)),
				    json_string_value(json_array_get(list, i))))
				return false;
	}
	return true;
}

int token_filters_read(const json_t *claims, const json_t *handler, char **ret_text, char *reason)
{
	bool any = false;
	for (enum token_filters_kind kind = 0; kind < TOKEN_FILTERS_KINDS; kind++) {
		const char *name = token_filters_name(kind);
		const json_t *list = json_object_get(handler, name);
		if (json_object_get(claims, name))
			return token_form_refuse(
				reason, "the token's %s stands beside handler: it belongs into it", name);
		const int error = list ? list_check(list, name, reason) : 0;
		if (error != 0)
			return error;
		any = any || list;
	}
	if (!any) {
		*ret_text = NULL;
		return 0;
	}
	char *text = malloc(TOKEN_FILTERS_TEXT_MAX);
	if (!text)
		return -ENOMEM;
	if (!lists_write(handler, text)) {
		free(text);
		return token_form_refuse(
			reason, "the token's lists have more than %d bytes", TOKEN_FILTERS_TEXT_MAX);
	}
	*ret_text = text;
	return 0;
}

/* ---- Looking ---- */

/* A filter of a list: *at goes on behind it. False: the list is through. */
static bool next_filter(const char **at, const char **ret_filter, size_t *ret_size)
{
	if ((*at)[0] != ' ' || (*at)[1] < '0' || (*at)[1] > '9')
		return false;
	char *colon;
	const size_t size = strtoul(*at + 1, &colon, 10);
	if (*colon != ':' || strnlen(colon + 1, size) != size)
		return false;
	*ret_filter = colon + 1;
	*ret_size = size;
	*at = colon + 1 + size;
	return true;
}

const char *token_filters_of(const char *text, enum token_filters_kind kind)
{
	const char *filter;
	size_t size;
	while (text && text[0] == ' ') {
		const char *name = text + 1;
		const char *list = name + strcspn(name, " ");
		const char *wanted = token_filters_name(kind);
		if ((size_t)(list - name) == strlen(wanted) && memcmp(name, wanted, strlen(wanted)) == 0)
			return list;
		for (text = list; next_filter(&text, &filter, &size);)
			;
	}
	return NULL;
}

/* How many of these bytes are the first level. */
static size_t level_size(const char *level, size_t size)
{
	const char *slash = memchr(level, '/', size);
	return slash ? (size_t)(slash - level) : size;
}

/* Whether the first filter matches whatever the second does; of the first, which is well-formed, so many bytes. */
static bool covers(const char *wide, size_t wide_size, const char *narrow)
{
	size_t narrow_size = strlen(narrow);
	for (;;) {
		if (wide_size == 1 && wide[0] == '#')
			return true;
		const size_t wide_level = level_size(wide, wide_size),
			     level = level_size(narrow, narrow_size);
		const bool any = wide_level == 1 && wide[0] == '+';
		if (any ? level == 1 && narrow[0] == '#'
			: wide_level != level || memcmp(wide, narrow, level) != 0)
			return false;
		wide += wide_level;
		wide_size -= wide_level;
		narrow += level;
		narrow_size -= level;
		/* "a/#" matches "a" too, the parent level (MQTT 5.0 section 4.7.1.2). */
		if (narrow_size == 0)
			return wide_size == 0 || (wide_size == 2 && wide[1] == '#');
		if (wide_size == 0)
			return false;
		wide++, wide_size--;
		narrow++, narrow_size--;
	}
}

bool token_filters_hold(const char *list, const char *filter)
{
	const char *wide;
	size_t size;
	/* Wildcards of the first level do not match it (section 4.7.2), and no filter of a list begins with it. */
	if (filter[0] == '$')
		return false;
	while (next_filter(&list, &wide, &size))
		if (covers(wide, size, filter))
			return true;
	return false;
}

bool token_filters_hold_client_id(const char *list, const char *client_id)
{
	const char *own;
	size_t size;
	while (next_filter(&list, &own, &size))
		if (strncmp(client_id, own, size) == 0 && (client_id[size] == '\0' || client_id[size] == '-'))
			return true;
	return false;
}
