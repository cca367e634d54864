/* http_answer.c - see http_answer.h. */
#include "http_answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char start[] = "HTTP/1.";
enum { START_SIZE = sizeof(start) - 1, STATUS_AT = START_SIZE + 2, STATUS_SIZE = 3 };

struct field {
	const char *name, *value;
	size_t name_size, value_size;
};

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* "HTTP/1.x 101", and a blank or nothing behind it. */
static int read_status(struct http_answer *answer)
{
	const char *at = answer->bytes + STATUS_AT, *end = at + STATUS_SIZE;
	if (answer->head < STATUS_AT + STATUS_SIZE + 2 || !is_digit(at[-2]) || at[-1] != ' ' || at[0] == '0')
		return HTTP_ANSWER_E_BAD;
	for (; at < end; at++) {
		if (!is_digit(*at))
			return HTTP_ANSWER_E_BAD;
		answer->status = answer->status * 10 + (unsigned)(*at - '0');
	}
	return *end == ' ' || *end == '\r' ? 0 : HTTP_ANSWER_E_BAD;
}

/* The line behind `line`, which is in the head; NULL: that is its empty one. */
static const char *next_line(const struct http_answer *answer, const char *line)
{
	const char *end = answer->bytes + answer->head;
	const char *feed = memchr(line, '\n', (size_t)(end - line));
	return !feed || feed + 1 >= end - 2 ? NULL : feed + 1;
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* A line without a colon, or that goes on with the one before (RFC 9112, 5.2), has an empty name. */
static void read_field(const struct http_answer *answer, const char *line, struct field *ret)
{
	const char *end = memchr(line, '\n', (size_t)(answer->bytes + answer->head - line));
	const char *colon = memchr(line, ':', (size_t)(end - line));
	*ret = (struct field){.name = line, .value = line};
	if (!colon || is_blank(*line))
		return;
	const char *value = colon + 1;
	while (end > value && (is_blank(end[-1]) || end[-1] == '\r'))
		end--;
	while (value < end && is_blank(*value))
		value++;
	ret->name_size = (size_t)(colon - line);
	ret->value = value;
	ret->value_size = (size_t)(end - value);
}

static bool is_called(const struct field *field, const char *name)
{
	return field->name_size == strlen(name) && strncasecmp(field->name, name, field->name_size) == 0;
}

/* ---- Interface ---- */

void *http_answer_room(struct http_answer *answer, size_t *ret_size)
{
	*ret_size = sizeof(answer->bytes) - answer->size;
	return answer->bytes + answer->size;
}

int http_answer_add(struct http_answer *answer, size_t count)
{
	/* The end of a head may lie over the border of two pieces. */
	const size_t from = answer->size < 3 ? 0 : answer->size - 3;
	answer->size += count;
	const size_t known = answer->size < START_SIZE ? answer->size : (size_t)START_SIZE;
	if (memcmp(answer->bytes, start, known) != 0)
		return HTTP_ANSWER_E_BAD;
	const char *end = memmem(answer->bytes + from, answer->size - from, "\r\n\r\n", 4);
	if (!end)
		return answer->size == sizeof(answer->bytes) ? HTTP_ANSWER_E_LONG : -EAGAIN;
	answer->head = (size_t)(end - answer->bytes) + 4;
	if (memchr(answer->bytes, '\0', answer->head))
		return HTTP_ANSWER_E_BAD;
	return read_status(answer);
}

const char *http_answer_field(const struct http_answer *answer, const char *name, size_t *ret_size)
{
	const char *found = NULL;
	for (const char *line = next_line(answer, answer->bytes); line; line = next_line(answer, line)) {
		struct field field;
		read_field(answer, line, &field);
		if (!is_called(&field, name))
			continue;
		if (found)
			return NULL;
		found = field.value;
		*ret_size = field.value_size;
	}
	return found;
}

/* Whether the element between the blanks is the token; scheme: or begins with it and goes on behind a blank. */
static bool is_element(const char *at, const char *end, const char *token, bool scheme)
{
	const size_t size = strlen(token);
	while (at < end && is_blank(*at))
		at++;
	while (end > at && is_blank(end[-1]))
		end--;
	const size_t whole = (size_t)(end - at);
	return whole >= size && strncasecmp(at, token, size) == 0 &&
	       (whole == size || (scheme && is_blank(at[size])));
}

static bool has_element(const struct http_answer *answer, const char *name, const char *token, bool scheme)
{
	for (const char *line = next_line(answer, answer->bytes); line; line = next_line(answer, line)) {
		struct field field;
		read_field(answer, line, &field);
		if (!is_called(&field, name))
			continue;
		const char *end = field.value + field.value_size;
		for (const char *at = field.value; at < end;) {
			const char *comma = memchr(at, ',', (size_t)(end - at));
			if (is_element(at, comma ? comma : end, token, scheme))
				return true;
			at = comma ? comma + 1 : end;
		}
	}
	return false;
}

bool http_answer_lists(const struct http_answer *answer, const char *name, const char *token)
{
	return has_element(answer, name, token, false);
}

bool http_answer_offers(const struct http_answer *answer, const char *name, const char *scheme)
{
	return has_element(answer, name, scheme, true);
}

void http_answer_phrase(const struct http_answer *answer, char *ret, size_t room)
{
	const char *at = answer->bytes + STATUS_AT + STATUS_SIZE, *end = answer->bytes + answer->head;
	size_t count = 0;
	while (at < end && is_blank(*at))
		at++;
	for (; at < end && *at != '\r' && *at != '\n' && count + 1 < room; at++)
		ret[count++] = (char)(*at >= ' ' && *at < 0x7f ? *at : '?');
	ret[count] = '\0';
}
