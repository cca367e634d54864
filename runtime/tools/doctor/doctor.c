/* doctor.c - see doctor.h: what the checks say, and what they share. */
#include "doctor.h"

#include "doctor_link.h"
#include "handler_token.h"
#include "log_secret.h"
#include "random.h"
#include "resolver.h"
#include "store.h"
#include "text_line.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void doctor_random_name(char ret[static DOCTOR_USER_SIZE], const char *text, unsigned digits)
{
	unsigned char bytes[DOCTOR_USER_SIZE];
	random_bytes(bytes, sizeof(bytes));
	const size_t size = strlen(text);
	if (size + digits >= DOCTOR_USER_SIZE)
		abort();
	memcpy(ret, text, size);
	for (unsigned i = 0; i < digits; i++)
		ret[size + i] = "0123456789abcdef"[bytes[i] % 16];
	ret[size + digits] = '\0';
}

/* What a broker, a database or a device says may hold anything: no secret stays in it, a line stays one, and leaves terminals alone. */
__attribute__((format(printf, 2, 0))) static void write_tame(
	char ret[static DOCTOR_TEXT_SIZE], const char *format, va_list arguments)
{
	char *text = NULL, *line = NULL;
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	/* Before it is cut. */
	if (text) {
		log_secret_hide(text);
		line = text_line(text);
	}
	snprintf(ret, DOCTOR_TEXT_SIZE, "%s", line ? line : "out of memory");
	free(line);
	free(text);
	/* It may have been cut within a character. */
	for (size_t size = strlen(ret); !text_is_utf8(ret, size);)
		ret[--size] = '\0';
}

/* The last line of all tells that there is no room for more; its check's outcome still counts. */
__attribute__((format(printf, 3, 0))) static void say(
	struct doctor *doctor, enum doctor_outcome outcome, const char *format, va_list arguments)
{
	struct doctor_line *line = &doctor->lines[doctor->line_count];
	if (outcome > doctor->outcome)
		doctor->outcome = outcome;
	if (doctor->line_count == DOCTOR_LINES_MAX)
		return;
	*line = (struct doctor_line){.check = doctor->check, .outcome = outcome};
	write_tame(line->seen, format, arguments);
	doctor->line_count++;
}

#define SAY(outcome)                             \
	va_list arguments;                       \
	va_start(arguments, format);             \
	say(doctor, outcome, format, arguments); \
	va_end(arguments)

void doctor_ok(struct doctor *doctor, const char *format, ...)
{
	SAY(DOCTOR_OK);
}

void doctor_skip(struct doctor *doctor, const char *format, ...)
{
	SAY(DOCTOR_SKIP);
}

void doctor_warn(struct doctor *doctor, const char *format, ...)
{
	SAY(DOCTOR_WARN);
}

void doctor_fail(struct doctor *doctor, const char *format, ...)
{
	SAY(DOCTOR_FAIL);
}

void doctor_advise(struct doctor *doctor, const char *format, ...)
{
	if (doctor->line_count == 0)
		abort();
	struct doctor_line *line = &doctor->lines[doctor->line_count - 1];
	va_list arguments;
	va_start(arguments, format);
	write_tame(line->advice, format, arguments);
	va_end(arguments);
}

int doctor_topics(const struct doctor *doctor, const char ***ret_filters, struct handler_topics *ret_topics)
{
	static const char *const own[] = {"+/" DOCTOR_COMMAND, "+/" DOCTOR_ANSWER};
	enum { OWN = sizeof(own) / sizeof(own[0]) };
	const char **filters = NULL;
	size_t count = 0;
	if (routes_filters(&doctor->routes, &filters, &count) != 0)
		return -ENOMEM;
	const char **all = reallocarray(filters, count + OWN, sizeof(*filters));
	if (!all) {
		free(filters);
		return -ENOMEM;
	}
	memcpy(all + count, own, sizeof(own));
	*ret_filters = all;
	*ret_topics = (struct handler_topics){.filters = all, .count = count + OWN};
	return 0;
}

void doctor_clear(struct doctor *doctor)
{
	if (doctor->client)
		store_release(doctor->client);
	store_close(doctor->store);
	doctor->client = NULL;
	doctor->store = NULL;
	doctor_link_close(doctor->handler);
	doctor_link_close(doctor->user);
	doctor->handler = doctor->user = NULL;
	handler_token_free(doctor->user_token);
	doctor->user_token = NULL;
	resolver_free(doctor->resolver);
	doctor->resolver = NULL;
	routes_free(&doctor->routes);
}
