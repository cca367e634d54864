/*
 * child_log.c - see child_log.h.
 */
#include "child_log.h"

#include "log.h"
#include "log_line.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 64 * 1024, ROUNDS = 16, FIELDS_MAX = 64 };

/* Only the end that is read here does not block. A pipe for what is printed, since a handler may open /dev/stdout, which a socket refuses. */
static int open_ends(enum child_log_kind kind, int ends[static 2])
{
	const int error = kind == CHILD_LOG_PRINTED
				  ? pipe2(ends, O_CLOEXEC)
				  : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
	if (error != 0)
		return -errno;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
		return 0;
	const int reason = errno;
	close(ends[0]);
	close(ends[1]);
	return -reason;
}

int child_log_open(struct child_log *logs, enum child_log_kind kind, int *ret_end)
{
	int ends[2];
	char *buffer = malloc(BUFFER_SIZE);
	if (!buffer)
		return -ENOMEM;
	const int error = open_ends(kind, ends);
	if (error != 0) {
		free(buffer);
		return error;
	}
	*logs = (struct child_log){.kind = kind, .fd = ends[0], .buffer = buffer};
	*ret_end = ends[1];
	return 0;
}

/* ---- Lines as text ---- */

/* "2026-11-23T07:04:06.123Z" */
static struct timespec read_time(const char *text)
{
	struct tm tm = {0};
	struct timespec time = {0};
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!rest) {
		clock_gettime(CLOCK_REALTIME, &time);
		return time;
	}
	time.tv_sec = timegm(&tm);
	if (rest[0] == '.')
		time.tv_nsec = strtol(rest + 1, NULL, 10) * 1000000;
	return time;
}

static enum log_level read_level(const char *text)
{
	enum log_level level = LOG_LEVEL_INFO;
	if (text)
		(void)log_level_of(text, &level);
	return level;
}

static bool is_head(const char *name)
{
	static const char *const names[] = {"timestamp", "level", "event", "message"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static size_t read_fields(json_t *json, struct log_field fields[static FIELDS_MAX])
{
	size_t count = 0;
	const char *name;
	json_t *value;
	json_object_foreach(json, name, value)
	{
		if (count == FIELDS_MAX || is_head(name))
			continue;
		if (json_is_string(value))
			fields[count++] = LOG_TEXT(name, json_string_value(value));
		else if (json_is_integer(value))
			fields[count++] = LOG_INT(name, json_integer_value(value));
		else if (json_is_real(value))
			fields[count++] = LOG_REAL(name, json_real_value(value));
		else if (json_is_boolean(value))
			fields[count++] = LOG_TEXT(name, json_is_true(value) ? "true" : "false");
	}
	return count;
}

static void render(const char *line, size_t size)
{
	struct log_field fields[FIELDS_MAX];
	json_t *json = json_loadb(line, size, 0, NULL);
	const char *message = json_string_value(json_object_get(json, "message"));
	if (!message) {
		log_put_lines(line, size);
		json_decref(json);
		return;
	}
	const struct log_line record = {
		.time = read_time(json_string_value(json_object_get(json, "timestamp"))),
		.level = read_level(json_string_value(json_object_get(json, "level"))),
		.event = json_string_value(json_object_get(json, "event")),
		.message = message,
		.fields = fields,
		.count = read_fields(json, fields),
	};
	log_record(&record);
	json_decref(json);
}

/* ---- The stream ---- */

/* Each line becomes an event of its own. */
static void pass_printed(char *lines, size_t size)
{
	for (char *line = lines, *const end = lines + size; line < end;) {
		char *line_end = memchr(line, '\n', (size_t)(end - line));
		for (char *at = line; at < line_end; at++)
			if (*at == '\0')
				*at = '?';
		*line_end = '\0';
		if (line[0] != '\0')
			log_info("host_output", line);
		line = line_end + 1;
	}
}

/* Whole lines. */
static void pass(const struct child_log *logs, char *lines, size_t size)
{
	if (logs->kind == CHILD_LOG_PRINTED) {
		pass_printed(lines, size);
		return;
	}
	log_tap_lines(lines, size);
	if (log_is_json()) {
		log_put_lines(lines, size);
		return;
	}
	while (size > 0) {
		const char *end = memchr(lines, '\n', size);
		const size_t line = end ? (size_t)(end - lines) + 1 : size;
		render(lines, line);
		lines += line;
		size -= line;
	}
}

/* Ends what has no end yet. */
static void pass_rest(struct child_log *logs)
{
	if (logs->used == 0)
		return;
	logs->buffer[logs->used] = '\n';
	pass(logs, logs->buffer, logs->used + 1);
	logs->used = 0;
}

/* Whether there may be more. */
static bool read_once(struct child_log *logs)
{
	/* One byte is left for the end of a line that never came. */
	const size_t room = BUFFER_SIZE - 1 - logs->used;
	ssize_t got;
	do
		got = read(logs->fd, logs->buffer + logs->used, room);
	while (got < 0 && errno == EINTR);
	logs->over = logs->over || got == 0;
	if (got <= 0)
		return false;
	logs->used += (size_t)got;
	const char *last = memrchr(logs->buffer, '\n', logs->used);
	if (last) {
		const size_t whole = (size_t)(last - logs->buffer) + 1;
		pass(logs, logs->buffer, whole);
		logs->used -= whole;
		memmove(logs->buffer, logs->buffer + whole, logs->used);
	} else if (logs->used == BUFFER_SIZE - 1) {
		pass_rest(logs);
	}
	return true;
}

struct pollfd child_log_poll(const struct child_log *logs)
{
	return (struct pollfd){.fd = logs->over ? -1 : logs->fd, .events = POLLIN};
}

void child_log_serve(struct child_log *logs, short revents)
{
	if ((revents & (POLLIN | POLLHUP | POLLERR)) == 0)
		return;
	for (unsigned round = 0; round < ROUNDS && read_once(logs); round++)
		continue;
}

void child_log_close(struct child_log *logs)
{
	if (logs->fd < 0)
		return;
	while (read_once(logs))
		continue;
	pass_rest(logs);
	close(logs->fd);
	free(logs->buffer);
	*logs = (struct child_log){.fd = -1};
}
