/*
 * test_top.c - `cashewd top` beside a real cashewd: what it shows of handlers that have run and of one that
 * runs, where cashewd is not there, and that a terminal is as it was however it is left.
 */
#include "harness.h"
#include "port.h"
#include "process.h"
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

enum { USAGE = 64, UNAVAILABLE = 69, CONFIG = 78, ENVIRONMENT_MAX = 16, SCREEN_SIZE = 1 << 20 };

#define ENTER "\033[?1049h"
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

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
	for (size_t i = 0; others[i] != NULL; i++)
		host_set(top, others[i], NULL);
	host_set(top, "METRICS_ADDR", address);
	for (size_t i = 0; arguments[i] != NULL; i++)
		argv[i + 1] = arguments[i];
	host_set_arguments(top, argv);
	host_start(top);
	struct answer answer = {.code = host_wait_exit(top)};
	FILE *file = fopen(harness_format(h, "%s/cashewd.log", host_folder(top)), "re");
	char text[64 * 1024];
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	answer.text = harness_format(h, "%s", text);
	return answer;
}

#define top(h, address, ...) run_top(h, address, (const char *const[]){__VA_ARGS__, NULL})

#define expect(answer, expected_code, part) expect_at(__FILE__, __LINE__, answer, expected_code, part)
static void expect_at(const char *file, int line, struct answer answer, int code, const char *part)
{
	if (answer.code != code || strstr(answer.text, part) == NULL)
		harness_fail_at(file, line, "exit code %d, expected were %d and \"%s\": %s", answer.code,
			code, part, answer.text);
}

static json_t *status_of(struct harness *h, const char *address)
{
	const struct answer answer = top(h, address, "--json");
	json_error_t error;
	json_t *json = json_loads(answer.text, 0, &error);
	if (answer.code != 0 || json == NULL)
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
		if (found != NULL && strcmp(found, name) == 0)
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
	assert_true(number(lane, "unsettled") >= 1);
	(void)named(json_object_get(status, "lanes"), "slow");
	json_decref(status);

	const struct answer once = top(h, address, "--once");
	expect(once, 0, "\nhost     running, ready for ");
	expect(once, 0, "\ncommands dead 1, parked 0, rejected 1, ");
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

/* ---- On a terminal ---- */

struct screen {
	int fd;
	pid_t pid;
	struct termios before;
	char *text; /* all that was written to it so far */
	size_t size, seen;
};

static struct screen screen_open(struct harness *h, const char *setting, const char *const *argv)
{
	const struct winsize size = {.ws_row = 24, .ws_col = 100};
	const char *environment[ENVIRONMENT_MAX + 3] = {"TERM=xterm", setting};
	struct screen screen = {.text = harness_format(h, "%*s", SCREEN_SIZE, "")};
	for (size_t i = 0; process_environment()[i] != NULL && i < ENVIRONMENT_MAX; i++)
		environment[i + 2] = process_environment()[i];
	int terminal;
	assert_int_equal(openpty(&screen.fd, &terminal, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(terminal, &screen.before), 0);
	screen.pid = fork();
	if (screen.pid == 0) {
		close(screen.fd);
		if (login_tty(terminal) == 0 && chdir(harness_folder(h)) == 0)
			execve(argv[0], (char *const *)(uintptr_t)argv,
				(char *const *)(uintptr_t)environment);
		_exit(127);
	}
	assert_true(screen.pid > 0);
	close(terminal);
	screen.text[0] = '\0';
	return screen;
}

static struct screen screen_of_top(struct harness *h, const char *setting, const char *address)
{
	return screen_open(h, setting,
		(const char *const[]){CASHEWD_PATH, "top", "--addr", address, "--interval", "0.2", NULL});
}

/* More of what is written; false: nobody writes any more. */
static bool screen_read(struct screen *screen)
{
	struct pollfd polled = {.fd = screen->fd, .events = POLLIN};
	if (poll(&polled, 1, HARNESS_TIMEOUT_MS) <= 0)
		harness_fail("nothing more is written after \"%s\"", screen->text + screen->seen);
	const ssize_t size = read(screen->fd, screen->text + screen->size, SCREEN_SIZE - 1 - screen->size);
	if (size <= 0)
		return false;
	screen->size += (size_t)size;
	screen->text[screen->size] = '\0';
	return true;
}

#define screen_expect(screen, words) screen_expect_at(__FILE__, __LINE__, screen, words)
static void screen_expect_at(const char *file, int line, struct screen *screen, const char *words)
{
	const int64_t until_ms = harness_now_ms() + HARNESS_TIMEOUT_MS;
	const char *found;
	while ((found = strstr(screen->text + screen->seen, words)) == NULL)
		if (!screen_read(screen) || harness_now_ms() > until_ms)
			harness_fail_at(file, line, "\"%s\" was not written; last was \"%s\"", words,
				screen->text + (screen->size > 600 ? screen->size - 600 : 0));
	screen->seen = (size_t)(found - screen->text) + strlen(words);
}

static void screen_type(struct screen *screen, const char *keys)
{
	assert_int_equal(write(screen->fd, keys, strlen(keys)), strlen(keys));
}

/* Waits for its end; its wait status. */
static int screen_close(struct screen *screen)
{
	int status;
	while (screen_read(screen))
		;
	assert_int_equal(waitpid(screen->pid, &status, 0), screen->pid);
	close(screen->fd);
	return status;
}

static void expect_restored(const struct screen *screen)
{
	struct termios after;
	assert_int_equal(tcgetattr(screen->fd, &after), 0);
	assert_int_equal(after.c_lflag, screen->before.c_lflag);
	assert_int_equal(after.c_iflag, screen->before.c_iflag);
	assert_int_equal(after.c_oflag, screen->before.c_oflag);
}

HARNESS_CASE(live_on_a_terminal)
{
	const char *address = free_address(h);
	struct host *host = start_cashewd(h, address);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	begin_slow_command(h, host, phone);
	struct screen screen = screen_of_top(h, "A=b", address);
	screen_expect(&screen, ENTER);
	screen_expect(&screen, "figures of all the time");
	screen_expect(&screen, "68946/test_gate");
	/* drawn again and again, over what was there */
	screen_expect(&screen, "\033[H");
	screen_expect(&screen, "figures of the last ");
	screen_expect(&screen, "\033[32mup\033[0m");
	screen_expect(&screen, "\033[H");
	screen_expect(&screen, "figures of the last ");
	/* smaller: at most 5 lines of 20 columns */
	assert_int_equal(ioctl(screen.fd, TIOCSWINSZ, &(const struct winsize){.ws_row = 5, .ws_col = 20}), 0);
	screen_expect(&screen, "0.1.0 at 1\033[K");
	screen_expect(&screen, "\033[H");
	const size_t begin = screen.seen;
	screen_expect(&screen, "\033[J");
	size_t lines = 0;
	for (const char *at = screen.text + begin; at < screen.text + screen.seen; at++)
		lines += *at == '\n';
	assert_int_equal(lines, 4);
	screen_type(&screen, "q");
	screen_expect(&screen, LEAVE);
	assert_int_equal(screen_close(&screen), 0);
	assert_string_equal(screen.text + screen.size - strlen(LEAVE), LEAVE);
	open_gate(h, host);
	device_expect(phone, "gate_passed");
}

HARNESS_CASE(ways_of_leaving)
{
	static const struct {
		const char *keys;
		int signal;
		const char *setting;
		int status;
	} cases[] = {
		{"q", 0, "NO_COLOR=1", 0},
		{"xyzQ", 0, "A=b", 0},
		{"\003", 0, "A=b", 0},
		{"", SIGTERM, "A=b", 0},
		{"", SIGHUP, "A=b", 0},
		{"", SIGABRT, "A=b", SIGABRT},
	};
	const char *address = free_address(h);
	(void)start_cashewd(h, address);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct screen screen = screen_of_top(h, cases[i].setting, address);
		screen_expect(&screen, "figures of the last ");
		const bool plain =
			strstr(screen.text, "\033[3") == NULL && strstr(screen.text, "\033[1m") == NULL;
		assert_int_equal(plain, strcmp(cases[i].setting, "NO_COLOR=1") == 0);
		/* no echo, no lines while it shows */
		struct termios mode;
		assert_int_equal(tcgetattr(screen.fd, &mode), 0);
		assert_int_equal(mode.c_lflag & (ECHO | ICANON), 0);
		screen_type(&screen, cases[i].keys);
		if (cases[i].signal != 0)
			kill(screen.pid, cases[i].signal);
		screen_expect(&screen, LEAVE);
		const int fd = dup(screen.fd);
		const int status = screen_close(&screen);
		assert_int_equal(status & ~0x80 /* a core dump */, cases[i].status);
		assert_string_equal(screen.text + screen.size - strlen(LEAVE), LEAVE);
		screen.fd = fd;
		expect_restored(&screen);
		close(fd);
	}
}

/* A shell with job control: Ctrl-Z gives it the terminal back, fg takes it again. */
HARNESS_CASE(stopped_and_continued)
{
	const char *address = free_address(h);
	(void)start_cashewd(h, address);
	const char *script = harness_format(h,
		"set -m; '%s' top --interval 0.2 --addr %s; echo STOPPED $?; fg >/dev/null; echo ENDED $?",
		CASHEWD_PATH, address);
	struct screen screen = screen_open(h, "A=b", (const char *const[]){"/bin/bash", "-c", script, NULL});
	screen_expect(&screen, ENTER);
	screen_expect(&screen, "figures of the last ");
	screen_type(&screen, "\032");
	screen_expect(&screen, LEAVE);
	screen_expect(&screen, "STOPPED");
	screen_expect(&screen, ENTER);
	screen_expect(&screen, "figures of the last ");
	screen_type(&screen, "q");
	screen_expect(&screen, LEAVE "ENDED 0");
	assert_int_equal(screen_close(&screen), 0);
}

HARNESS_CASE(cashewd_goes_and_comes)
{
	const char *address = free_address(h);
	struct host *host = start_cashewd(h, address);
	struct screen screen = screen_of_top(h, "NO_COLOR=1", address);
	screen_expect(&screen, "figures of the last ");
	host_stop(host);
	screen_expect(&screen, harness_format(h, "No answer from cashewd at %s\033[K", address));
	screen_expect(&screen, "since ");
	screen_expect(&screen, ", for ");
	screen_expect(&screen, "The address is from --addr");
	host_start(host);
	/* another supervisor's counters begin anew */
	screen_expect(&screen, "figures of all the time");
	screen_expect(&screen, "figures of the last ");
	screen_type(&screen, "q");
	assert_int_equal(screen_close(&screen), 0);
	host_wait_ready(host);
}

/* Stopped by Ctrl-Z and ended by the shell, in the background: it touches nothing and is gone. */
HARNESS_CASE(ended_in_the_background)
{
	const char *address = free_address(h);
	(void)start_cashewd(h, address);
	const char *script = harness_format(h,
		"set -m; '%s' top --interval 0.2 --addr %s; echo STOPPED; pid=$(jobs -p %%1); kill %%1; "
		"while kill -0 $pid 2>/dev/null; do sleep 0.05; done; echo ENDED",
		CASHEWD_PATH, address);
	struct screen screen = screen_open(h, "A=b", (const char *const[]){"/bin/bash", "-c", script, NULL});
	screen_expect(&screen, "figures of the last ");
	screen_type(&screen, "\032");
	screen_expect(&screen, LEAVE);
	const size_t begin = screen.seen;
	screen_expect(&screen, "STOPPED");
	screen_expect(&screen, "ENDED");
	assert_int_equal(screen_close(&screen), 0);
	if (strchr(screen.text + begin, 27) != NULL)
		harness_fail("it drew in the background: %s", screen.text + begin);
}

/* It takes connections and says nothing: keys are heard all the same. */
HARNESS_CASE(cashewd_hangs)
{
	const char *address = free_address(h);
	struct host *host = start_cashewd(h, address);
	struct screen screen = screen_of_top(h, "A=b", address);
	screen_expect(&screen, "figures of the last ");
	host_pause(host);
	screen_expect(&screen, "No answer from cashewd at ");
	screen_type(&screen, "q");
	assert_int_equal(screen_close(&screen), 0);
	expect(top(h, address, "--once"), UNAVAILABLE, "no answer from cashewd at ");
	host_resume(host);
}

HARNESS_MAIN(HARNESS_TEST(what_it_shows), HARNESS_TEST(without_cashewd),
	HARNESS_TEST(foreign_names_are_refused), HARNESS_TEST(live_on_a_terminal),
	HARNESS_TEST(ways_of_leaving), HARNESS_TEST(stopped_and_continued),
	HARNESS_TEST(ended_in_the_background), HARNESS_TEST(cashewd_hangs),
	HARNESS_TEST(cashewd_goes_and_comes))
