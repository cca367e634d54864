/* Tests of log_spool.c: what is in it after a restart, a torn write, changed bytes, and past its limit. */
#include "log_spool.h"
#include "log_spool_lines.h"
#include "log_spool_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_in_and_out(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	unsigned numbers[COUNT];
	struct log_spool *spool = open_spool();
	char *lines;
	size_t size;
	assert_true(log_spool_is_empty(spool));
	assert_int_equal(log_spool_load(spool, &lines, &size), LOG_SPOOL_E_EMPTY);
	assert_int_equal(log_spool_bytes(spool), 0);
	put_numbers(spool, 0, COUNT / 2);
	const uint64_t bytes = log_spool_bytes(spool);
	assert_true(bytes > COUNT / 2 * strlen("{\"number\":0}\n"));
	/* Over a restart, and over one that changes nothing. */
	log_spool_close(spool);
	log_spool_close(open_spool());
	spool = open_spool();
	assert_false(log_spool_is_empty(spool));
	assert_int_equal(log_spool_bytes(spool), bytes);
	assert_int_equal(log_spool_account(spool)->spooled, COUNT / 2);
	put_numbers(spool, COUNT / 2, COUNT / 2);
	assert_adds_up(spool);
	/* What was loaded and not shipped comes again. */
	assert_int_equal(log_spool_load(spool, &lines, &size), 0);
	assert_int_equal(memcmp(lines, "{\"number\":0}\n{\"number\":1}\n", 26), 0);
	free(lines);
	log_spool_unload(spool);
	assert_int_equal(drain(spool, numbers, COUNT), COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(numbers[i], i);
	assert_true(log_spool_is_empty(spool));
	assert_int_equal(log_spool_bytes(spool), 0);
	assert_int_equal(log_spool_account(spool)->shipped, COUNT);
	assert_adds_up(spool);
	char path[400];
	assert_false(find_file(".spool", false, path, sizeof(path)));
	log_spool_close(spool);
	log_spool_close(NULL);
}

static void test_is_private(void **state)
{
	(void)state;
	umask(0);
	struct log_spool *spool = open_spool();
	put_numbers(spool, 0, 1);
	assert_int_equal(log_spool_set_aside(spool, "{}\n", 3), 0);
	struct stat status;
	assert_return_code(stat(folder, &status), errno);
	assert_int_equal(status.st_mode & 0777, 0700);
	DIR *entries = opendir(folder);
	unsigned files = 0;
	for (const struct dirent *entry; (entry = readdir(entries));) {
		if (entry->d_name[0] == '.')
			continue;
		assert_return_code(fstatat(dirfd(entries), entry->d_name, &status, 0), errno);
		assert_int_equal(status.st_mode & 0777, 0600);
		files++;
	}
	closedir(entries);
	assert_int_equal(files, 4);
	log_spool_close(spool);
	umask(022);
}

static void test_one_process_at_a_time(void **state)
{
	(void)state;
	struct log_spool *spool = open_spool(), *second = NULL;
	const struct log_spool_options options = {.folder = folder, .limit = LIMIT, .segment_size = SEGMENT};
	assert_int_equal(log_spool_open(&options, &second), LOG_SPOOL_E_LOCKED);
	log_spool_close(spool);
	assert_int_equal(log_spool_open(&options, &second), 0);
	log_spool_close(second);
}

static void test_cannot_be_opened(void **state)
{
	(void)state;
	struct log_spool *spool;
	char path[400];
	snprintf(path, sizeof(path), "%s/missing/spool", base);
	assert_int_equal(
		log_spool_open(&(struct log_spool_options){.folder = path, .limit = LIMIT}, &spool), -ENOENT);
	snprintf(path, sizeof(path), "%s/file", base);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(log_spool_open(&(struct log_spool_options){.folder = path, .limit = LIMIT}, &spool),
		-ENOTDIR);
}

/* Whatever is there of the last line, the others are read, and it is counted as lost. */
static void test_torn_tail(void **state)
{
	(void)state;
	enum { COUNT = 5 };
	unsigned numbers[COUNT + 1];
	struct log_spool *spool = open_spool();
	put_numbers(spool, 0, COUNT);
	log_spool_close(spool);
	char path[400], whole[1024];
	assert_true(find_file(".spool", true, path, sizeof(path)));
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	const ssize_t size = read(fd, whole, sizeof(whole));
	const ssize_t line = size / COUNT;
	for (ssize_t torn = 1; torn < line; torn++) {
		assert_return_code(ftruncate(fd, size - torn), errno);
		spool = open_spool();
		const struct log_account before = *log_spool_account(spool);
		assert_int_equal(before.spooled, COUNT - 1);
		assert_adds_up(spool);
		log_spool_close(spool);
		/* As it was. */
		assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
		spool = open_spool();
		assert_int_equal(log_spool_account(spool)->spooled, COUNT);
		assert_adds_up(spool);
		log_spool_close(spool);
	}
	assert_return_code(ftruncate(fd, size - 3), errno);
	close(fd);
	spool = open_spool();
	put_numbers(spool, COUNT, 1);
	assert_int_equal(drain(spool, numbers, COUNT + 1), COUNT);
	assert_int_equal(numbers[COUNT - 2], COUNT - 2);
	assert_int_equal(numbers[COUNT - 1], COUNT);
	assert_adds_up(spool);
	log_spool_close(spool);
}

/* A byte that changed anywhere costs the line that it stands in, at most the next one too. */
static void test_changed_bytes(void **state)
{
	(void)state;
	enum { COUNT = 5 };
	unsigned numbers[COUNT];
	char path[400], whole[1024], changed[1024];
	struct log_spool *spool = open_spool();
	put_numbers(spool, 0, COUNT);
	log_spool_close(spool);
	assert_true(find_file(".spool", true, path, sizeof(path)));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t size = read(fd, whole, sizeof(whole));
	close(fd);
	for (ssize_t at = 0; at < size; at++) {
		memcpy(changed, whole, (size_t)size);
		changed[at] ^= 0x24;
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_int_equal(write(fd, changed, (size_t)size), size);
		close(fd);
		spool = open_spool();
		const unsigned count = drain(spool, numbers, COUNT);
		assert_in_range(count, COUNT - 2, COUNT - 1);
		for (unsigned i = 1; i < count; i++)
			assert_true(numbers[i] > numbers[i - 1] && numbers[i] < COUNT);
		assert_adds_up(spool);
		log_spool_close(spool);
	}
}

/* A segment that changes or goes while the spool is open: its events are lost and counted. */
static void test_changed_while_open(void **state)
{
	(void)state;
	unsigned numbers[10];
	char path[400];
	struct log_spool *spool = open_spool();
	put_numbers(spool, 0, 3);
	assert_true(find_file(".spool", true, path, sizeof(path)));
	assert_return_code(truncate(path, 30), errno);
	assert_int_equal(drain(spool, numbers, 10), 1);
	assert_int_equal(log_spool_account(spool)->lost_disk, 2);
	put_numbers(spool, 3, 3);
	assert_true(find_file(".spool", true, path, sizeof(path)));
	assert_return_code(unlink(path), errno);
	assert_int_equal(drain(spool, numbers, 10), 0);
	assert_int_equal(log_spool_account(spool)->lost_disk, 5);
	assert_adds_up(spool);
	log_spool_close(spool);
}

static uint64_t bytes_in_folder(void)
{
	uint64_t bytes = 0;
	DIR *entries = opendir(folder);
	for (const struct dirent *entry; (entry = readdir(entries));) {
		struct stat status;
		if (fstatat(dirfd(entries), entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode))
			bytes += (uint64_t)status.st_size;
	}
	closedir(entries);
	return bytes;
}

static void test_oldest_are_dropped(void **state)
{
	(void)state;
	enum { COUNT = 10000 };
	static unsigned numbers[COUNT];
	struct log_spool *spool = open_spool();
	char *lines;
	size_t size;
	put_numbers(spool, 0, 1000);
	/* What is being sent stays. */
	assert_int_equal(log_spool_load(spool, &lines, &size), 0);
	const uint64_t loaded = log_spool_lines_count(lines, size);
	free(lines);
	for (unsigned i = 1000; i < COUNT; i += 10) {
		put_numbers(spool, i, 10);
		assert_true(bytes_in_folder() <= LIMIT);
	}
	assert_true(bytes_in_folder() > LIMIT / 2);
	assert_adds_up(spool);
	log_spool_account(spool)->shipped += loaded;
	log_spool_remove(spool);
	const uint64_t lost = log_spool_account(spool)->lost_spool;
	assert_true(lost > COUNT / 2);
	const unsigned left = drain(spool, numbers, COUNT);
	assert_int_equal(left + lost + loaded, COUNT);
	for (unsigned i = 0; i < left; i++)
		assert_int_equal(numbers[i], loaded + lost + i);
	assert_adds_up(spool);
	log_spool_close(spool);
}

static void test_aside(void **state)
{
	(void)state;
	enum { COUNT = 4000 };
	struct log_spool *spool = open_spool();
	char line[64], path[400];
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(line, sizeof(line), "{\"refused\":%u}\n", i);
		log_spool_account(spool)->emitted++;
		assert_int_equal(log_spool_set_aside(spool, line, strlen(line)), 0);
		assert_true(bytes_in_folder() <= LIMIT / 4 + 4096);
	}
	assert_true(log_spool_is_empty(spool));
	assert_true(log_spool_account(spool)->aside > 100);
	assert_adds_up(spool);
	const uint64_t aside = log_spool_account(spool)->aside;
	log_spool_close(spool);
	/* People read it as it is. */
	assert_true(find_file(".aside", true, path, sizeof(path)));
	FILE *file = fopen(path, "re");
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	assert_int_equal(strncmp(line, "{\"refused\":", 11), 0);
	spool = open_spool();
	assert_int_equal(log_spool_account(spool)->aside, aside);
	assert_adds_up(spool);
	log_spool_close(spool);
}

/* The largest number that is ours: there is no further one, and that is said. */
static void test_numbers_end(void **state)
{
	(void)state;
	char path[400];
	log_spool_close(open_spool());
	snprintf(path, sizeof(path), "%s/09223372036854775807.spool", folder);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	struct log_spool *spool = open_spool();
	assert_int_equal(put(spool, "{}\n"), -EOVERFLOW);
	log_spool_close(spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_and_out),
		TEST(test_is_private),
		TEST(test_one_process_at_a_time),
		TEST(test_cannot_be_opened),
		TEST(test_torn_tail),
		TEST(test_changed_bytes),
		TEST(test_changed_while_open),
		TEST(test_oldest_are_dropped),
		TEST(test_aside),
		TEST(test_numbers_end),
	};
	return cmocka_run_group_tests_name("log_spool", tests, NULL, NULL);
}
