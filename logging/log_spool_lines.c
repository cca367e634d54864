/* log_spool_lines.c - see log_spool_lines.h. */
#include "log_spool_lines.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { DIGITS = LOG_SPOOL_LINES_MARK_SIZE - 1 };

uint64_t log_spool_lines_count(const char *lines, size_t size)
{
	uint64_t count = 0;
	for (const char *at = lines, *end; size > 0 && (end = memchr(at, '\n', size)); at = end + 1) {
		size -= (size_t)(end + 1 - at);
		count++;
	}
	return count;
}

/* ---- Marks ---- */

static unsigned long mark_of(const char *event, size_t size)
{
	return crc32(0, (const Bytef *)event, (uInt)size) & 0xffffffffU;
}

size_t log_spool_lines_mark(const char *lines, size_t size, char *ret_marked)
{
	size_t used = 0;
	for (const char *at = lines, *end; size > 0 && (end = memchr(at, '\n', size)); at = end + 1) {
		const size_t line = (size_t)(end + 1 - at);
		char mark[LOG_SPOOL_LINES_MARK_SIZE + 1];
		(void)snprintf(mark, sizeof(mark), "%08lx ", mark_of(at, line - 1));
		memcpy(ret_marked + used, mark, LOG_SPOOL_LINES_MARK_SIZE);
		memcpy(ret_marked + used + LOG_SPOOL_LINES_MARK_SIZE, at, line);
		used += LOG_SPOOL_LINES_MARK_SIZE + line;
		size -= line;
	}
	return used;
}

/* Whether the line, without its end, is a mark and the event that it is for. */
static bool is_whole(const char *line, size_t size)
{
	char digits[DIGITS + 1] = "";
	if (size <= LOG_SPOOL_LINES_MARK_SIZE || line[DIGITS] != ' ')
		return false;
	memcpy(digits, line, DIGITS);
	return strspn(digits, "0123456789abcdef") == DIGITS &&
	       strtoul(digits, NULL, 16) ==
		       mark_of(line + LOG_SPOOL_LINES_MARK_SIZE, size - LOG_SPOOL_LINES_MARK_SIZE);
}

size_t log_spool_lines_check(char *bytes, size_t size, uint64_t *ret_events)
{
	size_t kept = 0;
	uint64_t events = 0;
	for (char *at = bytes, *const end = bytes + size; at < end;) {
		char *line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end)
			break;
		const size_t line = (size_t)(line_end - at);
		if (is_whole(at, line)) {
			const size_t event = line - LOG_SPOOL_LINES_MARK_SIZE + 1;
			memmove(bytes + kept, at + LOG_SPOOL_LINES_MARK_SIZE, event);
			kept += event;
			events++;
		}
		at = line_end + 1;
	}
	*ret_events = events;
	return kept;
}
