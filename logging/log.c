/*
 * log.c - the log's ring and the thread that writes it out.
 *
 * Happy path: log_event() formats a line on its own stack and copies it into the ring, which is all that the
 * lock is held for; the writer writes straight from the ring, whose bytes nobody touches until it has moved
 * the tail over them. Failure: a full ring drops the line and counts it. An output that takes nothing holds
 * up the writer alone; one that fails (closed pipe, full disk) loses what was to be written, counted, and is
 * tried again with the next line.
 */
#include "log.h"

#include "clock.h"
#include "log_journal.h"
#include "log_line.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A power of two. A page of it is only real memory once it was used, and an empty ring starts at its beginning again. */
enum { RING_SIZE = 1 << 20, WRITE_SIZE_MAX = 64 * 1024 };

int log_level_written = LOG_LEVEL_INFO;

static char ring[RING_SIZE];

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work; /* the writer waits for it */
	bool open, stopping;
	bool sleeping;	   /* the writer waits and nobody has woken it */
	size_t head, tail; /* bytes put in and taken out; the difference is what the ring holds */
	atomic_uint_least64_t dropped;
	_Atomic int fd;
	atomic_bool json, colours;
	atomic_bool journal; /* the output is the journal, which is told of each line how important it is */
	atomic_bool tapped;  /* there is a tap */
	void (*tap)(void *context, const char *lines, size_t size);
	void *tap_context;
	pthread_t thread;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .fd = STDERR_FILENO};

/* The writer's own. */
struct writer {
	uint64_t told; /* of the dropped lines */
	bool failing;  /* the last write failed */
	bool mid_line; /* what was written last did not end a line */
	bool dropping; /* the beginning of the line that comes next was dropped */
};

enum { LINE_SIZE = LOG_JOURNAL_PREFIX_SIZE + LOG_LINE_SIZE };

/* *ret_prefix: how many bytes of it are for the journal alone. */
static size_t format_line(const struct log_line *line, char ret[static LINE_SIZE], size_t *ret_prefix)
{
	const size_t prefix = atomic_load_explicit(&state.journal, memory_order_relaxed)
				      ? log_journal_prefix(line->level, ret)
				      : 0;
	*ret_prefix = prefix;
	if (atomic_load_explicit(&state.json, memory_order_relaxed))
		return prefix + log_line_json(line, ret + prefix);
	return prefix +
	       log_line_text(line, atomic_load_explicit(&state.colours, memory_order_relaxed), ret + prefix);
}

static bool ring_has_room(size_t size)
{
	return size <= RING_SIZE - (state.head - state.tail);
}

/* Copies a line into the ring; false if there is no room. The lock is held. */
static bool ring_put(const char *line, size_t size)
{
	if (!ring_has_room(size))
		return false;
	const size_t at = state.head % RING_SIZE;
	const size_t first = size < RING_SIZE - at ? size : RING_SIZE - at;
	memcpy(ring + at, line, first);
	memcpy(ring, line + first, size - first);
	state.head += size;
	return true;
}

/* Writes without the ring, before log_open() and after log_close(), when a closed pipe must not end the process either. */
static void write_directly(const char *line, size_t size)
{
	sigset_t pipe_signal, old, pending;
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
	ssize_t written;
	do
		written = write(STDERR_FILENO, line, size);
	while (written < 0 && errno == EINTR);
	if (written < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe_signal, NULL, &(struct timespec){.tv_sec = 0}) < 0 &&
			errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static uint64_t count_lines(const char *bytes, size_t size)
{
	uint64_t lines = 0;
	for (size_t i = 0; i < size; i++)
		lines += bytes[i] == '\n';
	return lines;
}

void log_set_tap(void (*tap)(void *context, const char *lines, size_t size), void *context)
{
	pthread_mutex_lock(&state.lock);
	state.tap = tap;
	state.tap_context = context;
	state.tapped = tap;
	pthread_mutex_unlock(&state.lock);
}

void log_tap_lines(const char *lines, size_t size)
{
	if (!atomic_load_explicit(&state.tapped, memory_order_relaxed))
		return;
	/* Under the lock, so that it is not called once it was taken away. */
	pthread_mutex_lock(&state.lock);
	if (state.tap)
		state.tap(state.tap_context, lines, size);
	pthread_mutex_unlock(&state.lock);
}

/* A prefix and lines behind it, in one piece. */
static void put_lines(const char *prefix, size_t prefix_size, const char *lines, size_t size)
{
	pthread_mutex_lock(&state.lock);
	const bool open = state.open;
	const bool taken = open && ring_has_room(prefix_size + size) && ring_put(prefix, prefix_size) &&
			   ring_put(lines, size);
	const bool wake = taken && state.sleeping;
	if (wake)
		state.sleeping = false;
	pthread_mutex_unlock(&state.lock);
	if (wake)
		pthread_cond_signal(&state.work);
	if (!open)
		write_directly(lines, size);
	else if (!taken)
		atomic_fetch_add_explicit(&state.dropped, count_lines(lines, size), memory_order_relaxed);
}

void log_put_lines(const char *lines, size_t size)
{
	if (!atomic_load_explicit(&state.journal, memory_order_relaxed)) {
		put_lines("", 0, lines, size);
		return;
	}
	for (const char *line = lines, *const end = lines + size; line < end;) {
		char prefix[LOG_JOURNAL_PREFIX_SIZE];
		const char *last = memchr(line, '\n', (size_t)(end - line));
		const size_t line_size = last ? (size_t)(last - line) + 1 : (size_t)(end - line);
		put_lines(prefix, log_journal_prefix(log_journal_level(line, line_size), prefix), line,
			line_size);
		line += line_size;
	}
}

void log_record(const struct log_line *record)
{
	char text[LINE_SIZE];
	size_t prefix;
	put_lines("", 0, text, format_line(record, text, &prefix));
}

bool log_is_json(void)
{
	return atomic_load_explicit(&state.json, memory_order_relaxed);
}

void log_event(enum log_level level, const char *event, const char *message, const struct log_field *fields,
	size_t count)
{
	const int old_errno = errno;
	struct log_line line = {
		.level = level, .event = event, .message = message, .fields = fields, .count = count};
	clock_gettime(CLOCK_REALTIME, &line.time);
	char text[LINE_SIZE];
	size_t prefix;
	const bool json = log_is_json();
	size_t size = format_line(&line, text, &prefix);
	put_lines("", 0, text, size);
	if (atomic_load_explicit(&state.tapped, memory_order_relaxed)) {
		if (!json)
			size = prefix + log_line_json(&line, text + prefix);
		log_tap_lines(text + prefix, size - prefix);
	}
	errno = old_errno;
}

uint64_t log_dropped(void)
{
	return atomic_load_explicit(&state.dropped, memory_order_relaxed);
}

/* Drops the bytes as far as their last line end, or all of them where they hold none; returns how many. */
static size_t drop(struct writer *w, const char *bytes, size_t size)
{
	const char *last = memrchr(bytes, '\n', size);
	w->dropping = !last;
	const size_t dropped = last ? (size_t)(last - bytes) + 1 : size;
	atomic_fetch_add_explicit(&state.dropped, count_lines(bytes, dropped), memory_order_relaxed);
	return dropped;
}

/* write() that waits until the output takes something. 0 or the number of bytes; negative: it failed. */
static ssize_t write_waiting(int fd, const char *bytes, size_t size)
{
	for (;;) {
		const ssize_t written = write(fd, bytes, size);
		if (written >= 0 || (errno != EINTR && errno != EAGAIN))
			return written;
		struct pollfd output = {.fd = fd, .events = POLLOUT};
		if (errno == EAGAIN)
			(void)poll(&output, 1, -1);
	}
}

/* Writes some of the bytes, or drops them if the output fails; returns how many are dealt with. The lock is not held. */
static size_t write_some(struct writer *w, const char *bytes, size_t size)
{
	const int fd = state.fd;
	if (w->dropping) {
		/* The line's beginning is gone; its end is worth nothing. */
		const char *end = memchr(bytes, '\n', size);
		return drop(w, bytes, end ? (size_t)(end - bytes) + 1 : size);
	}
	/* What was cut off by a failure must not run into the next line. */
	if (w->failing && w->mid_line && write_waiting(fd, "\n", 1) == 1)
		w->mid_line = false;
	const ssize_t written = write_waiting(fd, bytes, size);
	w->failing = written <= 0;
	if (w->failing)
		return drop(w, bytes, size);
	w->mid_line = bytes[written - 1] != '\n';
	return (size_t)written;
}

/* Puts a line that says how many were dropped, when some were and the output works. The lock is held. */
static void tell_dropped(struct writer *w)
{
	const uint64_t dropped = log_dropped();
	if (dropped == w->told || w->failing || !ring_has_room(LINE_SIZE))
		return;
	char text[LINE_SIZE];
	size_t prefix;
	const struct log_field fields[] = {
		LOG_INT("lines", dropped - w->told), LOG_INT("lines_total", dropped)};
	struct log_line line = {.level = LOG_LEVEL_WARN,
		.event = "log_dropped",
		.message = "lines of this log were dropped: its output did not take them",
		.fields = fields,
		.count = sizeof(fields) / sizeof(fields[0])};
	clock_gettime(CLOCK_REALTIME, &line.time);
	const size_t size = format_line(&line, text, &prefix);
	if (ring_put(text, size))
		w->told = dropped;
}

static void *writer_run(void *argument)
{
	(void)argument;
	struct writer w = {.told = 0};
	pthread_mutex_lock(&state.lock);
	for (;;) {
		tell_dropped(&w);
		if (state.head == state.tail && state.stopping)
			break;
		if (state.head == state.tail) {
			state.head = state.tail = 0;
			state.sleeping = true;
			pthread_cond_wait(&state.work, &state.lock);
			state.sleeping = false;
			continue;
		}
		const size_t at = state.tail % RING_SIZE;
		size_t size = state.head - state.tail;
		size = size < RING_SIZE - at ? size : RING_SIZE - at;
		size = size < WRITE_SIZE_MAX ? size : WRITE_SIZE_MAX;
		pthread_mutex_unlock(&state.lock);
		const size_t written = write_some(&w, ring + at, size);
		pthread_mutex_lock(&state.lock);
		state.tail += written;
	}
	pthread_mutex_unlock(&state.lock);
	return NULL;
}

static bool wants_colours(int fd)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
	return isatty(fd) == 1 && (!no_color || no_color[0] == '\0') &&
	       (!terminal || strcmp(terminal, "dumb") != 0);
}

void log_set(enum log_format format, enum log_level level)
{
	state.json = format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTO && isatty(state.fd) != 1);
	state.colours = wants_colours(state.fd);
	__atomic_store_n(&log_level_written, (int)level, __ATOMIC_RELAXED);
}

int log_open(const struct log_options *options)
{
	if (state.open)
		return -EALREADY;
	tzset();
	state.fd = options->fd;
	log_set(options->format, options->level);
	state.journal = log_journal_is(options->fd);
	state.stopping = false;
	state.dropped = 0;

	/* The writer takes no signal: those of the process are for others, and SIGPIPE stays with it, blocked. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	const int error = pthread_create(&state.thread, NULL, writer_run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0)
		return -error;
	pthread_setname_np(state.thread, "cashewd-log");
	pthread_mutex_lock(&state.lock);
	state.open = true;
	pthread_mutex_unlock(&state.lock);
	return 0;
}

void log_close(unsigned timeout_ms)
{
	pthread_mutex_lock(&state.lock);
	const bool open = state.open;
	state.open = false;
	state.stopping = true;
	state.sleeping = false;
	state.journal = false;
	pthread_mutex_unlock(&state.lock);
	if (!open)
		return;
	pthread_cond_signal(&state.work);
	struct timespec until;
	/* By the wall clock: ThreadSanitizer does not know the join by another one. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000 + 1;
	/* One that hangs in a write is left behind: it holds nothing that the end of the process waits for. */
	if (pthread_timedjoin_np(state.thread, NULL, &until) != 0)
		pthread_detach(state.thread);
}
