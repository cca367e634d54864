/* process.c - see process.h. */
#include "process.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noreturn)) static void child(const struct process_options *options, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, options->death_signal) != 0 || getppid() != parent)
		_exit(126);
	const int input = open("/dev/null", O_RDONLY);
	const int output = open(options->output, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (input < 0 || output < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(126);
	if (chdir(options->folder) == 0) {
		close_range(3, ~0U, 0);
		/* The casts only undo what execvpe() cannot say in C: it changes neither array. */
		execvpe(options->argv[0], (char *const *)(uintptr_t)options->argv,
			(char *const *)(uintptr_t)options->environment);
	}
	dprintf(2, "%s in %s: %s\n", options->argv[0], options->folder, strerror(errno));
	_exit(127);
}

int process_start(struct process *process, const struct process_options *options)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(options, parent);
	*process = (struct process){.pid = pid, .pidfd = pidfd_open(pid, 0)};
	return process->pidfd < 0 ? -errno : 0;
}

void process_signal(const struct process *process, int signal)
{
	if (process->pid > 0)
		kill(process->pid, signal);
}

bool process_reap(struct process *process, int timeout_ms)
{
	if (process->pid <= 0)
		return true;
	struct pollfd poll_fd = {.fd = process->pidfd, .events = POLLIN};
	if (poll(&poll_fd, 1, timeout_ms) != 1)
		return false;
	if (waitpid(process->pid, &process->status, 0) != process->pid)
		return false;
	close(process->pidfd);
	process->pid = 0;
	process->pidfd = -1;
	return true;
}

int process_exit_code(const struct process *process)
{
	return WIFEXITED(process->status) ? WEXITSTATUS(process->status) : 128 + WTERMSIG(process->status);
}

size_t process_rss_kib(pid_t pid)
{
	char path[64], line[256];
	size_t kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *status = fopen(path, "re");
	while (status && kib == 0 && fgets(line, sizeof(line), status))
		(void)sscanf(line, "VmRSS: %zu", &kib);
	if (status)
		fclose(status);
	return kib;
}

size_t process_descriptors(pid_t pid)
{
	char path[64];
	size_t count = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *folder = opendir(path);
	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count > 2 ? count - 2 : 0;
}

const char *const *process_environment(void)
{
	static const char *const passed[] = {"PATH", "HOME", "TMPDIR", "ASAN_OPTIONS", "LSAN_OPTIONS",
		"UBSAN_OPTIONS", "TSAN_OPTIONS", "VIRTUAL_ENV"};
	static const char *environment[sizeof(passed) / sizeof(passed[0]) + 3];
	if (!environment[0]) {
		size_t count = 0;
		environment[count++] = "LC_ALL=C.UTF-8";
		/* Shared memory of the driver's, which a program that is killed would leave behind. */
		environment[count++] = "MONGOC_DISABLE_SHM=1";
		for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
			const char *value = getenv(passed[i]);
			char *pair;
			if (value && asprintf(&pair, "%s=%s", passed[i], value) > 0)
				environment[count++] = pair;
		}
	}
	return environment;
}

int process_kill_orphans(void)
{
	char path[64];
	int killed = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	FILE *children = fopen(path, "re");
	int pid;
	while (children && fscanf(children, "%d", &pid) == 1) {
		/* Most have ended already, and only wait to be waited for. */
		if (waitpid(pid, NULL, WNOHANG) != 0)
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		killed++;
	}
	if (children)
		fclose(children);
	return killed;
}
