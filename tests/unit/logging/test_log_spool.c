/* Tests of log_spool.c: what is in it after a restart, a torn write, a kill, past its limit and on a full
 * disk. */
#include "log_spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 64 * 1024, SEGMENT = 4 * 1024 };

static char base[] = "/tmp/cashewd-test-XXXXXX", folder[64];

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info, (void)type, (void)walk;
	return remove(path);
}

static int each_setup(void **state)
{
	(void)state;
	strcpy(base + strlen(base) - 6, "XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(folder, sizeof(folder), "%s/spool", base);
	return 0;
}

static int each_teardown(void **state)
{
	(void)state;
	return nftw(base, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static struct log_spool *open_spool(void)
{
	struct log_spool *spool = NULL;
	assert_int_equal(log_spool_open(
				 &(struct log_spool_options){
					 .folder = folder, .limit = LIMIT, .segment_size = SEGMENT},
				 &spool),
		0);
	return spool;
}

/* As who logs counts it, then as who cannot send it spools it. */
static int put(struct log_spool *spool, const char *lines)
{
	log_spool_account(spool)->emitted += log_spool_count_lines(lines, strlen(lines));
	return log_spool_append(spool, lines, strlen(lines));
}

static void put_numbers(struct log_spool *spool, unsigned first, unsigned count)
{
	char line[64];
	for (unsigned i = first; i < first + count; i++) {
		snprintf(line, sizeof(line), "{\"number\":%u}\n", i);
		assert_int_equal(put(spool, line), 0);
	}
}

/* Ships everything; the numbers that came, in that order. */
static unsigned drain(struct log_spool *spool, unsigned *numbers, unsigned room)
{
	char *lines;
	size_t size;
	unsigned count = 0;
	while (log_spool_load(spool, &lines, &size) == 0) {
		log_spool_account(spool)->shipped += log_spool_count_lines(lines, size);
		lines[size] = '\0'; /* there is a byte more */
		for (char *rest = lines, *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
			assert_true(count < room);
			assert_int_equal(sscanf(line, "{\"number\":%u}", &numbers[count++]), 1);
		}
		log_spool_remove(spool);
		free(lines);
	}
	return count;
}

static void assert_adds_up(struct log_spool *spool)
{
	const struct log_account *a = log_spool_account(spool);
	assert_int_equal(a->emitted, a->shipped + a->spooled + a->aside + a->lost_memory + a->lost_spool +
					     a->lost_disk + a->lost_killed);
}

/* The name of the first or last file with that suffix. */
static bool find_file(const char *suffix, bool last, char *ret, size_t size)
{
	struct dirent **entries;
	const int count = scandir(folder, &entries, NULL, alphasort);
	bool found = false;
	for (int i = 0; i < count; i++) {
		const char *dot = strrchr(entries[i]->d_name, '.');
		if (dot && strcmp(dot, suffix) == 0 && (last || !found)) {
			found = true;
			snprintf(ret, size, "%s/%s", folder, entries[i]->d_name);
		}
		free(entries[i]);
	}
	free(entries);
	return found;
}

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
	for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
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
	for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
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
	const uint64_t loaded = log_spool_count_lines(lines, size);
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

static void test_foreign_files(void **state)
{
	(void)state;
	unsigned numbers[4];
	char path[400];
	struct log_spool *spool = open_spool();
	put_numbers(spool, 0, 2);
	log_spool_close(spool);
	snprintf(path, sizeof(path), "%s/00000000000000000007.spool", folder);
	assert_return_code(mkdir(path, 0700), errno);
	snprintf(path, sizeof(path), "%s/00000000000000000008.spool", folder);
	assert_return_code(symlink("/etc/passwd", path), errno);
	snprintf(path, sizeof(path), "%s/00000000000000000009.spool", folder);
	assert_return_code(mkfifo(path, 0600), errno);
	snprintf(path, sizeof(path), "%s/notes.txt", folder);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	spool = open_spool();
	put_numbers(spool, 2, 2);
	assert_int_equal(drain(spool, numbers, 4), 4);
	assert_int_equal(numbers[3], 3);
	assert_adds_up(spool);
	log_spool_close(spool);
	assert_return_code(access(path, F_OK), errno);
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, each_setup, each_teardown)

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
		TEST(test_foreign_files),
		TEST(test_account_is_garbage),
		TEST(test_killed),
		TEST(test_file_limit),
		TEST(test_full_disk),
	};
	return cmocka_run_group_tests_name("log_spool", tests, NULL, NULL);
}
