/*
 * test_top.c - `cashewd top --once` beside a real cashewd: what it shows of handlers that have run and of one that runs, and where cashewd is not there.
 * On a terminal: test_top_terminal.c.
 */
#include "harness.h"
#include "port.h"
#include "top_parts.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Once ---- */

static json_t *status_of(struct harness *h, const char *address)
{
	const struct answer answer = top(h, address, "--json");
	json_error_t error;
	json_t *json = json_loads(answer.text, 0, &error);
	if (answer.code != 0 || !json)
		harness_fail("exit code %d, %s: %s", answer.code, error.text, answer.text);
	return json;
}

static const json_t *named(const json_t *array, const char *name)
{
	size_t i;
	json_t *element;
	json_array_foreach((json_t *)(uintptr_t)array, i, element)
	{
		const char *found = json_string_value(json_object_get(element, "name"));
		if (found && strcmp(found, name) == 0)
			return element;
	}
	harness_fail("%s is not in the status", name);
}

static json_int_t number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_integer(value))
		harness_fail("there is no number %s", key);
	return json_integer_value(value);
}

/* An end counts when it is acknowledged. */
static void wait_until_ended(struct harness *h, const char *address, const char *end, json_int_t count)
{
	const int64_t until_ms = harness_now_ms() + HARNESS_TIMEOUT_MS;
	for (json_int_t found = -1; found < count;) {
		json_t *status = status_of(h, address);
		found = number(json_object_get(status, "commands"), end);
		json_decref(status);
		if (harness_now_ms() > until_ms)
			harness_fail("waited for %d %s commands", (int)count, end);
		harness_watch(h, 20);
	}
}

/* Of a host that has run seven get_apples and rejected one, and runs a test_gate. */
static void expect_status(struct harness *h, struct host *host, const char *address)
{
	json_t *status = status_of(h, address);
	const json_t *handlers = json_object_get(status, "handlers");
	assert_int_equal(number(named(handlers, "get_apples"), "done"), 7);
	assert_int_equal(number(named(handlers, "get_apples"), "rejected"), 1);
	assert_int_equal(number(named(handlers, "test_fail"), "failed"), 1);
	assert_int_equal(number(named(handlers, "test_gate"), "running"), 1);
	assert_int_equal(number(named(handlers, "test_gate"), "done"), 0);
	const json_t *run = json_array_get(json_object_get(status, "running"), 0);
	assert_string_equal(json_string_value(json_object_get(run, "handler")), "test_gate");
	assert_string_equal(json_string_value(json_object_get(run, "topic")), "23412/test_gate");
	assert_int_equal(number(run, "deadline_ms"), 600000);
	assert_int_equal(number(run, "attempt"), 1);
	const json_t *head = json_object_get(status, "host");
	assert_string_equal(json_string_value(json_object_get(head, "state")), "running");
	assert_int_equal(number(head, "pid"), host_child_pid(host));
	assert_true(number(head, "rss_bytes") > 1000000);
	assert_int_equal(number(json_object_get(status, "supervisor"), "pid"), host_pid(host));
	assert_true(number(json_object_get(status, "supervisor"), "rss_bytes") > 1000000);
	const json_t *commands = json_object_get(status, "commands");
	assert_int_equal(number(commands, "done"), 7);
	assert_int_equal(number(commands, "rejected"), 1);
	assert_int_equal(number(commands, "dead"), 1);
	assert_true(number(commands, "in_flight") >= 1);
	const json_t *lane = named(json_object_get(status, "lanes"), "main");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(lane, "connection"), "state")), "up");
	assert_int_equal(number(lane, "granted"), number(lane, "filters"));
	/* On a slow machine what runs has stepped aside by now. */
	assert_true(number(lane, "unsettled") + number(commands, "parked") >= 1);
	(void)named(json_object_get(status, "lanes"), "slow");
	json_decref(status);
}

HARNESS_CASE(what_it_shows)
{
	const char *address = free_address(h);
	struct host *host = start_cashewd(h, address);
	struct device *phone = device_new(h, "68946"), *other = device_new(h, "23412");
	device_connect(phone);
	device_connect(other);
	for (int i = 0; i < 7; i++)
		device_command(phone, "get_apples", "{}");
	device_wait_count(phone, "got_apples", 7);
	device_command(phone, "get_apples", "[]");
	device_expect(phone, "command_rejected");
	device_command(phone, "test_fail", "{}");
	wait_until_ended(h, address, "dead", 1);
	wait_until_ended(h, address, "rejected", 1);
	wait_until_ended(h, address, "done", 7);
	begin_slow_command(h, host, other);

	expect_status(h, host, address);
	const struct answer once = top(h, address, "--once");
	expect(once, 0, "\nhost     running, ready for ");
	expect(once, 0, "\ncommands dead 1, parked ");
	expect(once, 0, ", rejected 1, ");
	expect(once, 0, "\nmain  up ");
	expect(once, 0, "\nget_apples ");
	expect(once, 0, "\nRUNNING ");
	expect(once, 0, "  test_gate  23412/test_gate\n");
	/* no colours and no screen where no terminal is; and no payload at all */
	assert_null(strchr(once.text, '\033'));
	assert_null(strstr(once.text, "the-payload"));
	/* the same without --once, as standard output is no terminal; the address also from an option */
	expect(top(h, "off", "--addr", address), 0, "  test_gate  23412/test_gate\n");
	open_gate(h, host);
	device_expect(other, "gate_passed");
}

HARNESS_CASE(without_cashewd)
{
	const char *address = free_address(h);
	expect(top(h, address, "--once"), UNAVAILABLE,
		harness_format(h, "no answer from cashewd at %s (METRICS_ADDR): ", address));
	expect(top(h, "off", "--json", "--addr", address), UNAVAILABLE,
		harness_format(h, "no answer from cashewd at %s (--addr): ", address));
	expect(top(h, "off", "--once"), CONFIG, "METRICS_ADDR=off");
	expect(top(h, address, "--addr", "nowhere"), USAGE, "--addr nowhere: expected HOST:PORT");
	expect(top(h, address, "--once", "--env-file", "missing"), CONFIG, "missing: cannot be opened");
	expect(top(h, address, "--help"), 0, "Usage: cashewd top");
}

/* A page in a browser that was led here by a name of its own must not read topics. */
HARNESS_CASE(foreign_names_are_refused)
{
	static const struct {
		const char *host;
		const char *answer;
	} cases[] = {
		{"127.0.0.1", "HTTP/1.1 200 "},
		{"localhost", "HTTP/1.1 200 "},
		{"cashewd.example", "HTTP/1.1 403 "},
	};
	const int port = port_reserve();
	assert_true(port > 0);
	(void)start_cashewd(h, harness_format(h, "127.0.0.1:%d", port));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct sockaddr_in address = {.sin_family = AF_INET,
			.sin_port = htons((uint16_t)port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		const char *request =
			harness_format(h, "GET /status HTTP/1.1\r\nHost: %s\r\n\r\n", cases[i].host);
		char answer[16];
		const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
		assert_int_equal(write(fd, request, strlen(request)), strlen(request));
		assert_int_equal(
			recv(fd, answer, strlen(cases[i].answer), MSG_WAITALL), strlen(cases[i].answer));
		assert_memory_equal(answer, cases[i].answer, strlen(cases[i].answer));
		close(fd);
	}
}

HARNESS_MAIN(
	HARNESS_TEST(what_it_shows), HARNESS_TEST(without_cashewd), HARNESS_TEST(foreign_names_are_refused))
