/*
 * log_line.c - see log_line.h. A line is written from left to right into a buffer that keeps a little room at
 * its end: once something does not fit, nothing more is taken in, and the room serves to end the line well.
 */
#include "log_line.h"

#include "log_secret.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Room for a quote, the sign that something was left out, the colour's end, and the line's. */
enum { RESERVE = 48, NAME_SIZE_MAX = 64, SECOND_SIZE = 24 };

/* So much of a text is searched for secrets before it is cut: some of them may become shorter by it. */
enum { SEARCHED_MAX = 2 * LOG_LINE_TEXT_MAX };

/* Where texts are put: decides what must be escaped. */
enum place { PLACE_JSON, PLACE_QUOTED, PLACE_BARE };

struct buffer {
	char *at;
	char *limit; /* RESERVE bytes follow it */
	bool full;
};

/* What can still be put; the end of a text may already have gone into the reserve. */
static size_t room(const struct buffer *b)
{
	return b->full || b->at > b->limit ? 0 : (size_t)(b->limit - b->at);
}

/* Takes in all of the bytes or, for good, nothing more. */
static void put(struct buffer *b, const char *bytes, size_t size)
{
	if (b->full || room(b) < size) {
		b->full = true;
		return;
	}
	memcpy(b->at, bytes, size);
	b->at += size;
}

/* Takes in as many whole characters of valid UTF-8 as there is room for. */
static void put_run(struct buffer *b, const char *bytes, size_t size)
{
	size_t fits = size;
	if (fits > room(b)) {
		fits = room(b);
		while (fits > 0 && ((unsigned char)bytes[fits] & 0xc0) == 0x80)
			fits--;
	}
	put(b, bytes, fits);
	b->full |= fits < size;
}

static void put_text(struct buffer *b, const char *text)
{
	put(b, text, strlen(text));
}

/* For what ends a thing that was begun: may go into the reserve. */
static void put_end(struct buffer *b, const char *text)
{
	b->at = stpcpy(b->at, text);
}

/* The size of the UTF-8 character at `at`, where `left` bytes are; 0 if it is none (RFC 3629). */
static size_t character_size(const unsigned char *at, size_t left)
{
	if (at[0] < 0x80)
		return 1;
	const size_t size = at[0] >= 0xc2 && at[0] <= 0xdf   ? 2
			    : (at[0] & 0xf0) == 0xe0	     ? 3
			    : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4
							     : 0;
	if (size == 0 || size > left)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* Not in their shortest form, surrogates, beyond U+10FFFF. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
		(at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return size;
}

/* Puts a character that cannot stand as it is. size 0: one byte that is no UTF-8. */
static void put_escaped(struct buffer *b, const unsigned char *at, size_t size, enum place place)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char c = size == 2 ? at[1] : at[0]; /* C2 80 .. C2 9F are U+0080 .. U+009F */
	const char high = digits[c >> 4], low = digits[c & 15];
	if (c == '\n' || c == '\r' || c == '\t')
		put(b, (const char[]){'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'}, 2);
	else if (c == '"' || c == '\\')
		put(b, (const char[]){'\\', (char)c}, 2);
	else if (size == 0)
		/* JSON has no escape for a byte: it gets the characters \xHH. */
		put(b, (const char[]){'\\', '\\', 'x', high, low} + (place != PLACE_JSON),
			4 + (place == PLACE_JSON));
	else
		put(b, (const char[]){'\\', 'u', '0', '0', high, low}, 6);
}

/* Puts a text without secrets, cut at LOG_LINE_TEXT_MAX bytes. `goes_on`: it was cut before. */
static void put_searched(struct buffer *b, const char *text, enum place place, bool goes_on)
{
	const unsigned char *begin = (const unsigned char *)text;
	const size_t size = strnlen(text, LOG_LINE_TEXT_MAX + 4);
	size_t kept = 0, at = 0;
	while (at < size && at < LOG_LINE_TEXT_MAX) {
		const size_t step = character_size(begin + at, size - at);
		const unsigned char c = begin[at];
		const bool special = c < ' ' || c == 0x7f || step == 0 ||
				     (c == 0xc2 && begin[at + 1] < 0xa0) ||
				     (place != PLACE_BARE && (c == '"' || c == '\\'));
		if (at + step > LOG_LINE_TEXT_MAX)
			break;
		if (special) {
			put_run(b, text + kept, at - kept);
			put_escaped(b, begin + at, step, place);
			kept = at + (step > 0 ? step : 1);
		}
		at += step > 0 ? step : 1;
	}
	put_run(b, text + kept, at - kept);
	if (at < size || goes_on)
		put(b, "...", 3);
}

/* Puts a text of unknown content: its secrets hidden, then cut. */
static void put_foreign(struct buffer *b, const char *text, enum place place)
{
	char copy[SEARCHED_MAX + 1];
	if (!log_secret_any()) {
		put_searched(b, text, place, false);
		return;
	}
	const size_t size = strnlen(text, SEARCHED_MAX + 1);
	const size_t searched = size > SEARCHED_MAX ? SEARCHED_MAX : size;
	memcpy(copy, text, searched);
	copy[searched] = '\0';
	log_secret_hide(copy);
	put_searched(b, copy, place, size > searched);
}

static void put_integer(struct buffer *b, int64_t integer)
{
	char digits[20];
	size_t at = sizeof(digits);
	uint64_t left = integer < 0 ? -(uint64_t)integer : (uint64_t)integer;
	do
		digits[--at] = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (integer < 0)
		digits[--at] = '-';
	put(b, digits + at, sizeof(digits) - at);
}

static void put_real(struct buffer *b, double real, enum place place)
{
	char text[32];
	if (!isfinite(real) && place == PLACE_JSON)
		put_text(b, "null");
	else
		put(b, text, (size_t)snprintf(text, sizeof(text), "%.9g", real));
}

/* Two digits with a character behind them. */
static char *two(char *to, int number, char behind)
{
	to[0] = (char)('0' + number / 10);
	to[1] = (char)('0' + number % 10);
	to[2] = behind;
	return to + 3;
}

static void put_milliseconds(struct buffer *b, long nanoseconds)
{
	const int ms = (int)(nanoseconds / 1000000);
	put(b, (const char[]){(char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10)}, 3);
}

/* A second as a thread has written it last: converting a time takes a lock of the C library's, so a thread does it once a second. */
struct second {
	bool known;
	time_t second;
	char text[SECOND_SIZE];
};

/* "2026-11-23T07:04:06.", with that character between date and time. */
static void put_second(struct buffer *b, struct second *cached, time_t second,
	struct tm *(*convert)(const time_t *second, struct tm *ret), char between)
{
	if (!cached->known || cached->second != second) {
		struct tm tm;
		if (!convert(&second, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
			memset(&tm, 0, sizeof(tm));
		char *to = cached->text + 2;
		two(cached->text, (tm.tm_year + 1900) / 100, '\0');
		to = two(two(to, (tm.tm_year + 1900) % 100, '-'), tm.tm_mon + 1, '-');
		two(two(two(two(to, tm.tm_mday, between), tm.tm_hour, ':'), tm.tm_min, ':'), tm.tm_sec, '.');
		cached->known = true;
		cached->second = second;
	}
	put(b, cached->text, 20);
}

static void put_local_time(struct buffer *b, time_t second)
{
	static _Thread_local struct second cached;
	put_second(b, &cached, second, localtime_r, ' ');
}

static void put_universal_time(struct buffer *b, time_t second)
{
	static _Thread_local struct second cached;
	put_second(b, &cached, second, gmtime_r, 'T');
}

/* Begins a field; false, with nothing put, where there is no more room for one. */
static bool begin_field(
	struct buffer *b, const struct log_field *field, const char *before, const char *after)
{
	const size_t size = strnlen(field->name, NAME_SIZE_MAX);
	/* With some room for its value, so that no field is only a name. */
	if (room(b) < size + 40) {
		b->full = true;
		return false;
	}
	put_text(b, before);
	put(b, field->name, size);
	put_text(b, after);
	return true;
}

static bool is_left_out(const struct log_field *field)
{
	return field->kind == LOG_FIELD_TEXT && !field->text;
}

/* Whether a text needs quotes to be seen as one value. */
static bool needs_quotes(const char *text)
{
	return text[0] == '\0' || text[strcspn(text, " \t\n\r\"=\\")] != '\0';
}

static void put_text_field(struct buffer *b, const struct log_field *field)
{
	if (!begin_field(b, field, " ", "="))
		return;
	if (field->kind == LOG_FIELD_INTEGER) {
		put_integer(b, field->integer);
	} else if (field->kind == LOG_FIELD_REAL) {
		put_real(b, field->real, PLACE_BARE);
	} else if (needs_quotes(field->text)) {
		put_text(b, "\"");
		put_foreign(b, field->text, PLACE_QUOTED);
		put_end(b, "\"");
	} else {
		put_foreign(b, field->text, PLACE_BARE);
	}
}

static bool begins_with_name(const char *message, const char *event)
{
	const size_t size = strlen(event);
	return strncmp(message, event, size) == 0 && (message[size] == '\0' || message[size] == ':');
}

size_t log_line_text(const struct log_line *line, bool colours, char ret[static LOG_LINE_SIZE])
{
	static const char *const plain[] = {" ERROR ", " WARN  ", " INFO  ", " DEBUG "};
	static const char *const coloured[] = {" \033[31mERROR\033[0m ", " \033[33mWARN\033[0m  ",
		" \033[32mINFO\033[0m  ", " \033[2mDEBUG\033[0m "};
	struct buffer b = {.at = ret, .limit = ret + LOG_LINE_SIZE - RESERVE};
	put_local_time(&b, line->time.tv_sec);
	put_milliseconds(&b, line->time.tv_nsec);
	put_text(&b, colours ? coloured[line->level] : plain[line->level]);
	/* The name by which README and other lines speak of it; some sentences begin with it. */
	if (line->event && !begins_with_name(line->message, line->event)) {
		put_searched(&b, line->event, PLACE_BARE, false);
		put_text(&b, ": ");
	}
	put_foreign(&b, line->message, PLACE_BARE);
	bool any = false;
	for (size_t i = 0; i < line->count; i++) {
		if (is_left_out(&line->fields[i]))
			continue;
		if (!any)
			put_text(&b, colours ? "\033[2m " : " ");
		any = true;
		put_text_field(&b, &line->fields[i]);
	}
	if (b.full)
		put_end(&b, " (cut)");
	put_end(&b, any && colours ? "\033[0m\n" : "\n");
	return (size_t)(b.at - ret);
}

static void put_json_field(struct buffer *b, const struct log_field *field)
{
	const bool is_text = field->kind == LOG_FIELD_TEXT;
	if (!begin_field(b, field, ",\"", is_text ? "\":\"" : "\":"))
		return;
	if (field->kind == LOG_FIELD_INTEGER) {
		put_integer(b, field->integer);
	} else if (field->kind == LOG_FIELD_REAL) {
		put_real(b, field->real, PLACE_JSON);
	} else {
		put_foreign(b, field->text, PLACE_JSON);
		put_end(b, "\"");
	}
}

size_t log_line_json(const struct log_line *line, char ret[static LOG_LINE_SIZE])
{
	struct buffer b = {.at = ret, .limit = ret + LOG_LINE_SIZE - RESERVE};
	put_text(&b, "{\"timestamp\":\"");
	put_universal_time(&b, line->time.tv_sec);
	put_milliseconds(&b, line->time.tv_nsec);
	put_text(&b, "Z\",\"level\":\"");
	put_text(&b, log_level_name(line->level));
	put_text(&b, "\"");
	/* A name of our own, by which programs know the line: whatever a secret looks like, it stays. */
	put_text(&b, ",\"event\":\"");
	put_searched(&b, line->event ? line->event : "", PLACE_JSON, false);
	put_text(&b, "\"");
	const struct log_field message = LOG_TEXT("message", line->message);
	put_json_field(&b, &message);
	for (size_t i = 0; i < line->count; i++)
		if (!is_left_out(&line->fields[i]))
			put_json_field(&b, &line->fields[i]);
	if (b.full)
		put_end(&b, ",\"cut\":true");
	put_end(&b, "}\n");
	return (size_t)(b.at - ret);
}
