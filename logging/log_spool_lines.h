/*
 * log_spool_lines.h - the lines of a segment (log_spool.h): "CRC32 EVENT", so that a line which was torn by a kill, or changed on disk, is known.
 *
 * Happy path: log_spool_lines_mark() before they are written, log_spool_lines_check() when they were read. Failure modes: a line that is not as it was
 * written is left out. Any thread.
 */
#ifndef LOG_SPOOL_LINES_H
#define LOG_SPOOL_LINES_H

#include <stddef.h>
#include <stdint.h>

enum { LOG_SPOOL_LINES_MARK_SIZE = 9 }; /* "0123abcd " */

/* Lines ended by \n. */
uint64_t log_spool_lines_count(const char *lines, size_t size);

/*
 * Writes the lines, each ended by \n and not empty, with their marks to ret_marked, which has room for LOG_SPOOL_LINES_MARK_SIZE more bytes a line. What
 * has no end is left out. Returns the size.
 */
size_t log_spool_lines_mark(const char *lines, size_t size, char *ret_marked);

/* Takes the marks off, in place. Returns the size of the lines that are whole; *ret_events: how many those are. */
size_t log_spool_lines_check(char *bytes, size_t size, uint64_t *ret_events);

#endif
