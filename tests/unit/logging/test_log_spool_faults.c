/* Tests of log_spool.c: a process that is killed, a limit on files, a full disk. */
#include "log_spool.h"
#include "log_spool_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* An account that is garbage begins anew, and what is on disk is in it. */
static void test_account_is_garbage(void **state)
{
	(void)state;
	char path[400];
	struct log_spool *spool = open_spool();
	put_numbers(spool, 0, 7);
	log_spool_close(spool);
	snprintf(path, sizeof(path), "%s/account", folder);
	const int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "garbage, and short", 18), 18);
	close(fd);
	spool = open_spool();
	assert_int_equal(log_spool_account(spool)->emitted, 7);
	assert_int_equal(log_spool_account(spool)->spooled, 7);
	assert_adds_up(spool);
	log_spool_close(spool);
}

/* Appends until it is killed; `done` counts what has returned. */
static void append_for_ever(_Atomic unsigned *done)
{
	struct log_spool *spool = NULL;
	if (log_spool_open(
		    &(struct log_spool_options){
			    .folder = folder, .limit = 100 << 20, .segment_size = SEGMENT},
		    &spool) != 0)
		_exit(1);
	char lines[4000];
	for (unsigned number = *done;;) {
		size_t size = 0;
		unsigned count = 0;
		for (; count < 1 + number % 50; count++)
			size += (size_t)sprintf(lines + size,
				"{\"number\":%u,\"text\":\"some more to write\"}\n", number + count);
		log_spool_account(spool)->emitted += count;
		if (log_spool_append(spool, lines, size) != 0)
			_exit(1);
		number += count;
		*done = number;
	}
}

static void test_killed(void **state)
{
	(void)state;
	enum { ROUNDS = 30, ROOM = 4000000 };
	_Atomic unsigned *done =
		mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned *numbers = calloc(ROOM, sizeof(*numbers));
	assert_non_null(numbers);
	uint64_t killed = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		const unsigned before = *done;
		fflush(NULL);
		const pid_t pid = fork();
		assert_return_code(pid, errno);
		if (pid == 0)
			append_for_ever(done);
		/* Somewhere in the middle: it has written something since. */
		while (*done < before + 1 + round * 7)
			sched_yield();
		kill(pid, SIGKILL);
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		/* Every append that returned is there, whole; of the one under way any part. */
		struct log_spool *spool = open_spool();
		const struct log_account *account = log_spool_account(spool);
		const unsigned first = before, count = drain(spool, numbers, ROOM);
		assert_true(first + count >= *done && first + count <= *done + 50);
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(numbers[i], first + i);
		assert_adds_up(spool);
		assert_true(account->lost_killed >= killed && account->lost_killed <= killed + 50);
		killed = account->lost_killed;
		log_spool_close(spool);
		*done = first + count;
	}
	free(numbers);
	munmap(done, sizeof(*done));
}

/* Appends until the disk is full, makes room, and goes on: all that was taken is there, and nothing else. */
static void fill_disk(struct log_spool *spool, void (*make_room)(void))
{
	enum { ROOM = 100000 };
	static unsigned numbers[ROOM];
	char lines[2048];
	unsigned number = 0, refused = 0;
	for (; refused < 3; number += 50) {
		size_t size = 0;
		for (unsigned i = 0; i < 50; i++)
			size += (size_t)sprintf(lines + size, "{\"number\":%u}\n", number + i);
		assert_true(number < 1000000);
		const uint64_t before = log_spool_account(spool)->spooled;
		const int error = put(spool, lines);
		if (error != 0) {
			assert_true(error == -ENOSPC || error == -EFBIG);
			assert_int_equal(log_spool_account(spool)->spooled, before);
			log_spool_account(spool)->emitted -= 50;
			refused++;
			number -= 50;
		}
	}
	make_room();
	const unsigned count = drain(spool, numbers, ROOM);
	assert_int_equal(count, number);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(numbers[i], i);
	put_numbers(spool, 0, 1);
	assert_adds_up(spool);
}

static void raise_file_limit(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = limit.rlim_max;
	assert_return_code(setrlimit(RLIMIT_FSIZE, &limit), errno);
}

/* Files can only grow so far: writes end in the middle of a line. */
static void test_file_limit(void **state)
{
	(void)state;
	struct rlimit limit;
	signal(SIGXFSZ, SIG_IGN);
	struct log_spool *spool = NULL;
	assert_int_equal(log_spool_open(
				 &(struct log_spool_options){
					 .folder = folder, .limit = 100 << 20, .segment_size = 1 << 20},
				 &spool),
		0);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 33333;
	assert_return_code(setrlimit(RLIMIT_FSIZE, &limit), errno);
	fill_disk(spool, raise_file_limit);
	log_spool_close(spool);
}

static void nothing(void)
{
}

static void test_full_disk(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mkdir(folder, 0700) != 0 || mount("none", folder, "tmpfs", 0, "size=64k,mode=0700") != 0) {
		print_message("skipped: nothing can be mounted here (%s)\n", strerror(errno));
		skip();
	}
	struct log_spool *spool = NULL;
	assert_int_equal(log_spool_open(
				 &(struct log_spool_options){
					 .folder = folder, .limit = 100 << 20, .segment_size = SEGMENT},
				 &spool),
		0);
	fill_disk(spool, nothing);
	log_spool_close(spool);
	/* Full from the beginning: it cannot be opened, and has left nothing. */
	assert_return_code(umount2(folder, MNT_DETACH), errno);
	assert_return_code(mount("none", folder, "tmpfs", 0, "size=4k,mode=0700"), errno);
	char path[400];
	snprintf(path, sizeof(path), "%s/other", folder);
	const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	char page[4096] = "";
	assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	close(fd);
	assert_int_equal(log_spool_open(
				 &(struct log_spool_options){
					 .folder = folder, .limit = 100 << 20, .segment_size = SEGMENT},
				 &spool),
		-ENOSPC);
	assert_return_code(umount2(folder, MNT_DETACH), errno);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_account_is_garbage),
		TEST(test_killed),
		TEST(test_file_limit),
		TEST(test_full_disk),
	};
	return cmocka_run_group_tests_name("log_spool_faults", tests, NULL, NULL);
}
