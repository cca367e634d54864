/*
 * top_terminal.c - see top_terminal.h.
 *
 * Plain sequences that every terminal since the VT100 and xterm knows, the ones that terminfo has for them. A
 * redraw writes over the old lines and clears what is left of each, so that nothing flickers.
 */
#include "top_terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

/* The alternate screen, no cursor, no wrapping; and back. A second 1049h would save a second cursor. */
#define AGAIN "\033[?25l\033[?7l\033[H\033[2J"
#define ENTER "\033[?1049h" AGAIN
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

enum { CHUNK = 256, PATIENCE_MS = 1000, WIDTH = 80, HEIGHT = 24 };

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { CRASHES = sizeof(crashes) / sizeof(crashes[0]) };

static struct {
	volatile sig_atomic_t shown;
	bool stale;  /* it was stopped: who stopped it, a shell say, has set modes of its own */
	bool typing; /* standard input is a terminal */
	struct termios before;
	int signal_fd;
	sigset_t signals;
	struct sigaction crash_actions[CRASHES];
} terminal;

bool terminal_usable(void)
{
	const char *type = getenv("TERM");
	return isatty(STDOUT_FILENO) && type && type[0] != '\0' && strcmp(type, "dumb") != 0;
}

/* Never blocks for long, whatever is at the other end: a terminal with room takes a chunk. */
static void put(const char *text, size_t size, bool until_signal)
{
	while (size > 0) {
		struct pollfd polls[] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
			{.fd = until_signal ? terminal.signal_fd : -1, .events = POLLIN}};
		if (poll(polls, 2, PATIENCE_MS) <= 0 || polls[1].revents != 0)
			return;
		const ssize_t written = write(STDOUT_FILENO, text, size < CHUNK ? size : CHUNK);
		if (written <= 0)
			return;
		text += written;
		size -= (size_t)written;
	}
}

/* ---- Taking and giving back ---- */

static bool in_foreground(void)
{
	const pid_t group = tcgetpgrp(STDOUT_FILENO);
	/* Where it is no controlling terminal there is nobody else to show anything. */
	return group < 0 || group == getpgrp();
}

bool terminal_show(void)
{
	if ((terminal.shown && !terminal.stale) || !in_foreground())
		return terminal.shown && !terminal.stale;
	/* What it is to be given back as is what it is now, not what it was before somebody stopped this. */
	if (terminal.typing && !terminal.shown)
		(void)tcgetattr(STDIN_FILENO, &terminal.before);
	if (terminal.typing) {
		struct termios mode = terminal.before;
		mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		mode.c_iflag &= ~(tcflag_t)IXON;
		mode.c_cc[VMIN] = 0;
		mode.c_cc[VTIME] = 0;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &mode);
	}
	const char *sequence = terminal.shown ? AGAIN : ENTER;
	terminal.shown = 1;
	terminal.stale = false;
	put(sequence, strlen(sequence), false);
	return true;
}

static void hide(void)
{
	if (!terminal.shown)
		return;
	terminal.shown = 0;
	put(LEAVE, strlen(LEAVE), false);
	if (terminal.typing && in_foreground())
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

/* Only what may be called here; then it goes on as it would have without. */
static void on_crash(int number)
{
	if (terminal.shown) {
		(void)!write(STDOUT_FILENO, LEAVE, strlen(LEAVE));
		if (terminal.typing)
			(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
	}
	for (size_t i = 0; i < CRASHES; i++)
		if (crashes[i] == number)
			(void)sigaction(number, &terminal.crash_actions[i], NULL);
	raise(number);
}

int terminal_open(int *ret_signal_fd)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
	struct sigaction crash = {.sa_handler = on_crash};
	sigemptyset(&terminal.signals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&terminal.signals, numbers[i]);
	terminal.typing = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal.before) == 0;
	terminal.signal_fd = signalfd(-1, &terminal.signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (terminal.signal_fd < 0 || sigprocmask(SIG_BLOCK, &terminal.signals, NULL) != 0)
		return -errno;
	for (size_t i = 0; i < CRASHES; i++)
		(void)sigaction(crashes[i], &crash, &terminal.crash_actions[i]);
	*ret_signal_fd = terminal.signal_fd;
	return 0;
}

void terminal_close(void)
{
	hide();
	for (size_t i = 0; i < CRASHES; i++)
		(void)sigaction(crashes[i], &terminal.crash_actions[i], NULL);
	close(terminal.signal_fd);
}

void terminal_suspend(void)
{
	sigset_t stop;
	hide();
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	/* It stops here. */
	sigprocmask(SIG_UNBLOCK, &stop, NULL);
	sigprocmask(SIG_BLOCK, &stop, NULL);
}

/* ---- Events ---- */

static enum terminal_event event_of(int number)
{
	switch (number) {
	case SIGWINCH: return TERMINAL_CHANGED;
	case SIGCONT: return TERMINAL_CHANGED;
	case SIGTSTP: return TERMINAL_SUSPEND;
	default: return TERMINAL_LEAVE;
	}
}

enum terminal_event terminal_signals(void)
{
	struct signalfd_siginfo info;
	enum terminal_event last = TERMINAL_NOTHING;
	while (read(terminal.signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const enum terminal_event event = event_of((int)info.ssi_signo);
		terminal.stale |= info.ssi_signo == SIGCONT;
		last = event > last ? event : last;
	}
	return last;
}

int terminal_keys_fd(void)
{
	return terminal.typing && terminal.shown && !terminal.stale ? STDIN_FILENO : -1;
}

enum terminal_event terminal_keys(void)
{
	char keys[64];
	const ssize_t count = read(STDIN_FILENO, keys, sizeof(keys));
	/* Nothing to read, though there was: the terminal is gone. */
	if (count <= 0)
		return count < 0 && (errno == EINTR || errno == EAGAIN) ? TERMINAL_NOTHING : TERMINAL_LEAVE;
	for (ssize_t i = 0; i < count; i++)
		if (keys[i] == 'q' || keys[i] == 'Q')
			return TERMINAL_LEAVE;
	return TERMINAL_CHANGED;
}

void terminal_size(unsigned *ret_width, unsigned *ret_height)
{
	struct winsize size;
	const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
	*ret_width = known ? size.ws_col : WIDTH;
	*ret_height = known ? size.ws_row : HEIGHT;
}

void terminal_draw(const char *lines)
{
	/* Each line may begin a sequence more than it has characters. */
	static const char begin[] = "\033[H", rest[] = "\033[K", end[] = "\033[J";
	size_t count = 0;
	for (const char *at = lines; *at != '\0'; at++)
		count += *at == '\n';
	char *frame = malloc(strlen(lines) + count * (sizeof(rest) + 2) + sizeof(begin) + sizeof(end));
	if (!frame)
		return;
	char *to = stpcpy(frame, begin);
	while (*lines != '\0') {
		const size_t size = strcspn(lines, "\n");
		const bool last = lines[size] == '\0' || lines[size + 1] == '\0';
		to = mempcpy(to, lines, size);
		/* Behind the last line a new one would move all of them up. */
		to = stpcpy(stpcpy(to, rest), last ? "" : "\r\n");
		lines += lines[size] == '\n' ? size + 1 : size;
	}
	to = stpcpy(to, end);
	put(frame, (size_t)(to - frame), true);
	free(frame);
}
