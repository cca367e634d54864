/* Tests of loggly.c: a call never waits, neither for the thread that ships, nor for a server, nor for a disk. */
#include "loggly.h"

#include "loggly_case.h"
#include "loggly_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- A call never waits: shown by what stands still meanwhile ---- */

static void test_never_blocked_by_a_dead_thread(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.memory = 100000;
	gate.restless = true;
	struct loggly *l = open_loggly(&with);
	hold_thread();
	/* Far more than there is room for; the thread takes nothing, and every call returns. */
	put_lines(l, 20000);
	struct loggly_figures f;
	loggly_read(l, &f);
	assert_int_equal(f.emitted, 20000);
	assert_in_range(f.lost_memory, 15000, 20000);
	assert_int_equal(f.in_memory, 20000 - f.lost_memory);
	assert_int_equal(f.shipped, 0);
	let_thread_go();
	/* What was lost is told. */
	wait_log("loggly_lost", 1);
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, f.emitted - f.lost_memory);
	assert_adds_up(&f);
	char *log = read_log(), told[64];
	snprintf(told, sizeof(told), "\"events\":%" PRIu64 ",", f.lost_memory);
	assert_non_null(strstr(log, told));
	free(log);
}

static void test_never_blocked_by_a_silent_server(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.memory = 100000;
	with.batch_size = 20000;
	with.spool_folder = NULL;
	struct loggly *l = open_loggly(&with);
	struct loggly_figures f;
	answer(&(struct bulk_answer){.manner = BULK_SILENT});
	put_lines(l, 1);
	assert_true(bulk_server_wait(p.server, 1, PARTS_TIMEOUT_MS));
	do {
		put_lines(l, 1000);
		loggly_read(l, &f);
	} while (f.lost_memory < 5000);
	assert_int_equal(f.shipped, 0);
	assert_true(f.in_memory > 100);
	loggly_close(l, 100, &f);
	assert_adds_up(&f);
	assert_int_equal(f.lost_memory + f.lost_disk, f.emitted);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
	assert_return_code(setrlimit(RLIMIT_FSIZE, &limit), errno);
}

/* The server is away and the disk takes nothing more: what fits stays in memory, the rest is counted; when
 * both are back, all that was not lost arrives. */
static void fill(struct loggly *l, unsigned port, void (*make_room)(void))
{
	struct loggly_figures f;
	do {
		put_lines(l, 1000);
		loggly_read(l, &f);
	} while (f.lost_memory < 5000);
	wait_log("log_spool_failed", 1);
	const uint64_t spooled = f.spooled;
	put_lines(l, 1000);
	make_room();
	wait_spooled(l, spooled + 1);
	p.server = server_start(port, "server.crt", false, &p.taken);
	wait_log("loggly_back", 1);
	put_lines(l, 100);
	do {
		sched_yield();
		loggly_read(l, &f);
	} while (f.in_memory > 0 || f.spooled > 0);
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, f.emitted - f.lost_memory);
	assert_int_equal(f.lost_disk + f.lost_spool + f.lost_killed + f.aside, 0);
	assert_adds_up(&f);
	assert_int_equal(count_taken(true), f.shipped);
}

static void no_limit(void)
{
	limit_files(0);
}

static void test_never_blocked_by_a_full_disk(void **state)
{
	(void)state;
	const unsigned port = bulk_server_port(p.server);
	bulk_server_stop(p.server);
	signal(SIGXFSZ, SIG_IGN);
	struct loggly_options with = options();
	with.memory = 100000;
	struct loggly *l = open_loggly(&with);
	put_lines(l, 1);
	wait_log("loggly_away", 1);
	limit_files(8192);
	fill(l, port, no_limit);
}

static char mounted[100];
static bool may_mount; /* where nobody else sees it */

static void empty_disk(void)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/ballast", mounted);
	assert_return_code(unlink(path), errno);
}

static void test_never_blocked_by_a_full_file_system(void **state)
{
	(void)state;
	const unsigned port = bulk_server_port(p.server);
	snprintf(mounted, sizeof(mounted), "%s/disk", parts_folder);
	if (!may_mount || mkdir(mounted, 0700) != 0 ||
		mount("none", mounted, "tmpfs", 0, "size=4m,mode=0700") != 0) {
		print_message("skipped: nothing can be mounted here (%s)\n", strerror(errno));
		skip();
	}
	snprintf(p.spool, sizeof(p.spool), "%s/spool", mounted);
	bulk_server_stop(p.server);
	struct loggly_options with = options();
	with.memory = 100000;
	struct loggly *l = open_loggly(&with);
	put_lines(l, 1);
	wait_spooled(l, 1);
	char path[200];
	static const char block[4096];
	snprintf(path, sizeof(path), "%s/ballast", mounted);
	const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		continue;
	assert_int_equal(errno, ENOSPC);
	close(fd);
	fill(l, port, empty_disk);
	assert_return_code(umount2(mounted, MNT_DETACH), errno);
}

int main(int count, char **values)
{
	may_mount = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (count == 2)
		cmocka_set_test_filter(values[1]);
	const struct CMUnitTest tests[] = {
		TEST(test_never_blocked_by_a_dead_thread),
		TEST(test_never_blocked_by_a_silent_server),
		TEST(test_never_blocked_by_a_full_disk),
		TEST(test_never_blocked_by_a_full_file_system),
	};
	return cmocka_run_group_tests_name("loggly_blocked", tests, parts_setup, parts_teardown);
}
