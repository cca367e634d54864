/*
 * log_journal.c - see log_journal.h.
 */
#include "log_journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEAD_SIZE = 64 /* within which the level of a record stands */, NAME_SIZE = 8 };

bool log_journal_is(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat status;
	char expected[48];
	if (!stream || fstat(fd, &status) != 0)
		return false;
	snprintf(expected, sizeof(expected), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
	return strcmp(stream, expected) == 0;
}

size_t log_journal_prefix(enum log_level level, char ret[static LOG_JOURNAL_PREFIX_SIZE])
{
	/* syslog(3): LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG */
	static const char priorities[] = {'3', '4', '6', '7'};
	ret[0] = '<';
	ret[1] = priorities[level];
	ret[2] = '>';
	return LOG_JOURNAL_PREFIX_SIZE;
}

enum log_level log_journal_level(const char *line, size_t size)
{
	static const char begin[] = "{\"timestamp\":\"", member[] = "\",\"level\":\"";
	enum log_level level = LOG_LEVEL_WARN;
	const size_t head = size < HEAD_SIZE ? size : HEAD_SIZE;
	if (head < sizeof(begin) - 1 || memcmp(line, begin, sizeof(begin) - 1) != 0)
		return level;
	const char *at = memmem(line, head, member, sizeof(member) - 1);
	if (!at)
		return level;
	const char *name = at + sizeof(member) - 1;
	const char *quote = memchr(name, '"', (size_t)(line + size - name));
	char text[NAME_SIZE];
	if (!quote || quote - name >= NAME_SIZE)
		return level;
	memcpy(text, name, (size_t)(quote - name));
	text[quote - name] = '\0';
	(void)log_level_of(text, &level);
	return level;
}
