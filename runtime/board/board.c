/*
 * board.c - see board.h. The memory is a memfd of fixed size, sealed so that neither side can pull it from
 * under the other, and what a dying thread writes through the descriptor cannot make it grow.
 */
#include "board.h"

#include "clock.h"
#include "random.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, STATE_BITS = 2, STATE_MASK = 3 };

_Static_assert(offsetof(struct board, backtrace) + BOARD_BACKTRACE_SIZE == sizeof(struct board) ||
		       sizeof(struct board) - offsetof(struct board, backtrace) - BOARD_BACKTRACE_SIZE < 64,
	"the backtrace is the board's end");

/* ---- Life ---- */

static int map(int fd, struct board **ret)
{
	void *memory = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	*ret = memory;
	return 0;
}

static void name_owner(char ret[static BOARD_OWNER_SIZE])
{
	unsigned char bytes[(BOARD_OWNER_SIZE - 1) / 2];
	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", (unsigned)bytes[i]);
}

int board_new(struct board **ret, int *ret_fd)
{
	struct board *board = NULL;
	const int fd = memfd_create("cashewd-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int error =
		ftruncate(fd, sizeof(struct board)) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0 ? -errno : 0;
	if (error == 0)
		error = map(fd, &board);
	if (error != 0) {
		close(fd);
		return error;
	}
	name_owner(board->owner);
	board->supervisor = getpid();
	*ret = board;
	*ret_fd = fd;
	return 0;
}

int board_map(int fd, struct board **ret)
{
	struct stat status;
	if (fstat(fd, &status) != 0)
		return -errno;
	if (status.st_size != (off_t)sizeof(struct board) || fcntl(fd, F_GET_SEALS) != SEALS)
		return -EINVAL;
	return map(fd, ret);
}

void board_unmap(struct board *board)
{
	if (board)
		munmap(board, sizeof(*board));
}

void board_clear_host(struct board *board)
{
	for (unsigned i = 0; i < board_slots_used(board); i++)
		atomic_store(&board->slots[i].state, 0);
	if (board->crash.claimed != 0)
		memset(board->backtrace, 0, sizeof(board->backtrace));
	board->crash.slot = -1;
	board->crash.number = 0;
	board->crash.address = 0;
	board->crash.kind = BOARD_CRASH_NONE;
	board->crash.claimed = 0;
	board->host_up = 0;
	board->store_seen_ms = 0;
	board->store_back_ms = 0;
	board->released = 0;
	figures_clear_host(&board->figures);
}

void board_note_trial(struct board *board, const char *reason)
{
	if (board->trial[0] == '\0')
		snprintf(board->trial, sizeof(board->trial), "%s", reason);
}

/* ---- Counters ---- */

void board_count_command(struct board *board, unsigned end)
{
	struct board_account *account = &board->account;
	_Atomic uint64_t *const counters[FIGURES_ENDS] = {
		&account->done, &account->rejected, &account->dead, &account->parked};
	if (end >= FIGURES_ENDS)
		abort();
	board_count(counters[end], 1);
}

/* ---- Slots ---- */

static void copy(char *to, size_t room, const char *from)
{
	const size_t size = strnlen(from, room - 1);
	memcpy(to, from, size);
	to[size] = '\0';
}

void board_slot_enter(struct board_slot *slot, const struct board_entry *entry)
{
	static _Thread_local int32_t tid;
	if (tid == 0)
		tid = gettid();
	struct board_run *run = &slot->run;
	copy(run->handler, sizeof(run->handler), entry->handler);
	copy(run->topic, sizeof(run->topic), entry->topic);
	run->fingerprint = entry->fingerprint;
	run->identity = entry->identity;
	run->started_ms = clock_ms();
	run->deadline_ms = entry->deadline_ms;
	run->attempt = entry->attempt;
	run->crashes = entry->crashes;
	run->tid = tid;
	__atomic_store_n(&run->alone, entry->alone, __ATOMIC_RELAXED);
	const uint64_t number = atomic_load_explicit(&slot->state, memory_order_relaxed) >> STATE_BITS;
	atomic_store_explicit(
		&slot->state, (number + 1) << STATE_BITS | BOARD_SLOT_RUNNING, memory_order_release);
}

void board_slot_leave(struct board_slot *slot)
{
	uint64_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
	if ((state & STATE_MASK) == BOARD_SLOT_RUNNING &&
		atomic_compare_exchange_strong(
			&slot->state, &state, (state & ~(uint64_t)STATE_MASK) | BOARD_SLOT_IDLE))
		return;
	if ((state & STATE_MASK) != BOARD_SLOT_OVERDUE)
		abort();
	/* The signal that ends this process is on its way, and must find the handler that it is for. */
	for (;;)
		pause();
}

void board_not_alone(struct board *board)
{
	for (unsigned i = 0; i < board_slots_used(board); i++)
		if (board_slot_state(&board->slots[i]) != BOARD_SLOT_IDLE)
			__atomic_store_n(&board->slots[i].run.alone, false, __ATOMIC_RELAXED);
}

bool board_slot_read(const struct board_slot *slot, struct board_run *ret)
{
	const uint64_t before = atomic_load_explicit(&slot->state, memory_order_acquire);
	if ((before & STATE_MASK) == BOARD_SLOT_IDLE)
		return false;
	struct board_run run = slot->run;
	atomic_thread_fence(memory_order_acquire);
	const uint64_t after = atomic_load_explicit(&slot->state, memory_order_relaxed);
	if (after >> STATE_BITS != before >> STATE_BITS || (after & STATE_MASK) == BOARD_SLOT_IDLE)
		return false;
	run.handler[sizeof(run.handler) - 1] = '\0';
	run.topic[sizeof(run.topic) - 1] = '\0';
	*ret = run;
	return true;
}

bool board_slot_expire(struct board_slot *slot, int64_t now_ms, int64_t since_ms, bool *ret_first)
{
	uint64_t state = atomic_load_explicit(&slot->state, memory_order_acquire);
	*ret_first = false;
	if ((state & STATE_MASK) == BOARD_SLOT_OVERDUE)
		return true;
	if ((state & STATE_MASK) != BOARD_SLOT_RUNNING)
		return false;
	/* It may be another run's by now: then the exchange fails. */
	const int64_t started_ms = __atomic_load_n(&slot->run.started_ms, __ATOMIC_RELAXED);
	const int64_t deadline_ms = __atomic_load_n(&slot->run.deadline_ms, __ATOMIC_RELAXED);
	const int64_t from_ms = started_ms > since_ms ? started_ms : since_ms;
	if (now_ms - from_ms <= deadline_ms)
		return false;
	*ret_first = atomic_compare_exchange_strong(
		&slot->state, &state, (state & ~(uint64_t)STATE_MASK) | BOARD_SLOT_OVERDUE);
	return *ret_first;
}

/* ---- Marks ---- */

/* The number of entries. The descriptor's other side has written it. */
static unsigned count_of(const _Atomic unsigned *count, unsigned most)
{
	const unsigned used = atomic_load_explicit(count, memory_order_acquire);
	if (used > most)
		abort();
	return used;
}

static struct board_mark *find_mark(struct board *board, uint64_t fingerprint)
{
	const unsigned count = count_of(&board->mark_count, BOARD_MARKS);
	for (unsigned i = 0; i < count; i++)
		if (board->marks[i].fingerprint == fingerprint)
			return &board->marks[i];
	return NULL;
}

const struct board_mark *board_mark_find(const struct board *board, uint64_t fingerprint)
{
	return board_marks_any(board) ? find_mark((struct board *)(uintptr_t)board, fingerprint) : NULL;
}

static void remove_mark(struct board *board, struct board_mark *mark)
{
	const unsigned last = board->mark_count - 1;
	*mark = board->marks[last];
	atomic_store_explicit(&board->mark_count, last, memory_order_release);
}

static struct board_mark *oldest_mark(struct board *board)
{
	struct board_mark *found = &board->marks[0];
	for (unsigned i = 1; i < board->mark_count; i++)
		if (board->marks[i].since_ms < found->since_ms)
			found = &board->marks[i];
	return found;
}

/* The mark of that command, a new one where it has none. */
static struct board_mark *make_mark(struct board *board, uint64_t fingerprint)
{
	struct board_mark *mark = find_mark(board, fingerprint);
	if (mark)
		return mark;
	if (board->mark_count == BOARD_MARKS)
		remove_mark(board, oldest_mark(board));
	mark = &board->marks[board->mark_count];
	*mark = (struct board_mark){.fingerprint = fingerprint};
	atomic_fetch_add(&board->mark_count, 1);
	return mark;
}

void board_mark_clear(struct board *board, uint64_t fingerprint)
{
	struct board_mark *mark = board_marks_any(board) ? find_mark(board, fingerprint) : NULL;
	if (mark && mark->buried_until_ms == 0)
		remove_mark(board, mark);
}

void board_mark_buried(struct board *board, uint64_t fingerprint, int64_t now_ms)
{
	struct board_mark *mark = make_mark(board, fingerprint);
	mark->since_ms = now_ms;
	mark->buried_until_ms = now_ms + BOARD_BURIED_MS;
}

void board_mark_unbury(struct board *board, uint64_t fingerprint)
{
	struct board_mark *mark = board_marks_any(board) ? find_mark(board, fingerprint) : NULL;
	if (mark && mark->buried_until_ms != 0)
		remove_mark(board, mark);
}

unsigned board_mark_add(
	struct board *board, const struct board_run *run, const char *what, bool silent, int64_t now_ms)
{
	struct board_mark *mark = make_mark(board, run->fingerprint);
	/* What was buried long ago is another command's history. */
	if (mark->buried_until_ms != 0 && !board_mark_is_buried(mark, now_ms))
		*mark = (struct board_mark){.fingerprint = run->fingerprint};
	copy(mark->handler, sizeof(mark->handler), run->handler);
	copy(mark->what, sizeof(mark->what), what);
	mark->since_ms = now_ms;
	mark->silent = silent;
	mark->crashes = (mark->crashes > run->crashes ? mark->crashes : run->crashes) + 1;
	return mark->crashes;
}

/* ---- Near ---- */

static struct board_near *find_near(struct board *board, uint64_t identity)
{
	const unsigned count = count_of(&board->near_count, BOARD_NEAR);
	for (unsigned i = 0; i < count; i++)
		if (board->near[i].identity == identity)
			return &board->near[i];
	return NULL;
}

unsigned board_near_deaths(const struct board *board, uint64_t identity)
{
	const struct board_near *near =
		board_near_any(board) ? find_near((struct board *)(uintptr_t)board, identity) : NULL;
	return near ? near->deaths : 0;
}

static void remove_near(struct board *board, struct board_near *near)
{
	const unsigned last = board->near_count - 1;
	*near = board->near[last];
	atomic_store_explicit(&board->near_count, last, memory_order_release);
}

void board_near_remove(struct board *board, uint64_t identity)
{
	struct board_near *near = find_near(board, identity);
	if (near)
		remove_near(board, near);
}

static struct board_near *oldest_near(struct board *board)
{
	struct board_near *found = &board->near[0];
	for (unsigned i = 1; i < board->near_count; i++)
		if (board->near[i].since_ms < found->since_ms)
			found = &board->near[i];
	return found;
}

unsigned board_near_add(struct board *board, uint64_t identity, int64_t now_ms)
{
	struct board_near *near = find_near(board, identity);
	if (!near) {
		if (board->near_count == BOARD_NEAR)
			remove_near(board, oldest_near(board));
		near = &board->near[board->near_count];
		*near = (struct board_near){.identity = identity};
		atomic_fetch_add(&board->near_count, 1);
	}
	near->since_ms = now_ms;
	return ++near->deaths;
}

/* ---- Both tables ---- */

void board_forget(struct board *board, int64_t before_ms, int64_t now_ms)
{
	for (unsigned i = board->mark_count; i-- > 0;) {
		struct board_mark *mark = &board->marks[i];
		const bool over = mark->buried_until_ms != 0 ? !board_mark_is_buried(mark, now_ms)
							     : mark->since_ms < before_ms;
		if (over)
			remove_mark(board, mark);
	}
	for (unsigned i = board->near_count; i-- > 0;)
		if (board->near[i].since_ms < before_ms)
			remove_near(board, &board->near[i]);
}
