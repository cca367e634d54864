/*
 * loggly_event.c - see loggly_event.h. Where an event can be cut is found by reading its JSON from the left
 * and keeping the last place at which everything that is open can still be closed.
 */
#include "loggly_event.h"

#include "log_line.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Room for what ends an event that was cut. */
enum { END_SIZE = 64 };

void loggly_source_init(struct loggly_source *source, uint64_t run, const char *host_name)
{
	size_t size = 0;
	source->run = run;
	for (; host_name[size] != '\0' && size < LOGGLY_HOST_MAX - 1; size++) {
		const char c = host_name[size];
		source->host[size] = (char)(isalnum((unsigned char)c) || strchr("-._", c) ? c : '_');
	}
	source->host[size] = '\0';
}

/* A place where an object's text can end. */
struct cut {
	size_t size;
	bool in_text;
};

/* The size of the escape sequence at `at`; 0 if its other half follows, without which it means nothing. */
static size_t escape_size(const char *at, size_t left, bool *ret_half)
{
	*ret_half = left >= 4 && at[1] == 'u' && (at[2] == 'd' || at[2] == 'D') && strchr("89abAB", at[3]);
	return left >= 2 && at[1] == 'u' ? 6 : 2;
}

/* Steps over the text that begins behind the quote at *at, as far as `room`. */
static void read_text(const char *line, size_t room, size_t *at, bool is_value, struct cut *best)
{
	for (++*at; *at < room && line[*at] != '"';) {
		bool half = false;
		*at += line[*at] == '\\' ? escape_size(line + *at, room - *at, &half) : 1;
		/* Not between the bytes of a character. */
		if (is_value && !half && *at <= room && ((unsigned char)line[*at] & 0xc0) != 0x80)
			*best = (struct cut){.size = *at, .in_text = true};
	}
	++*at;
}

/* The last place up to `room`, which is less than the line's size. */
static struct cut find_cut(const char *line, size_t room)
{
	struct cut best = {.size = 1};
	unsigned depth = 0;
	bool is_value = false;
	for (size_t at = 0; at < room;) {
		const char c = line[at];
		if (c == '"') {
			read_text(line, room, &at, depth == 1 && is_value, &best);
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		else if (depth == 1 && c == ':')
			is_value = true;
		else if (depth == 1 && c == ',') {
			is_value = false;
			best = (struct cut){.size = at};
		}
		at++;
	}
	return best;
}

static bool is_object(const char *line, size_t size)
{
	return size >= 2 && line[0] == '{' && line[size - 1] == '}';
}

/* The object of a line that is none: what a process said that had no time to say it well. */
static size_t wrap(const char *line, size_t size, char ret[static LOG_LINE_SIZE])
{
	char text[LOG_LINE_TEXT_MAX + 8];
	const size_t kept = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
	memcpy(text, line, kept);
	text[kept] = '\0';
	struct log_line object = {.level = LOG_LEVEL_WARN, .event = "unstructured_line", .message = text};
	clock_gettime(CLOCK_REALTIME, &object.time);
	return log_line_json(&object, ret) - 1;
}

size_t loggly_event_make(const struct loggly_source *source, uint64_t number, const char *line, size_t size,
	char ret[static LOGGLY_EVENT_MAX])
{
	char object[LOG_LINE_SIZE];
	if (!is_object(line, size)) {
		size = wrap(line, size, object);
		line = object;
	}
	size_t used = (size_t)snprintf(ret, LOGGLY_EVENT_MAX,
		"{\"event_id\":\"%016" PRIx64 "-%" PRIu64 "\",\"host\":\"%s\"", source->run, number,
		source->host);
	const size_t room = LOGGLY_EVENT_MAX - used - END_SIZE;
	if (size <= room) {
		size_t first = 1;
		while (line[first] == ' ' || line[first] == '\t')
			first++;
		/* An object without fields has none to be separated from. */
		if (line[first] != '}')
			ret[used++] = ',';
		memcpy(ret + used, line + 1, size - 1);
		used += size - 1;
	} else {
		const struct cut cut = find_cut(line, room);
		if (cut.size > 1)
			ret[used++] = ',';
		memcpy(ret + used, line + 1, cut.size - 1);
		used += cut.size - 1;
		used += (size_t)snprintf(ret + used, END_SIZE, "%s,\"cut\":true,\"cut_from\":%zu}",
			cut.in_text ? "...\"" : "", size);
	}
	/* A line end inside would make two events of it. */
	for (char *at = ret; (at = memchr(at, '\n', used - (size_t)(at - ret)));)
		*at = ' ';
	ret[used++] = '\n';
	return used;
}

size_t loggly_part(const char *lines, size_t size, size_t limit)
{
	if (size <= limit)
		return size;
	const char *end = memrchr(lines, '\n', limit);
	if (!end)
		end = memchr(lines, '\n', size);
	return end ? (size_t)(end - lines) + 1 : size;
}
