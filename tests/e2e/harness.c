/* harness.c - the cases of a test program, and the one wait that all others are made of. See harness.h. */
#include "harness_private.h"
#include "panic.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mongoc/mongoc.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { POLLS_MAX = 1024, TAIL_BYTES = 6000, TICK_MS = 1000 };

const char *harness_group_folder;
static const char *program_name = "test";
static unsigned case_number, cases_failed;

/* ---- The program ---- */

void harness_program(char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	program_name = slash ? slash + 1 : argv[0];
	if (argv[1])
		cmocka_set_test_filter(argv[1]);
	/* In the right order among what goes to standard error. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* A peer that goes away is an error of write(), as it is in the programs tested. */
	signal(SIGPIPE, SIG_IGN);
}

const char *harness_program_name(void)
{
	return program_name;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info;
	(void)type;
	(void)walk;
	return remove(path);
}

static void remove_folder(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int harness_group_setup(void **state)
{
	const char *base = getenv("TMPDIR");
	char *folder;
	*state = NULL;
	/* So that what a child leaves behind becomes a child of this program, and is found. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	mosquitto_lib_init();
	mongoc_init();
	/* It would tell of every server that a test has killed. */
	mongoc_log_set_handler(NULL, NULL);
	if (asprintf(&folder, "%s/cashewd-%s-XXXXXX", base ? base : "/tmp", program_name) < 0 ||
		!mkdtemp(folder)) {
		fprintf(stderr, "no folder for the test could be made: %s\n", strerror(errno));
		return -1;
	}
	harness_group_folder = folder;
	return 0;
}

int harness_group_teardown(void **state)
{
	(void)state;
	database_end_shared();
	const int orphans = process_kill_orphans();
	mongoc_cleanup();
	mosquitto_lib_cleanup();
	if (orphans > 0)
		fprintf(stderr, "%d processes had been left behind, and were killed\n", orphans);
	if (cases_failed == 0)
		remove_folder(harness_group_folder);
	else
		fprintf(stderr, "%u cases failed; their folders are kept in %s\n", cases_failed,
			harness_group_folder);
	return 0;
}

void harness_print_tail(const char *path)
{
	FILE *file = fopen(path, "re");
	char buffer[TAIL_BYTES];
	struct stat info;
	if (!file)
		return;
	if (fstat(fileno(file), &info) == 0 && info.st_size > 0) {
		fprintf(stderr, "---- %s%s\n", path, info.st_size > TAIL_BYTES ? ", its end:" : ":");
		fseek(file, info.st_size > TAIL_BYTES ? -TAIL_BYTES : 0,
			info.st_size > TAIL_BYTES ? SEEK_END : SEEK_SET);
		const size_t got = fread(buffer, 1, sizeof(buffer), file);
		fwrite(buffer, 1, got, stderr);
	}
	fclose(file);
}

/* ---- One case ---- */

int harness_setup(void **state)
{
	struct harness *h = panic_if_null(calloc(1, sizeof(*h)));
	if (asprintf(&h->folder, "%s/case-%u", harness_group_folder, ++case_number) < 0 ||
		asprintf(&h->database_name, "%s_%u", program_name, case_number) < 0)
		abort();
	h->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	*state = h;
	if (h->inotify < 0 || mkdir(h->folder, 0700) != 0) {
		fprintf(stderr, "the case cannot be set up in %s: %s\n", h->folder, strerror(errno));
		return -1;
	}
	return 0;
}

void harness_run_case(void **state, void (*body)(struct harness *h))
{
	struct harness *h = *state;
	body(h);
	h->passed = true;
}

bool harness_passed(const struct harness *h)
{
	return h->passed;
}

static int print_log(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	const char *dot = strrchr(path, '.');
	(void)info;
	(void)walk;
	if (type == FTW_F && dot && strcmp(dot, ".log") == 0)
		harness_print_tail(path);
	return 0;
}

int harness_teardown(void **state)
{
	struct harness *h = *state;
	const bool body_passed = h->passed;
	/* Hosts go first, while what they talk to is there. One that does not stop in peace clears h->passed. */
	host_end_all(h);
	while (h->parts) {
		struct harness_part *part = h->parts;
		h->parts = part->next;
		part->free(part->self);
	}
	for (struct harness_process *process = h->processes; process; process = process->next) {
		process_signal(&process->process, SIGKILL);
		process_reap(&process->process, HARNESS_TIMEOUT_MS);
	}
	const bool passed = h->passed;
	if (!passed) {
		cases_failed++;
		nftw(h->folder, print_log, 16, FTW_PHYS);
		fprintf(stderr, "---- The case's folder is kept: %s\n", h->folder);
	} else {
		remove_folder(h->folder);
	}
	while (h->memory) {
		struct harness_memory *memory = h->memory;
		h->memory = memory->next;
		free(memory);
	}
	close(h->inotify);
	free(h->database_name);
	free(h->folder);
	free(h);
	return body_passed && !passed ? -1 : 0;
}

void harness_add(struct harness *h, struct harness_part *part)
{
	part->next = h->parts;
	h->parts = part;
}

void harness_add_process(struct harness *h, struct harness_process *process)
{
	process->next = h->processes;
	h->processes = process;
}

/* ---- Memory, files ---- */

void *harness_alloc(struct harness *h, size_t size)
{
	struct harness_memory *memory = panic_if_null(calloc(1, sizeof(*memory) + size));
	memory->next = h->memory;
	h->memory = memory;
	return memory->bytes;
}

__attribute__((format(printf, 3, 0))) static char *format_list(
	struct harness *h, const char *prefix, const char *format, va_list arguments)
{
	va_list copy;
	va_copy(copy, arguments);
	const int size = vsnprintf(NULL, 0, format, copy);
	va_end(copy);
	if (size < 0)
		abort();
	char *text = harness_alloc(h, strlen(prefix) + (size_t)size + 1);
	vsnprintf(stpcpy(text, prefix), (size_t)size + 1, format, arguments);
	return text;
}

char *harness_format(struct harness *h, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	char *text = format_list(h, "", format, arguments);
	va_end(arguments);
	return text;
}

const char *harness_folder(struct harness *h)
{
	return h->folder;
}

const char *harness_path(struct harness *h, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	const char *path = format_list(h, harness_format(h, "%s/", h->folder), format, arguments);
	va_end(arguments);
	return path;
}

const char *harness_write_file(struct harness *h, const char *name, const char *text)
{
	const char *path = name[0] == '/' ? name : harness_path(h, "%s", name);
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const size_t size = strlen(text);
	if (fd < 0 || write(fd, text, size) != (ssize_t)size)
		harness_fail("%s could not be written: %s", path, strerror(errno));
	close(fd);
	return path;
}

char *harness_read_file(struct harness *h, const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	const ssize_t size = file ? getdelim(&text, &room, '\0', file) : -1;
	if (!file || ferror(file))
		harness_fail("%s: %s", path, strerror(errno));
	fclose(file);
	char *copy = harness_format(h, "%s", size > 0 ? text : "");
	free(text);
	return copy;
}

int harness_execute(const char *folder, const char *output, const char *const *argv)
{
	struct process process;
	const struct process_options options = {.argv = argv,
		.environment = process_environment(),
		.folder = folder,
		.output = output,
		.death_signal = SIGTERM};
	if (process_start(&process, &options) != 0 || !process_reap(&process, HARNESS_TIMEOUT_MS))
		harness_fail("%s did not run to its end", argv[0]);
	return process_exit_code(&process);
}

/* ---- Waiting ---- */

int64_t harness_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void harness_fail_at(const char *file, int line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	char text[2000];
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	print_error("%s\n", text);
	_fail(file, line);
	abort(); /* not reached: _fail() leaves the case */
}

static void drain_inotify(const struct harness *h)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	while (read(h->inotify, buffer, sizeof(buffer)) > 0)
		;
}

/* Polls everything once, for timeout_ms at most, and lets the parts serve what came. */
static void serve_parts(struct harness *h, int timeout_ms)
{
	struct pollfd polls[POLLS_MAX] = {{.fd = h->inotify, .events = POLLIN}};
	size_t counts[POLLS_MAX], count = 1, parts = 0;
	/* Serving may add parts, always in front of this one. */
	struct harness_part *const first = h->parts;
	for (struct harness_part *part = first; part; part = part->next) {
		counts[parts] =
			part->prepare ? part->prepare(part->self, polls + count, POLLS_MAX - count) : 0;
		count += counts[parts++];
	}
	size_t with_processes = count;
	for (const struct harness_process *p = h->processes; p && with_processes < POLLS_MAX; p = p->next)
		if (p->process.pid > 0)
			polls[with_processes++] = (struct pollfd){.fd = p->process.pidfd, .events = POLLIN};
	if (poll(polls, with_processes, timeout_ms) < 0)
		return;
	drain_inotify(h);
	const struct pollfd *next = polls + 1;
	parts = 0;
	for (struct harness_part *part = first; part; part = part->next) {
		if (part->serve)
			part->serve(part->self, next, counts[parts]);
		next += counts[parts++];
	}
}

/* The first process that has ended without being awaited. */
static struct harness_process *find_casualty(struct harness *h)
{
	for (struct harness_process *p = h->processes; p; p = p->next) {
		if (p->process.pid > 0 && process_reap(&p->process, 0) && !p->process.awaited) {
			p->process.awaited = true; /* told once */
			return p;
		}
	}
	return NULL;
}

bool harness_wait_for(struct harness *h, harness_condition condition, void *context, int timeout_ms)
{
	const int64_t end = harness_now_ms() + timeout_ms;
	while (!condition(context)) {
		const int64_t left = end - harness_now_ms();
		if (left <= 0)
			return false;
		/* The tick serves libmosquitto's keepalive; nothing waits for it. */
		serve_parts(h, (int)(left < TICK_MS ? left : TICK_MS));
	}
	return true;
}

struct wait {
	struct harness *harness;
	harness_condition condition;
	void *context;
	const struct harness_process *casualty;
};

static bool done_or_hopeless(void *context)
{
	struct wait *wait = context;
	if (wait->condition(wait->context))
		return true;
	wait->casualty = find_casualty(wait->harness);
	/* It may have fulfilled the condition just before. */
	return wait->casualty && !wait->condition(wait->context);
}

void harness_wait_at(const char *file, int line, struct harness *h, harness_condition condition,
	void *context, int timeout_ms, const char *what, ...)
{
	struct wait wait = {.harness = h, .condition = condition, .context = context};
	if (harness_wait_for(h, done_or_hopeless, &wait, timeout_ms) && !wait.casualty)
		return;
	va_list arguments;
	va_start(arguments, what);
	const char *text = format_list(h, "waited for ", what, arguments);
	va_end(arguments);
	if (wait.casualty)
		harness_fail_at(file, line, "%s, but %s ended by itself with exit code %d", text,
			wait.casualty->name, process_exit_code(&wait.casualty->process));
	harness_fail_at(file, line, "%s in vain, for %d s", text, timeout_ms / 1000);
}

static bool never(void *context)
{
	(void)context;
	return false;
}

void harness_watch(struct harness *h, int for_ms)
{
	(void)harness_wait_for(h, never, NULL, for_ms);
}

void harness_watch_folder(struct harness *h, const char *folder)
{
	if (inotify_add_watch(h->inotify, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		harness_fail("%s cannot be watched: %s", folder, strerror(errno));
}
