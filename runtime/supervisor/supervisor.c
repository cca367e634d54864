/*
 * supervisor.c - the supervisor's loop: one poll() over signals and the logs of what it has started.
 *
 * Happy path: a host is launched and runs, and its log passes through. Twice a second its deadlines and its memory are looked at. SIGTERM is passed
 * on, the host finishes, and the account over all hosts is logged.
 * Failure modes: the host dies; the board tells why, and the next is started. At SIGHUP the settings are read again and tried out by a process that
 * logs in to the broker and asks the database, as only a host does; a fresh host follows the old one. Settings that cannot be used leave the old host
 * as it is.
 */
#include "supervisor.h"

#include "board.h"
#include "child.h"
#include "child_log.h"
#include "clock.h"
#include "exit_codes.h"
#include "http_server.h"
#include "launch.h"
#include "log.h"
#include "pages.h"
#include "program.h"
#include "reading.h"
#include "service.h"
#include "shipping.h"
#include "verdict.h"
#include "view.h"
#include "watch.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_SIGNALS, POLL_HOST, POLL_HOST_PRINTED, POLL_TRIAL, POLL_TRIAL_PRINTED, POLLS };

enum {
	STOP_MARGIN_MS = 10000,	 /* beyond STOP_TIMEOUT, after which a host leaves by itself */
	TRIAL_MS = 8000,	 /* it ends by itself after five seconds */
	FORGET_MS = 3600 * 1000, /* a command that has not come again by then will not */
};

/* Settings that are being tried out, by a process of their own. */
struct trial {
	pid_t pid; /* 0: none */
	struct child_log logs, printed;
	struct configuration configuration;
	struct program program; /* with --dev: the one that lies there now; .fd -1: none */
	int64_t kill_at_ms;
	bool again; /* another SIGHUP came meanwhile */
};

struct supervisor {
	const struct configuration_source *source;
	bool dev;	      /* SIGHUP takes the host's program anew */
	bool another_program; /* the next host is of another program than those before */
	struct configuration configuration;
	struct board *board;
	int board_fd;
	struct program program;
	int signal_fd;
	struct child child;
	struct watch watch;
	struct child_log logs, printed; /* of the host */
	struct trial trial;
	struct shipping loggly;
	struct view view;
	struct service service;
	struct http_server *http;
	int64_t now_ms;
};

static int64_t stop_limit_ms(const struct supervisor *s)
{
	return (int64_t)s->configuration.settings.stop_timeout_s * 1000 + STOP_MARGIN_MS;
}

/* ---- Starting ---- */

static void start_host(struct supervisor *s)
{
	pid_t pid;
	board_clear_host(s->board);
	board_forget(s->board, s->now_ms - FORGET_MS, s->now_ms);
	/* What killed the other program may be mended in this one. */
	if (s->another_program)
		board_forget(s->board, INT64_MAX, INT64_MAX);
	s->another_program = false;
	s->board->hosts++;
	const int error = launch(&s->program, LAUNCH_HOST, &s->configuration.settings, s->board_fd, &s->logs,
		&s->printed, &pid);
	if (error != 0) {
		child_not_spawned(&s->child, s->now_ms);
		log_error("host_not_started", "the host cannot be started now",
			LOG_TEXT("reason", strerror(-error)),
			LOG_INT("again_ms", s->child.start_at_ms - s->now_ms));
		return;
	}
	child_spawned(&s->child, pid, s->now_ms);
	FIGURES_SET(s->board->figures.hosts.pid, pid);
	watch_begin(&s->watch, s->now_ms);
	log_info("host_started", "the host is started", LOG_INT("pid", pid),
		LOG_INT("number", s->board->hosts));
}

static void replace_host(struct supervisor *s)
{
	if (child_replace(&s->child, s->now_ms, stop_limit_ms(s)))
		kill(s->child.pid, SIGTERM);
}

/* ---- New settings ---- */

static void reload_failed(const char *reason)
{
	log_error("reload_failed",
		"the new settings cannot be used: the host goes on with those it has; correct them and send SIGHUP again",
		LOG_TEXT("reason", reason));
}

static void drop_trial(struct trial *trial)
{
	configuration_free(&trial->configuration);
	program_close(&trial->program);
}

/* What can be checked here is; the rest is for a process that may open what a host opens. */
static void reload(struct supervisor *s)
{
	struct trial *trial = &s->trial;
	if (s->child.state == CHILD_STOPPING || s->child.state == CHILD_ENDED)
		return;
	service_reloading(&s->service);
	if (trial->pid != 0) {
		trial->again = true;
		return;
	}
	trial->again = false;
	log_info("reloading", "SIGHUP: reading the settings again");
	char reason[PROGRAM_MESSAGE_SIZE] = "out of memory";
	if (reading_again(s->source, &trial->configuration, reason) != 0 ||
		(s->dev && program_open(&trial->program, reason) != 0)) {
		drop_trial(trial);
		reload_failed(reason);
		return;
	}
	s->board->trial[0] = '\0';
	const int error = launch(trial->program.fd >= 0 ? &trial->program : &s->program, LAUNCH_TRIAL,
		&trial->configuration.settings, s->board_fd, &trial->logs, &trial->printed, &trial->pid);
	if (error != 0) {
		snprintf(reason, sizeof(reason), "they cannot be tried out now: %s", strerror(-error));
		trial->pid = 0;
		drop_trial(trial);
		reload_failed(reason);
		return;
	}
	trial->kill_at_ms = s->now_ms + TRIAL_MS;
}

static void open_http(struct supervisor *s)
{
	const struct settings *settings = &s->configuration.settings;
	const struct http_options options = {.address = settings->metrics_addr,
		.names = settings->metrics_hosts,
		.pages = pages_table,
		.view = &s->view};
	if (http_server_open(&options, &s->http) != 0) {
		s->http = NULL;
		log_error("metrics_failed", "metrics cannot be served: out of memory");
	}
}

/* Port 0 is not asked for anew unless the names change: whoever was told the port goes on with it. */
static void change_http(struct supervisor *s, const struct settings *before)
{
	const struct settings *after = &s->configuration.settings;
	if (s->http && strcmp(before->metrics_addr, after->metrics_addr) == 0 &&
		strcmp(before->metrics_hosts, after->metrics_hosts) == 0)
		return;
	http_server_close(s->http);
	open_http(s);
}

/* The trial says why. One that could not any more was killed, or died. */
static void trial_failed(const struct supervisor *s, int status)
{
	char reason[READING_REASON_SIZE];
	if (s->board->trial[0] != '\0')
		snprintf(reason, sizeof(reason), "%.*s", BOARD_TRIAL_SIZE - 1, s->board->trial);
	else if (WIFSIGNALED(status) && s->now_ms >= s->trial.kill_at_ms)
		snprintf(reason, sizeof(reason), "their trial did not come to an end");
	else if (WIFSIGNALED(status))
		snprintf(reason, sizeof(reason), "their trial died: %s", strsignal(WTERMSIG(status)));
	else
		snprintf(reason, sizeof(reason), "their trial ended with code %d", WEXITSTATUS(status));
	reload_failed(reason);
}

static void trial_ended(struct supervisor *s, int status)
{
	struct trial *trial = &s->trial;
	trial->pid = 0;
	child_log_close(&trial->printed);
	child_log_close(&trial->logs);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK) {
		struct configuration old = s->configuration;
		s->configuration = trial->configuration;
		trial->configuration = (struct configuration){.handlers = NULL};
		s->another_program = s->dev;
		program_take(&s->program, &trial->program);
		const struct settings *settings = &s->configuration.settings;
		shipping_change(&s->loggly, &old.settings, settings);
		change_http(s, &old.settings);
		configuration_free(&old);
		log_set((enum log_format)settings->log_format, (enum log_level)settings->log_level);
		reading_warn(&s->configuration);
		log_info("reloaded", "the new settings can be used: a fresh host follows");
		replace_host(s);
	} else {
		drop_trial(trial);
		if (s->child.state != CHILD_STOPPING && s->child.state != CHILD_ENDED)
			trial_failed(s, status);
	}
	if (trial->again)
		reload(s);
}

/* ---- Ends ---- */

static void host_ended(struct supervisor *s, int status)
{
	struct child *child = &s->child;
	struct child_death death = {.exited = WIFEXITED(status),
		.code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
		.released = board_read(&s->board->released) > 0};
	const pid_t pid = child->pid;
	child_log_close(&s->printed);
	child_log_close(&s->logs);
	FIGURES_SET(s->board->figures.hosts.pid, 0);
	figures_clear_host(&s->board->figures);
	if (s->board->host_up != 0)
		child_up(child);
	if (death.exited && death.code == EXIT_OK) {
		log_info("host_stopped", "the host has stopped", LOG_INT("pid", pid));
		figures_add(&s->board->figures.hosts.stopped, 1);
	} else if (s->board->host_up == 0 && death.exited && s->board->crash.kind == BOARD_CRASH_NONE) {
		log_error("host_not_started", "the host could not begin", LOG_INT("pid", pid),
			LOG_INT("code", death.code),
			LOG_TEXT(
				"reason", death.code == EXIT_TEMPORARY
						  ? "what it needs may be there in a while: it is tried again"
						  : NULL));
		figures_add(&s->board->figures.hosts.not_begun, 1);
	} else {
		const struct verdict verdict = verdict_reach(s->board, pid, status, s->now_ms);
		death.blamed = verdict.blamed > 0 && verdict.crashes <= s->configuration.settings.crash_limit;
	}
	child_died(child, &death, s->now_ms);
	if (child->state == CHILD_WAITING && child->start_at_ms > s->now_ms)
		log_warn("host_delayed", "the next host is started after a while",
			LOG_INT("ms", child->start_at_ms - s->now_ms));
}

/* Others' too: process 1 of a container is left what others have started, health checks for one. */
static void reap(struct supervisor *s)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0;) {
		const bool ended = !WIFSTOPPED(status) && !WIFCONTINUED(status);
		if (pid == s->trial.pid && ended)
			trial_ended(s, status);
		else if (pid != s->child.pid)
			continue;
		else if (ended)
			host_ended(s, status);
		else
			watch_freeze(&s->watch, WIFSTOPPED(status), s->now_ms);
	}
}

static void stop(struct supervisor *s, int number)
{
	const bool again = s->child.state == CHILD_STOPPING;
	if (s->trial.pid != 0)
		kill(s->trial.pid, SIGKILL);
	atomic_store(&s->board->ending, 1);
	const int64_t limit_ms = again ? STOP_MARGIN_MS : stop_limit_ms(s);
	service_stopping(&s->service, limit_ms);
	if (child_stop(&s->child, s->now_ms, limit_ms))
		kill(s->child.pid, number);
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	while (s->child.state != CHILD_ENDED &&
		read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			stop(s, (int)info.ssi_signo);
		else if (info.ssi_signo == SIGHUP)
			reload(s);
		else
			reap(s);
	}
}

/* ---- Looking ---- */

static void look(struct supervisor *s)
{
	struct child *child = &s->child;
	size_t bytes;
	view_tell_loggly(&s->view, s->loggly.loggly);
	service_look(&s->service, child->state, s->trial.pid != 0);
	if (s->http)
		http_server_look(s->http, s->now_ms);
	if (s->trial.pid != 0 && s->now_ms >= s->trial.kill_at_ms)
		kill(s->trial.pid, SIGKILL);
	if (child->pid == 0)
		return;
	if (s->board->host_up != 0)
		child_up(child);
	watch_deadlines(&s->watch, s->board, child->pid, child->state == CHILD_RUNNING, s->now_ms);
	if (child->state == CHILD_RUNNING &&
		watch_memory(
			&s->watch, child->pid, s->configuration.settings.host_rss_max, s->now_ms, &bytes)) {
		log_warn("host_replaced",
			"the host takes more memory than it should: it is drained, and a fresh one follows",
			LOG_INT("rss", bytes), LOG_INT("limit", s->configuration.settings.host_rss_max));
		figures_add(&s->board->figures.hosts.too_large, 1);
		replace_host(s);
	}
	if (s->now_ms >= child->kill_at_ms) {
		log_warn("host_killed", "the host did not stop in time", LOG_INT("pid", child->pid));
		child->kill_at_ms = INT64_MAX;
		kill(child->pid, SIGKILL);
	}
}

static int timeout_ms(const struct supervisor *s, int64_t look_at_ms)
{
	int64_t due_ms = service_due_ms(&s->service);
	if (look_at_ms < due_ms)
		due_ms = look_at_ms;
	if (s->child.state == CHILD_WAITING && s->child.start_at_ms < due_ms)
		due_ms = s->child.start_at_ms;
	const int64_t wait_ms = due_ms - clock_ms();
	return wait_ms < 0 ? 0 : (int)wait_ms;
}

static void loop(struct supervisor *s)
{
	int64_t look_at_ms = s->now_ms + WATCH_TICK_MS;
	while (s->child.state != CHILD_ENDED) {
		if (s->child.state == CHILD_WAITING && s->now_ms >= s->child.start_at_ms)
			start_host(s);
		struct pollfd polls[POLLS] = {
			[POLL_SIGNALS] = {.fd = s->signal_fd, .events = POLLIN},
			[POLL_HOST] = child_log_poll(&s->logs),
			[POLL_HOST_PRINTED] = child_log_poll(&s->printed),
			[POLL_TRIAL] = child_log_poll(&s->trial.logs),
			[POLL_TRIAL_PRINTED] = child_log_poll(&s->trial.printed),
		};
		if (poll(polls, POLLS, timeout_ms(s, look_at_ms)) < 0)
			continue;
		s->now_ms = clock_ms();
		FIGURES_SET(s->view.turned_ms, s->now_ms);
		FIGURES_SET(s->view.child_state, (int)s->child.state);
		service_feed(&s->service, s->now_ms);
		child_log_serve(&s->printed, polls[POLL_HOST_PRINTED].revents);
		child_log_serve(&s->logs, polls[POLL_HOST].revents);
		child_log_serve(&s->trial.printed, polls[POLL_TRIAL_PRINTED].revents);
		child_log_serve(&s->trial.logs, polls[POLL_TRIAL].revents);
		if ((polls[POLL_SIGNALS].revents & POLLIN) != 0)
			read_signals(s);
		if (s->now_ms >= look_at_ms) {
			look(s);
			look_at_ms = s->now_ms + WATCH_TICK_MS;
		}
	}
}

/* ---- The whole ---- */

static sigset_t own_signals(void)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	return signals;
}

void supervisor_block_signals(void)
{
	const sigset_t signals = own_signals();
	/* Ignored ones, as nohup and some starters leave them, would never be read. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

static void print_account(const struct supervisor *s)
{
	const struct board_account *account = &s->board->account;
	log_info("stopped", "stopped", LOG_INT("done", board_read(&account->done)),
		LOG_INT("rejected", board_read(&account->rejected)),
		LOG_INT("dead", board_read(&account->dead)), LOG_INT("parked", board_read(&account->parked)),
		LOG_INT("left_to_the_broker", board_read(&account->left)),
		LOG_INT("joined", board_read(&account->joined)),
		LOG_INT("retained_ignored", board_read(&account->ignored)),
		LOG_INT("qos0", board_read(&account->qos0)),
		LOG_INT("qos0_dropped", board_read(&account->qos0_dropped)),
		LOG_INT("hosts", s->board->hosts));
}

static void end_trial(struct supervisor *s)
{
	if (s->trial.pid != 0) {
		kill(s->trial.pid, SIGKILL);
		(void)waitpid(s->trial.pid, NULL, 0);
	}
	child_log_close(&s->trial.printed);
	child_log_close(&s->trial.logs);
	drop_trial(&s->trial);
}

/* Says so where it cannot. */
static bool open_all(struct supervisor *s)
{
	char message[PROGRAM_MESSAGE_SIZE];
	if (program_open(&s->program, message) != 0) {
		log_error("start_failed", message);
		return false;
	}
	const sigset_t signals = own_signals();
	s->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	const int error = s->signal_fd < 0 ? -errno : board_new(&s->board, &s->board_fd);
	if (error != 0) {
		log_error(
			"start_failed", "the supervisor cannot start", LOG_TEXT("reason", strerror(-error)));
		program_close(&s->program);
		if (s->signal_fd >= 0)
			close(s->signal_fd);
		return false;
	}
	return true;
}

int supervisor_run(const struct configuration_source *source, struct configuration *first, bool dev)
{
	struct supervisor s = {.source = source,
		.dev = dev,
		.configuration = *first,
		.logs = {.fd = -1},
		.printed = {.fd = -1},
		.trial = {.logs = {.fd = -1}, .printed = {.fd = -1}, .program = {.fd = -1}},
		.now_ms = clock_ms()};
	*first = (struct configuration){.handlers = NULL};
	if (!open_all(&s)) {
		configuration_free(&s.configuration);
		return EXIT_SOFTWARE;
	}
	reading_warn(&s.configuration);
	service_open(&s.service, s.board, s.now_ms);
	view_init(&s.view, s.board);
	shipping_open(&s.loggly, &s.configuration.settings);
	open_http(&s);
	child_init(&s.child, s.now_ms);
	watch_init(&s.watch);
	/* What ended before this program read signals has left none. */
	reap(&s);
	loop(&s);
	if (s.child.exit_code == EXIT_OK)
		print_account(&s);
	end_trial(&s);
	http_server_close(s.http);
	view_destroy(&s.view);
	shipping_close(&s.loggly);
	service_close(&s.service);
	configuration_free(&s.configuration);
	board_unmap(s.board);
	close(s.board_fd);
	program_close(&s.program);
	close(s.signal_fd);
	return s.child.exit_code;
}
