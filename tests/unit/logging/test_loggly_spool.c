/* Tests of loggly.c: the spool's lock, its limit, and what is in it when the process is killed. */
#include "loggly.h"

#include "log_spool.h"
#include "loggly_case.h"
#include "loggly_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The spool's lock, its limit ---- */

static void test_a_spool_that_is_in_use(void **state)
{
	(void)state;
	struct log_spool *other = NULL;
	assert_int_equal(log_spool_open(
				 &(struct log_spool_options){
					 .folder = p.spool, .limit = SPOOL_MAX, .segment_size = 1000},
				 &other),
		0);
	struct loggly_options with = options();
	struct loggly *l = open_loggly(&with);
	wait_log("log_spool_failed", 1);
	answer(&(struct bulk_answer){.status = 503, .times = 3});
	put_lines(l, 100);
	wait_shipped(l, 100);
	/* Once the other lets go, it is used. */
	log_spool_close(other);
	answer(&(struct bulk_answer){.status = 503, .header = "Retry-After: 3600"});
	put_lines(l, 100);
	wait_spooled(l, 100);
	struct loggly_figures f;
	loggly_close(l, CLOSE_MS, &f);
	assert_int_equal(f.shipped, 100);
	assert_int_equal(f.spooled, 100);
	assert_adds_up(&f);
	assert_int_equal(count_log("log_spool_failed"), 1);
}

static void test_a_full_spool_drops_its_oldest(void **state)
{
	(void)state;
	struct loggly_options with = options();
	with.spool_max = 200000;
	with.batch_size = 10000;
	struct loggly *l = open_loggly(&with);
	struct loggly_figures f = {.emitted = 0};
	answer(&(struct bulk_answer){.status = 503, .header = "Retry-After: 3600"});
	put_lines(l, 1);
	wait_log("loggly_away", 1);
	do {
		put_lines(l, f.in_memory < 1000 ? 100 : 0);
		sched_yield();
		loggly_read(l, &f);
	} while (f.lost_spool < 3000);
	wait_log("loggly_lost", 1);
	loggly_close(l, CLOSE_MS, &f);
	assert_adds_up(&f);
	assert_true(f.spooled > 500);
	/* The next run ships the newest. */
	l = open_loggly(&with);
	const uint64_t left = f.spooled;
	wait_shipped(l, left);
	loggly_close(l, CLOSE_MS, &f);
	assert_adds_up(&f);
	assert_int_equal(count_taken(false), left);
	char last[64];
	snprintf(last, sizeof(last), "\"number\":%u}\n", p.put - 1);
	assert_non_null(strstr(p.taken.lines, last));
}

/* ---- Killed ---- */

/* The program again, as what is killed: logs numbers until then. */
static int child(char **values)
{
	const unsigned first = (unsigned)strtoul(values[4], NULL, 10);
	_Atomic unsigned *done = MAP_FAILED;
	const int fd = open(values[5], O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (done == MAP_FAILED)
		return 1;
	snprintf(p.url, sizeof(p.url), "%s", values[2]);
	snprintf(p.spool, sizeof(p.spool), "%s", values[3]);
	snprintf(parts_folder, sizeof(parts_folder), "%s", values[6]);
	struct loggly_options with = options();
	with.batch_size = 5000;
	struct loggly *l = open_loggly(&with);
	for (p.put = first;;) {
		struct loggly_figures f;
		loggly_read(l, &f);
		if (f.in_memory > 1000 || p.put - first > CHILD_LINES)
			sched_yield();
		else
			put_lines(l, 1);
		*done = p.put;
	}
}

static pid_t start_child(const char *done_path, unsigned first)
{
	char number[16], mode[] = "child";
	snprintf(number, sizeof(number), "%u", first);
	char *const values[] = {program_invocation_name, mode, p.url, p.spool, number,
		(char *)(uintptr_t)done_path, parts_folder, NULL};
	pid_t pid;
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, values, environ), 0);
	return pid;
}

/* Rounds of being killed while the server takes, fails and breaks off. After each the account knows of every
 * line that was logged; and no line is gone that it does not know of. */
static void test_killed(void **state)
{
	(void)state;
	enum { ROUNDS = 12 };
	char done_path[160];
	snprintf(done_path, sizeof(done_path), "%s-done", p.spool);
	const int fd = open(done_path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_return_code(ftruncate(fd, sizeof(unsigned)), errno);
	_Atomic unsigned *done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(done != MAP_FAILED);
	close(fd);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct bulk_counts counts;
		bulk_server_counts(p.server, &counts);
		answer(&(struct bulk_answer){.status = 503, .times = 1 + round % 3});
		answer(&(struct bulk_answer){.manner = round % 2 ? BULK_CUTS_ANSWER : BULK_CUTS_REQUEST});
		const pid_t pid = start_child(done_path, *done);
		assert_true(bulk_server_wait(p.server, counts.requests + 1 + 2 * round, PARTS_TIMEOUT_MS));
		kill(pid, SIGKILL);
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		/* The one that it was at may have been counted. */
		p.put = *done + 1;
		struct log_spool *spool = NULL;
		assert_int_equal(log_spool_open(
					 &(struct log_spool_options){
						 .folder = p.spool, .limit = SPOOL_MAX, .segment_size = 5000},
					 &spool),
			0);
		const struct log_account *a = log_spool_account(spool);
		assert_int_equal(a->emitted, a->shipped + a->spooled + a->aside + a->lost_memory +
						     a->lost_spool + a->lost_disk + a->lost_killed);
		assert_in_range(a->emitted, *done, *done + round + 1);
		log_spool_close(spool);
	}
	struct loggly_options with = options();
	struct loggly *l = open_loggly(&with);
	struct loggly_figures f;
	do {
		sched_yield();
		loggly_read(l, &f);
		/* The account is not there before the spool has been read. */
	} while (f.emitted < *done || f.spooled > 0 || f.in_memory > 0);
	loggly_close(l, CLOSE_MS, &f);
	assert_adds_up(&f);
	const unsigned arrived = count_taken(true);
	print_message("%u put, %u arrived, %" PRIu64 " shipped, %" PRIu64 " lost in memory, %" PRIu64
		      " in kills\n",
		*done, arrived, f.shipped, f.lost_memory, f.lost_killed);
	/* A request that was taken and whose answer no one read any more is counted as lost, and arrived. */
	assert_true(arrived >= f.shipped);
	assert_true(arrived + lost(&f) >= *done);
	munmap(done, sizeof(*done));
	unlink(done_path);
}

static void test_pauses(void **state)
{
	(void)state;
	static const struct {
		unsigned failures, limit_ms;
	} cases[] = {{1, 1000}, {2, 2000}, {3, 4000}, {9, 256000}, {10, 300000}, {1000, 300000}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(loggly_pause_ms(cases[i].failures, 1000, 300000, cases[i].limit_ms),
			cases[i].limit_ms);
		assert_int_equal(loggly_pause_ms(cases[i].failures, 1000, 300000, cases[i].limit_ms + 1), 0);
		assert_int_equal(loggly_pause_ms(cases[i].failures, 1000, 300000, 17), 17);
	}
}

int main(int count, char **values)
{
	if (count == 7 && strcmp(values[1], "child") == 0)
		return child(values);
	if (count == 2)
		cmocka_set_test_filter(values[1]);
	const struct CMUnitTest tests[] = {
		TEST(test_a_spool_that_is_in_use),
		TEST(test_a_full_spool_drops_its_oldest),
		TEST(test_killed),
		cmocka_unit_test(test_pauses),
	};
	return cmocka_run_group_tests_name("loggly_spool", tests, parts_setup, parts_teardown);
}
