/*
 * log_spool.c - see log_spool.h.
 *
 * The folder holds: lock, whose lock the process holds that uses the spool; account; segments named
 * NUMBER.spool and what was set aside as NUMBER.aside, all from one sequence of numbers. Segments are kept in
 * a table in memory, oldest first. Every write is one writev() or write() to the end of a file; a part of it
 * that was written before a failure is cut off again.
 */
#include "log_spool.h"

#include "log_spool_file.h"
#include "log_spool_lines.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define ACCOUNT_MAGIC 0x31746e756f636361U /* "account1" */

enum {
	ASIDE_SHARE = 4, /* what was set aside may take a quarter of the limit */
};

struct segment {
	uint64_t number;
	uint64_t size; /* of the file */
	uint64_t events;
};

/* Files of one kind, oldest first. */
struct segments {
	const char *suffix;
	struct segment *list;
	size_t count, capacity;
	uint64_t size;
	int fd; /* of the last one, which is being added to; -1: the next event begins a new one */
	_Atomic uint64_t *events; /* of the account */
};

struct log_spool {
	int folder, lock;
	uint64_t limit;
	size_t segment_size;
	uint64_t next_number;
	struct segments waiting, aside;
	bool loaded; /* the first of those waiting */
	struct log_account *account;
};

static void add(_Atomic uint64_t *number, uint64_t count)
{
	atomic_fetch_add_explicit(number, count, memory_order_relaxed);
}

static void subtract(_Atomic uint64_t *number, uint64_t count)
{
	atomic_fetch_sub_explicit(number, count, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

/* ---- The table ---- */

static int table_add(struct segments *segments, struct segment segment)
{
	if (segments->count == segments->capacity) {
		const size_t capacity = segments->capacity > 0 ? 2 * segments->capacity : 16;
		struct segment *list = reallocarray(segments->list, capacity, sizeof(list[0]));
		if (!list)
			return -ENOMEM;
		segments->list = list;
		segments->capacity = capacity;
	}
	size_t at = segments->count++;
	for (; at > 0 && segments->list[at - 1].number > segment.number; at--)
		segments->list[at] = segments->list[at - 1];
	segments->list[at] = segment;
	segments->size += segment.size;
	return 0;
}

static void stop_adding(struct segments *segments)
{
	/* A kill does not touch what was written; this is for a machine that stops. */
	if (segments->fd >= 0) {
		(void)fdatasync(segments->fd);
		close(segments->fd);
	}
	segments->fd = -1;
}

/* Deletes the file and forgets it; its events leave the account's number of those on disk. */
static uint64_t table_remove(struct log_spool *spool, struct segments *segments, size_t at)
{
	char name[LOG_SPOOL_FILE_NAME_SIZE];
	const struct segment segment = segments->list[at];
	if (at == segments->count - 1)
		stop_adding(segments);
	log_spool_file_name(segments->suffix, segment.number, name);
	(void)unlinkat(spool->folder, name, 0);
	segments->count--;
	memmove(&segments->list[at], &segments->list[at + 1],
		(segments->count - at) * sizeof(segments->list[0]));
	segments->size -= segment.size;
	subtract(segments->events, segment.events);
	return segment.events;
}

/* Makes room for `more` bytes among files that may take `limit` together. */
static void drop_oldest(struct log_spool *spool, struct segments *segments, uint64_t limit, uint64_t more)
{
	const size_t first = segments == &spool->waiting && spool->loaded ? 1 : 0;
	while (segments->count > first && segments->size + more > limit)
		add(&spool->account->lost_spool, table_remove(spool, segments, first));
}

/* ---- Writing ---- */

static int begin_segment(struct log_spool *spool, struct segments *segments)
{
	char name[LOG_SPOOL_FILE_NAME_SIZE];
	if (spool->next_number > LOG_SPOOL_FILE_NUMBER_MAX)
		return -EOVERFLOW;
	log_spool_file_name(segments->suffix, spool->next_number, name);
	const int fd = openat(spool->folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	const int error = table_add(segments, (struct segment){.number = spool->next_number});
	if (error != 0) {
		close(fd);
		(void)unlinkat(spool->folder, name, 0);
		return error;
	}
	spool->next_number++;
	segments->fd = fd;
	return 0;
}

/* Adds bytes that hold so many events to the last file, or to a new one. */
static int append(struct log_spool *spool, struct segments *segments, uint64_t limit, const char *bytes,
	size_t size, uint64_t events)
{
	if (segments->fd >= 0 && segments->list[segments->count - 1].size + size > spool->segment_size)
		stop_adding(segments);
	drop_oldest(spool, segments, limit, size);
	int error = segments->fd < 0 ? begin_segment(spool, segments) : 0;
	if (error != 0)
		return error;
	struct segment *last = &segments->list[segments->count - 1];
	error = log_spool_file_write(segments->fd, last->size, bytes, size);
	if (error != 0) {
		if (last->size == 0)
			(void)table_remove(spool, segments, segments->count - 1);
		return error;
	}
	last->size += size;
	last->events += events;
	segments->size += size;
	add(segments->events, events);
	return 0;
}

static uint64_t waiting_limit(const struct log_spool *spool)
{
	return spool->limit - spool->limit / ASIDE_SHARE;
}

int log_spool_append(struct log_spool *spool, const char *lines, size_t size)
{
	const uint64_t events = log_spool_lines_count(lines, size);
	if (events == 0)
		return 0;
	char *bytes = malloc(size + events * LOG_SPOOL_LINES_MARK_SIZE);
	if (!bytes)
		return -ENOMEM;
	const size_t used = log_spool_lines_mark(lines, size, bytes);
	const int error = append(spool, &spool->waiting, waiting_limit(spool), bytes, used, events);
	free(bytes);
	return error;
}

int log_spool_set_aside(struct log_spool *spool, const char *lines, size_t size)
{
	return append(spool, &spool->aside, spool->limit - waiting_limit(spool), lines, size,
		log_spool_lines_count(lines, size));
}

/* ---- Reading ---- */

int log_spool_load(struct log_spool *spool, char **ret_lines, size_t *ret_size)
{
	while (spool->waiting.count > 0) {
		char name[LOG_SPOOL_FILE_NAME_SIZE], *bytes = NULL;
		struct segment *oldest = &spool->waiting.list[0];
		size_t size = 0;
		uint64_t events = 0;
		log_spool_file_name(spool->waiting.suffix, oldest->number, name);
		const int error = log_spool_file_read(spool->folder, name, &bytes, &size);
		if (error == -ENOMEM || error == -EMFILE || error == -ENFILE)
			return error;
		if (error == 0)
			size = log_spool_lines_check(bytes, size, &events);
		/* What was counted when it was written or found, and is not there any more. */
		const uint64_t missing = oldest->events > events ? oldest->events - events : 0;
		oldest->events -= missing;
		subtract(&spool->account->spooled, missing);
		add(&spool->account->lost_disk, missing);
		if (oldest->events > 0) {
			if (spool->waiting.count == 1)
				stop_adding(&spool->waiting);
			spool->loaded = true;
			*ret_lines = bytes;
			*ret_size = size;
			return 0;
		}
		free(bytes);
		(void)table_remove(spool, &spool->waiting, 0);
	}
	return LOG_SPOOL_E_EMPTY;
}

void log_spool_remove(struct log_spool *spool)
{
	if (spool->loaded)
		(void)table_remove(spool, &spool->waiting, 0);
	spool->loaded = false;
}

void log_spool_unload(struct log_spool *spool)
{
	spool->loaded = false;
}

bool log_spool_is_empty(const struct log_spool *spool)
{
	return spool->waiting.count == 0;
}

uint64_t log_spool_bytes(const struct log_spool *spool)
{
	return spool->waiting.size + spool->aside.size;
}

struct log_account *log_spool_account(struct log_spool *spool)
{
	return spool->account;
}

/* ---- Opening ---- */

static int take_lock(struct log_spool *spool)
{
	spool->lock = openat(spool->folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (spool->lock < 0)
		return -errno;
	if (!log_spool_file_is_own(spool->lock))
		return LOG_SPOOL_E_FOREIGN;
	if (flock(spool->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? LOG_SPOOL_E_LOCKED : -errno;
}

static int map_account(struct log_spool *spool)
{
	const int fd = openat(spool->folder, "account", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (!log_spool_file_is_own(fd)) {
		close(fd);
		return LOG_SPOOL_E_FOREIGN;
	}
	/* Its place on disk is taken now: writing to a mapped page without one would be a signal. */
	const int error = posix_fallocate(fd, 0, sizeof(struct log_account));
	void *map =
		error == 0 ? mmap(NULL, sizeof(struct log_account), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
			   : MAP_FAILED;
	const int result = error != 0 ? -error : map == MAP_FAILED ? -errno : 0;
	close(fd);
	if (result != 0)
		return result;
	spool->account = map;
	if (get(&spool->account->magic) != ACCOUNT_MAGIC)
		*spool->account = (struct log_account){.magic = ACCOUNT_MAGIC};
	return 0;
}

/* Takes a file of an earlier process into the table: 0 or a negative errno. */
static int find_segment(struct log_spool *spool, struct segments *segments, const char *name, uint64_t number)
{
	char *bytes = NULL;
	size_t size = 0;
	struct segment segment = {.number = number};
	const int error = log_spool_file_read(spool->folder, name, &bytes, &size);
	if (error == -ENOMEM)
		return error;
	segment.size = size;
	if (error == 0 && segments == &spool->waiting)
		(void)log_spool_lines_check(bytes, size, &segment.events);
	else if (error == 0)
		segment.events = log_spool_lines_count(bytes, size);
	free(bytes);
	/* Nothing in it, a line that was torn at most; or unreadable, and then not ours to delete. */
	if (segment.events == 0) {
		if (error == 0)
			(void)unlinkat(spool->folder, name, 0);
		return 0;
	}
	add(segments->events, segment.events);
	return table_add(segments, segment);
}

static int find_segments(struct log_spool *spool)
{
	const int fd = openat(spool->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	if (!folder) {
		const int error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	int error = 0;
	for (const struct dirent *entry; error == 0 && (entry = readdir(folder));) {
		uint64_t number;
		const char *suffix = log_spool_file_number(entry->d_name, &number);
		if (!suffix)
			continue;
		if (number >= spool->next_number)
			spool->next_number = number + 1;
		if (strcmp(suffix, spool->waiting.suffix) == 0)
			error = find_segment(spool, &spool->waiting, entry->d_name, number);
		else if (strcmp(suffix, spool->aside.suffix) == 0)
			error = find_segment(spool, &spool->aside, entry->d_name, number);
	}
	closedir(folder);
	return error;
}

/* What the account knows of and is not there was in memory when the process was killed, or torn. What is
 * there and the account does not know of was logged before there was this account. */
static void settle_account(struct log_account *account)
{
	const uint64_t known = get(&account->shipped) + get(&account->spooled) + get(&account->aside) +
			       get(&account->lost_memory) + get(&account->lost_spool) +
			       get(&account->lost_disk) + get(&account->lost_killed);
	const uint64_t emitted = get(&account->emitted);
	if (emitted > known)
		add(&account->lost_killed, emitted - known);
	else
		add(&account->emitted, known - emitted);
}

int log_spool_open(const struct log_spool_options *options, struct log_spool **ret)
{
	struct log_spool *spool = calloc(1, sizeof(*spool));
	if (!spool)
		return -ENOMEM;
	spool->folder = spool->lock = spool->waiting.fd = spool->aside.fd = -1;
	spool->waiting.suffix = ".spool";
	spool->aside.suffix = ".aside";
	spool->limit = options->limit;
	spool->segment_size = options->segment_size;
	spool->next_number = 1;
	int error = log_spool_file_open_folder(options->folder, &spool->folder);
	if (error == 0)
		error = take_lock(spool);
	if (error == 0)
		error = map_account(spool);
	if (error == 0) {
		spool->waiting.events = &spool->account->spooled;
		spool->aside.events = &spool->account->aside;
		*spool->waiting.events = *spool->aside.events = 0;
		error = find_segments(spool);
	}
	if (error != 0) {
		log_spool_close(spool);
		return error;
	}
	settle_account(spool->account);
	*ret = spool;
	return 0;
}

void log_spool_close(struct log_spool *spool)
{
	if (!spool)
		return;
	stop_adding(&spool->waiting);
	stop_adding(&spool->aside);
	if (spool->account)
		munmap(spool->account, sizeof(*spool->account));
	if (spool->lock >= 0)
		close(spool->lock);
	if (spool->folder >= 0)
		close(spool->folder);
	free(spool->waiting.list);
	free(spool->aside.list);
	free(spool);
}
