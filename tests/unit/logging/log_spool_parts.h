/*
 * log_spool_parts.h - a spool in a folder of its own for each case, and what goes in and comes out.
 *
 * Include it in one source file.
 */
#ifndef LOG_SPOOL_PARTS_H
#define LOG_SPOOL_PARTS_H

#include "log_spool.h"
#include "log_spool_lines.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
	log_spool_account(spool)->emitted += log_spool_lines_count(lines, strlen(lines));
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
		log_spool_account(spool)->shipped += log_spool_lines_count(lines, size);
		lines[size] = '\0'; /* there is a byte more */
		for (char *rest = lines, *line; (line = strsep(&rest, "\n")) && *line != '\0';) {
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
static inline bool find_file(const char *suffix, bool last, char *ret, size_t size)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, each_setup, each_teardown)

#endif
