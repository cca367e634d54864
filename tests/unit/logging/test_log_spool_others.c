/* Tests of log_spool.c: what is in its folder that is not its own, and who else may write there. */
#include "log_spool.h"
#include "log_spool_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

/* Names that the spool never makes: their numbers count for nothing, and the files stay. */
static void test_names_that_are_not_ours(void **state)
{
	(void)state;
	static const char *const names[] = {"18446744073709551615.spool", "9223372036854775808.spool",
		"09223372036854775808.spool", "5.spool", "05.aside", "000000000000000000005.spool",
		"99999999999999999999.spool", "0000000000000000000x.spool", "18446744073709551615.aside"};
	unsigned numbers[4];
	char path[400], line[64];
	struct log_spool *spool = open_spool();
	put_numbers(spool, 0, 1);
	log_spool_close(spool);
	/* With a line that would count. */
	assert_true(find_file(".spool", true, path, sizeof(path)));
	const int first = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t size = read(first, line, sizeof(line));
	close(first);
	assert_true(size > 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		assert_return_code(fd, errno);
		assert_int_equal(write(fd, line, (size_t)size), size);
		close(fd);
	}
	for (unsigned round = 0; round < 2; round++) {
		spool = open_spool();
		assert_int_equal(log_spool_account(spool)->spooled, round == 0 ? 1 : 2);
		assert_int_equal(log_spool_account(spool)->lost_disk, 0);
		if (round == 0)
			put_numbers(spool, 1, 1);
		else
			assert_int_equal(drain(spool, numbers, 4), 2);
		assert_adds_up(spool);
		log_spool_close(spool);
	}
	assert_int_equal(numbers[0], 0);
	assert_int_equal(numbers[1], 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		assert_return_code(access(path, F_OK), errno);
	}
}

static void own_folder(const char *path)
{
	assert_return_code(mkdir(path, 0700), errno);
}

static void linked_folder(const char *path)
{
	char target[400];
	snprintf(target, sizeof(target), "%s/target", base);
	own_folder(target);
	assert_return_code(symlink(target, path), errno);
}

static void shared_folder(const char *path)
{
	own_folder(path);
	assert_return_code(chmod(path, 0777), errno);
}

static void sticky_folder(const char *path)
{
	own_folder(path);
	assert_return_code(chmod(path, 01777), errno);
}

static void groups_folder(const char *path)
{
	own_folder(path);
	assert_return_code(chmod(path, 0770), errno);
}

static void foreign_folder(const char *path)
{
	own_folder(path);
	assert_return_code(chown(path, 65534, (gid_t)-1), errno);
}

static void make(const char *path, const char *name, mode_t mode, uid_t owner)
{
	char file[400];
	own_folder(path);
	snprintf(file, sizeof(file), "%s/%s", path, name);
	const int fd = open(file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	assert_return_code(ftruncate(fd, 4096), errno);
	assert_return_code(fchmod(fd, mode), errno);
	assert_return_code(fchown(fd, owner, (gid_t)-1), errno);
	close(fd);
}

static void foreign_account(const char *path)
{
	make(path, "account", 0600, 65534);
}

static void shared_account(const char *path)
{
	make(path, "account", 0666, geteuid());
}

static void foreign_lock(const char *path)
{
	make(path, "lock", 0600, 65534);
}

/* Who can cut the account while it is mapped ends the process by SIGBUS; who can put files there has events counted and deleted. */
static void test_what_others_can_change_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*make)(const char *path);
		bool needs_root;
		int error;
	} cases[] = {
		{"own", own_folder, false, 0},
		{"a link", linked_folder, false, LOG_SPOOL_E_FOREIGN},
		{"all can write", shared_folder, false, LOG_SPOOL_E_FOREIGN},
		{"all can write, sticky", sticky_folder, false, LOG_SPOOL_E_FOREIGN},
		{"its group can write", groups_folder, false, LOG_SPOOL_E_FOREIGN},
		{"another's", foreign_folder, true, LOG_SPOOL_E_FOREIGN},
		{"the account is another's", foreign_account, true, LOG_SPOOL_E_FOREIGN},
		{"all can write to the account", shared_account, false, LOG_SPOOL_E_FOREIGN},
		{"the lock is another's", foreign_lock, true, LOG_SPOOL_E_FOREIGN},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[256];
		struct log_spool *spool = NULL;
		if (cases[i].needs_root && geteuid() != 0)
			continue;
		print_message("  %s\n", cases[i].name);
		snprintf(path, sizeof(path), "%s/case-%zu", base, i);
		cases[i].make(path);
		assert_int_equal(log_spool_open(
					 &(struct log_spool_options){
						 .folder = path, .limit = LIMIT, .segment_size = SEGMENT},
					 &spool),
			cases[i].error);
		log_spool_close(spool);
	}
}

/* Another's lines are not shipped as ours, and another's file is not deleted. */
static void test_segments_of_others_stay(void **state)
{
	(void)state;
	static const char *const names[] = {
		"00000000000000000007.spool", "00000000000000000008.spool", "00000000000000000009.aside"};
	char path[400];
	if (geteuid() != 0)
		skip();
	log_spool_close(open_spool());
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		assert_return_code(fd, errno);
		/* No valid line, and one. */
		if (i > 0)
			assert_int_equal(write(fd, "{}\n", 3), 3);
		assert_return_code(fchown(fd, 65534, (gid_t)-1), errno);
		close(fd);
	}
	struct log_spool *spool = open_spool();
	assert_true(log_spool_is_empty(spool));
	assert_int_equal(log_spool_account(spool)->aside, 0);
	log_spool_close(spool);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		assert_return_code(access(path, F_OK), errno);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_foreign_files),
		TEST(test_names_that_are_not_ours),
		TEST(test_what_others_can_change_is_refused),
		TEST(test_segments_of_others_stay),
	};
	return cmocka_run_group_tests_name("log_spool_others", tests, NULL, NULL);
}
