/*
 * log_journal.h - lines for systemd's journal, which sorts and filters them by priority: "<4>" in front of a line says that it is a warning
 * (sd-daemon(3); the journal takes that away again unless SyslogLevelPrefix=no).
 *
 * Happy path: where JOURNAL_STREAM in the environment names the output, each line gets such a prefix. Anywhere else, and where the variable is not as
 * systemd.exec(5) has it, lines stay as they are. No failure modes. Any thread.
 */
#ifndef LOG_JOURNAL_H
#define LOG_JOURNAL_H

#include "log_field.h"

#include <stddef.h>

enum { LOG_JOURNAL_PREFIX_SIZE = 3 };

/* Whether the descriptor is the stream that systemd has connected to the journal: JOURNAL_STREAM is its device and inode. */
bool log_journal_is(int fd);

/* "<3>" to "<7>", without a NUL; returns its size. */
size_t log_journal_prefix(enum log_level level, char ret[static LOG_JOURNAL_PREFIX_SIZE]);

/* The level of a line as log_line_json() writes it. Of any other line: a warning, since what is no record is a last word, or a sanitizer's. */
enum log_level log_journal_level(const char *line, size_t size);

#endif
