/*
 * test_configuration.c - mosquitto.conf.in: the limits that keep one device from hurting another are there, once, and each listener has its own. What
 * they do is tried in tests/e2e/test_broker_quotas.c, test_broker_strangers.c and by the benchmarks' floods and saves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char lines[200][256];
static size_t line_count;

/* The settings, without comments and without the marks of lines that are not always there. */
static int read_lines(void **state)
{
	(void)state;
	char line[256];
	FILE *file = fopen(SOURCE_DIR "/examples/broker/mosquitto.conf.in", "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file) && line_count < COUNT(lines)) {
		char *begin = strncmp(line, "@WITH_", 6) == 0 ? strchr(line, ' ') + 1 : line;
		begin[strcspn(begin, "\n")] = '\0';
		if (begin[0] != '\0' && begin[0] != '#')
			snprintf(lines[line_count++], sizeof(lines[0]), "%s", begin);
	}
	fclose(file);
	return 0;
}

static const char *value_in(const char *line, const char *name)
{
	const size_t size = strlen(name);
	return strncmp(line, name, size) == 0 && line[size] == ' ' ? line + size + 1 : NULL;
}

static void limits(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value;
	} cases[] = {
		{"allow_anonymous", "false"},
		/* Each change would write all that waits. */
		{"autosave_on_changes", "false"},
		{"autosave_interval", "5"},
		{"persistent_client_expiration", "60d"},
		{"message_size_limit", "131072"},
		{"max_packet_size", "262144"},
		{"memory_limit", "1073741824"},
		/* Their quota bounds what devices have waiting: a limit here would drop cashewd's commands. */
		{"max_queued_bytes", "0"},
		/* A line for each connection has no bound. */
		{"connection_messages", "false"},
		{"per_listener_settings", "false"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t found = 0;
		for (size_t k = 0; k < line_count; k++) {
			const char *value = value_in(lines[k], cases[i].name);
			found += value != NULL;
			if (value && strcmp(value, cases[i].value) != 0)
				fail_msg("%s is %s", cases[i].name, value);
		}
		if (found != 1)
			fail_msg("%s stands there %zu times", cases[i].name, found);
	}
}

/* mosquitto 2.0.21 closes connections at random whose keepalive is the greatest that it allows, and refuses those of MQTT 3.1.1 that ask for more. */
static void no_greatest_keepalive(void **state)
{
	(void)state;
	for (size_t k = 0; k < line_count; k++)
		assert_null(value_in(lines[k], "max_keepalive"));
}

/* The host's first: devices can use up what is theirs alone. Then the devices', the web pages', and the plain one. */
static void listeners(void **state)
{
	(void)state;
	enum { LISTENERS = 4 };
	size_t listener = 0, limits_of_it = 0;
	long connections[LISTENERS + 1] = {0};
	for (size_t i = 0; i <= line_count; i++) {
		const bool begins = i < line_count && value_in(lines[i], "listener");
		if (begins || i == line_count) {
			assert_int_equal(limits_of_it, listener > 0);
			limits_of_it = 0;
			listener++;
		}
		const char *value = i < line_count ? value_in(lines[i], "max_connections") : NULL;
		if (!value)
			continue;
		assert_in_range(listener, 1, LISTENERS);
		connections[listener] = strtol(value, NULL, 10);
		limits_of_it++;
	}
	assert_int_equal(listener - 1, LISTENERS);
	assert_int_equal(connections[1], 100);
	for (size_t i = 2; i <= LISTENERS; i++)
		assert_int_equal(connections[i], 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(limits), cmocka_unit_test(no_greatest_keepalive),
		cmocka_unit_test(listeners)};
	return cmocka_run_group_tests_name("configuration", tests, read_lines, NULL);
}
