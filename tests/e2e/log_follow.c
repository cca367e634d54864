/* log_follow.c - see log_follow.h. */
#include "log_follow.h"
#include "panic.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void log_follow_open(struct log_follow *log, const char *path)
{
	*log = (struct log_follow){.fd = -1, .path = panic_if_null(strdup(path))};
}

void log_follow_close(struct log_follow *log)
{
	for (size_t i = 0; i < log->count; i++)
		json_decref(log->records[i].json);
	free(log->records);
	free(log->rest);
	free(log->path);
	if (log->fd >= 0)
		close(log->fd);
	*log = (struct log_follow){.fd = -1};
}

static void add(struct log_follow *log, const char *line, size_t size)
{
	if (size == 0)
		return;
	json_t *json = json_loadb(line, size, 0, NULL);
	if (!json_is_object(json)) {
		json_decref(json);
		json = json_object();
		json_object_set_new_nocheck(json, "line", json_stringn_nocheck(line, size));
	}
	if (log->count == log->capacity) {
		log->capacity = log->capacity ? 2 * log->capacity : 64;
		log->records =
			panic_if_null(reallocarray(log->records, log->capacity, sizeof(log->records[0])));
	}
	log->records[log->count++] = (struct log_record){.json = json};
}

void log_follow_read(struct log_follow *log)
{
	if (log->fd < 0)
		log->fd = open(log->path, O_RDONLY | O_CLOEXEC);
	if (log->fd < 0)
		return;
	char buffer[65536];
	ssize_t got;
	while ((got = read(log->fd, buffer, sizeof(buffer))) > 0) {
		log->rest = panic_if_null(realloc(log->rest, log->rest_size + (size_t)got));
		memcpy(log->rest + log->rest_size, buffer, (size_t)got);
		log->rest_size += (size_t)got;
		char *line = log->rest, *end;
		size_t left = log->rest_size;
		while ((end = memchr(line, '\n', left))) {
			add(log, line, (size_t)(end - line));
			left -= (size_t)(end + 1 - line);
			line = end + 1;
		}
		memmove(log->rest, line, left);
		log->rest_size = left;
	}
}

static bool value_matches(const json_t *value, const char *expected)
{
	char number[32];
	if (!value)
		return false;
	if (strcmp(expected, "*") == 0)
		return true;
	if (json_is_string(value))
		return strcmp(json_string_value(value), expected) == 0;
	if (json_is_boolean(value))
		return strcmp(json_is_true(value) ? "true" : "false", expected) == 0;
	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return json_is_integer(value) && strcmp(number, expected) == 0;
}

bool log_follow_matches(const json_t *record, const char *event, va_list conditions)
{
	const char *name = json_string_value(json_object_get(record, "event"));
	if (!name || strcmp(name, event) != 0)
		return false;
	va_list pairs;
	bool matches = true;
	va_copy(pairs, conditions);
	for (const char *field; matches && (field = va_arg(pairs, const char *));)
		matches = value_matches(json_object_get(record, field), va_arg(pairs, const char *));
	va_end(pairs);
	return matches;
}

json_t *log_follow_take(struct log_follow *log, const char *event, va_list conditions)
{
	log_follow_read(log);
	for (size_t i = 0; i < log->count; i++) {
		struct log_record *record = &log->records[i];
		if (!record->taken && log_follow_matches(record->json, event, conditions)) {
			record->taken = true;
			return record->json;
		}
	}
	return NULL;
}

size_t log_follow_count(struct log_follow *log, const char *event, va_list conditions)
{
	size_t count = 0;
	log_follow_read(log);
	for (size_t i = 0; i < log->count; i++)
		count += log_follow_matches(log->records[i].json, event, conditions);
	return count;
}
