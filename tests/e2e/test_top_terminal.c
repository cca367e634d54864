/*
 * test_top_terminal.c - `cashewd top` on a terminal: live figures, keys, signals, and that the terminal is as it was however it is left.
 */
#include "harness.h"
#include "process.h"
#include "top_parts.h"
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#define ENTER "\033[?1049h"
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

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
	for (size_t i = 0; process_environment()[i] && i < ENVIRONMENT_MAX; i++)
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
	while (!(found = strstr(screen->text + screen->seen, words)))
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
	screen_expect(&screen, CASHEW_VERSION " at 1\033[K");
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
		const bool plain = !strstr(screen.text, "\033[3") && !strstr(screen.text, "\033[1m");
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
	if (strchr(screen.text + begin, 27))
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

HARNESS_MAIN(HARNESS_TEST(live_on_a_terminal), HARNESS_TEST(ways_of_leaving),
	HARNESS_TEST(stopped_and_continued), HARNESS_TEST(ended_in_the_background),
	HARNESS_TEST(cashewd_hangs), HARNESS_TEST(cashewd_goes_and_comes))
