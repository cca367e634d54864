/*
 * top_parts.h - a cashewd to be looked at, runs of `cashewd top`, and what they said.
 *
 * Include it in one source file.
 */
#ifndef TOP_PARTS_H
#define TOP_PARTS_H

#include "harness.h"
#include "port.h"
#include <string.h>
#include <unistd.h>

enum { USAGE = 64, UNAVAILABLE = 69, CONFIG = 78, ENVIRONMENT_MAX = 16, SCREEN_SIZE = 1 << 20 };

/* ---- Once ---- */

static const char *free_address(struct harness *h)
{
	const int port = port_reserve();
	assert_true(port > 0);
	return harness_format(h, "127.0.0.1:%d", port);
}

static struct host *start_cashewd(struct harness *h, const char *address)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "METRICS_ADDR", address);
	host_set(host, "HANDLER_TIMEOUT", "600");
	host_set(host, "LOG_LEVEL", "info");
	host_start(host);
	host_wait_ready(host);
	return host;
}

struct answer {
	int code;
	char *text; /* both outputs */
};

/* Of `cashewd top` with those arguments, which finds nothing but METRICS_ADDR in its .env. */
static struct answer run_top(struct harness *h, const char *address, const char *const *arguments)
{
	static const char *const others[] = {"JWT_SECRET", "BROKER_HOST", "BROKER_PORT", "BROKER_CA_FILE",
		"MONGO_DB_URL", "MONGO_DB_NAME", "CLIENT_ID", NULL};
	const char *argv[8] = {"top"};
	struct host *top = host_new(h, HOST_PRODUCT);
	for (size_t i = 0; others[i]; i++)
		host_set(top, others[i], NULL);
	host_set(top, "METRICS_ADDR", address);
	for (size_t i = 0; arguments[i]; i++)
		argv[i + 1] = arguments[i];
	host_set_arguments(top, argv);
	host_start(top);
	struct answer answer = {.code = host_wait_exit(top)};
	answer.text = harness_read_file(h, harness_format(h, "%s/cashewd.log", host_folder(top)));
	return answer;
}

#define top(h, address, ...) run_top(h, address, (const char *const[]){__VA_ARGS__, NULL})

#define expect(answer, expected_code, part) expect_at(__FILE__, __LINE__, answer, expected_code, part)
static void expect_at(const char *file, int line, struct answer answer, int code, const char *part)
{
	if (answer.code != code || !strstr(answer.text, part))
		harness_fail_at(file, line, "exit code %d, expected were %d and \"%s\": %s", answer.code,
			code, part, answer.text);
}

static void begin_slow_command(struct harness *h, struct host *host, struct device *phone)
{
	(void)device_publish(phone, "test_gate", "{\"gate\":\"the-payload\"}");
	const char *runs = harness_format(h, "%s/runs", host_folder(host));
	while (access(runs, F_OK) != 0)
		harness_watch(h, 10);
}

static void open_gate(struct harness *h, struct host *host)
{
	FILE *gate = fopen(harness_format(h, "%s/the-payload.open", host_folder(host)), "we");
	assert_non_null(gate);
	fclose(gate);
}

#endif
