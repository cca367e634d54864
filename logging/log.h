/*
 * log.h - the program's own log: one event a line, readable on a terminal, JSON elsewhere.
 *
 * Happy path: log_open() once, log_info("broker_connected", "connected to the broker", LOG_TEXT("broker",
 * host)), log_close(). A call formats the line in the calling thread and puts it into a bounded ring; one
 * writer thread writes it out. A call never waits for the output: when the ring is full the line is dropped
 * and counted, and the writer says so ("log_dropped") when it can. Before log_open() and after log_close(),
 * lines go to standard error directly. Where the output is the journal, each line begins with its priority as sd-daemon(3) has it: log_journal.h.
 */
#ifndef LOG_H
#define LOG_H

#include "log_field.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Auto: text on a terminal, else JSON. */
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_options {
	int fd; /* where lines go; stays the caller's */
	enum log_format format;
	enum log_level level; /* less important lines are skipped before they are formatted */
};

/* Starts the writer thread. 0 or a negative errno. Main thread, once. */
__attribute__((warn_unused_result)) int log_open(const struct log_options *options);

/* Writes out what the ring holds, waiting timeout_ms at most, and stops the writer. Main thread. */
void log_close(unsigned timeout_ms);

/* The least important level that is written. Only for log_enabled(). */
extern int log_level_written;

/* Whether a line of that level would be written: to spare the work of collecting its fields. One load. Any thread. */
static inline bool log_enabled(enum log_level level)
{
	return (int)level <= __atomic_load_n(&log_level_written, __ATOMIC_RELAXED);
}

/* Changes format and level of the log, whether it is open or not. Main thread. */
void log_set(enum log_format format, enum log_level level);

/* Whether lines are written as JSON. */
bool log_is_json(void);

/* Puts whole lines that another process has formatted into the log, as they are. Any thread. */
void log_put_lines(const char *lines, size_t size);

/* Puts a record of another process into the log, in this log's format. Any thread. */
struct log_line;
void log_record(const struct log_line *record);

/*
 * Who else gets every line, as JSON: `tap` is called for those of log_event(), and for those of another
 * process that log_tap_lines() is given. It must not block and not log. NULL: nobody; then it is not called
 * any more. Any thread.
 */
void log_set_tap(void (*tap)(void *context, const char *lines, size_t size), void *context);
void log_tap_lines(const char *lines, size_t size);

/* Lines dropped since log_open(). Any thread. */
uint64_t log_dropped(void);

/*
 * Logs one event: its machine-readable name (lower case, _), a sentence for people, and fields. Use the
 * macros below. Texts are cut at 1 KiB, the line at 8 KiB, never inside a UTF-8 character; control characters
 * and bad UTF-8 are escaped, so a line is always one line of valid JSON or text. Any thread; does not keep
 * any pointer; not for signal handlers.
 */
void log_event(enum log_level level, const char *event, const char *message, const struct log_field *fields,
	size_t count);

/* The first element only keeps the array from being empty. */
#define LOG_EVENT(level, event, message, ...)                                                   \
	do {                                                                                    \
		if (log_enabled(level)) {                                                       \
			const struct log_field log_fields_[] = {{.name = NULL}, ##__VA_ARGS__}; \
			log_event(level, event, message, log_fields_ + 1,                       \
				sizeof(log_fields_) / sizeof(log_fields_[0]) - 1);              \
		}                                                                               \
	} while (0)

#define log_error(event, message, ...) LOG_EVENT(LOG_LEVEL_ERROR, event, message, ##__VA_ARGS__)
#define log_warn(event, message, ...)  LOG_EVENT(LOG_LEVEL_WARN, event, message, ##__VA_ARGS__)
#define log_info(event, message, ...)  LOG_EVENT(LOG_LEVEL_INFO, event, message, ##__VA_ARGS__)
#define log_debug(event, message, ...) LOG_EVENT(LOG_LEVEL_DEBUG, event, message, ##__VA_ARGS__)

#endif
