/*
 * value_text.c - see value_text.h.
 */
#include "value_text.h"

#include <string.h>

size_t value_text_secret_size(const char *text, size_t size)
{
	if (size >= 2 && text[size - 2] == '\r' && text[size - 1] == '\n')
		return size - 2;
	return size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r') ? size - 1 : size;
}

static bool begins_with(const char *text, size_t size, const char *what)
{
	return size >= strlen(what) && memcmp(text, what, strlen(what)) == 0;
}

static bool ends_with(const char *text, size_t size, const char *what)
{
	return size >= strlen(what) && memcmp(text + size - strlen(what), what, strlen(what)) == 0;
}

static bool is_quoted(const char *text, size_t size)
{
	static const char *const pairs[][2] = {{"\"", "\""}, {"'", "'"}, {"`", "`"}, {"\u201c", "\u201d"},
		{"\u2018", "\u2019"}, {"\u201e", "\u201c"}};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const size_t both = strlen(pairs[i][0]) + strlen(pairs[i][1]);
		if (size >= both && begins_with(text, size, pairs[i][0]) &&
			ends_with(text, size, pairs[i][1]))
			return true;
	}
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* ${NAME}, also with a default as in ${NAME:-x}, or $(NAME). */
static bool holds_variable(const char *text, size_t size)
{
	for (size_t i = 0; i + 3 < size; i++) {
		if (text[i] != '$' || (text[i + 1] != '{' && text[i + 1] != '('))
			continue;
		const char close = text[i + 1] == '{' ? '}' : ')';
		size_t end = i + 2;
		while (end < size && is_name(text[end]))
			end++;
		const bool named = end > i + 2 && !(text[i + 2] >= '0' && text[i + 2] <= '9');
		if (named && end < size &&
			(text[end] == close || (close == '}' && strchr(":-+?", text[end]) &&
						       memchr(text + end, '}', size - end))))
			return true;
	}
	return false;
}

const char *value_text_oddity(const char *text, size_t size)
{
	if (begins_with(text, size, "\ufeff"))
		return "begins with a byte order mark";
	if (is_quoted(text, size))
		return "begins and ends with a quote";
	if (size > 0 && (is_blank(text[0]) || begins_with(text, size, "\u00a0")))
		return "begins with a blank or a line end";
	if (size > 0 && (is_blank(text[size - 1]) || ends_with(text, size, "\u00a0")))
		return "ends with a blank or a line end";
	if (holds_variable(text, size))
		return "holds a name in ${} or $(), which nothing replaces here";
	return NULL;
}

bool value_text_repeats(const char *text, size_t size)
{
	return size < 2 || memcmp(text, text + 1, size - 1) == 0;
}
