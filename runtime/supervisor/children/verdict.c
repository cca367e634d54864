/*
 * verdict.c - see verdict.h.
 */
#include "verdict.h"

#include "board.h"
#include "log.h"
#include "topic.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { BACKTRACE_TEXT_SIZE = 1000, ADDRESS_SIZE = 24 };

static void name_signal(int number, char ret[static BOARD_WHAT_SIZE])
{
	const char *name = sigabbrev_np(number);
	if (name)
		snprintf(ret, BOARD_WHAT_SIZE, "SIG%s", name);
	else
		snprintf(ret, BOARD_WHAT_SIZE, "signal %d", number);
}

static void name_death(const struct verdict *verdict, char ret[static BOARD_WHAT_SIZE])
{
	if (verdict->exited)
		snprintf(ret, BOARD_WHAT_SIZE, "exit code %d", verdict->code);
	else
		name_signal(verdict->code, ret);
}

/* Finds "object(symbol+offset)" in a line "path/object(symbol+offset)[address]". */
static const char *find_frame(const char *line, size_t size, size_t *ret_size)
{
	const char *bracket = memchr(line, '[', size);
	const char *end = bracket ? bracket : line + size;
	const char *open = memchr(line, '(', (size_t)(end - line));
	const char *slash = memrchr(line, '/', (size_t)((open ? open : end) - line));
	const char *begin = slash ? slash + 1 : line;
	*ret_size = (size_t)(end - begin);
	return begin;
}

void verdict_shorten_backtrace(const char *raw, size_t raw_size, char *ret, size_t ret_size)
{
	const char *end_of_all = raw + strnlen(raw, raw_size);
	size_t used = 0;
	ret[0] = '\0';
	/* A line without its end did not fit any more. */
	for (const char *line = raw, *end; (end = memchr(line, '\n', (size_t)(end_of_all - line)));
		line = end + 1) {
		size_t size;
		const char *frame = find_frame(line, (size_t)(end - line), &size);
		if (size == 0)
			continue;
		if (used + size + 2 > ret_size)
			break;
		if (used > 0)
			ret[used++] = ' ';
		memcpy(ret + used, frame, size);
		used += size;
		ret[used] = '\0';
	}
}

/* What the board knows of the death, as fields of the log. */
struct trace {
	char text[BACKTRACE_TEXT_SIZE];
	char address[ADDRESS_SIZE];
};

static void read_trace(const struct board *board, struct trace *ret)
{
	*ret = (struct trace){.text = ""};
	if (board->crash.kind == BOARD_CRASH_NONE)
		return;
	verdict_shorten_backtrace(board->backtrace, sizeof(board->backtrace), ret->text, sizeof(ret->text));
	if (board->crash.address != 0)
		snprintf(ret->address, sizeof(ret->address), "0x%llx",
			(unsigned long long)board->crash.address);
}

static const char *or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void log_blamed(
	const struct board_run *run, bool hung, const char *what, unsigned crashes, const struct trace *trace)
{
	char user[BOARD_TOPIC_SIZE];
	snprintf(user, sizeof(user), "%.*s", (int)topic_user_size(run->topic), run->topic);
	LOG_EVENT(LOG_LEVEL_ERROR, hung ? "handler_hung" : "handler_crashed",
		hung ? "a handler ran past its deadline and was ended, with its host"
		     : "a handler crashed its host",
		LOG_TEXT("handler", run->handler), LOG_TEXT("topic", run->topic), LOG_TEXT("user", user),
		LOG_INT("attempt", run->attempt), LOG_TEXT("what", what), LOG_INT("crashes", crashes),
		LOG_TEXT("address", trace ? or_null(trace->address) : NULL),
		LOG_TEXT("backtrace", trace ? or_null(trace->text) : NULL));
}

static void count_blamed(struct figures *figures, const char *handler, bool hung)
{
	const int place = figures_handler_find(figures, handler);
	if (place >= 0)
		figures_add(hung ? &figures->handlers[place].hung : &figures->handlers[place].crashed, 1);
}

/* A death of which the verdict is reached. */
struct death {
	struct board *board;
	int64_t now_ms;
	struct verdict verdict;
};

/* That run is to blame. trace: NULL where it left none. */
static void blame(
	struct death *death, const struct board_slot *slot, const char *what, const struct trace *trace)
{
	const struct board_run *run = &slot->run;
	const bool hung = board_slot_state(slot) == BOARD_SLOT_OVERDUE;
	const bool silent = !hung && !trace;
	const unsigned crashes = board_mark_add(death->board, run, what, silent, death->now_ms);
	/* What it was near to is known now. */
	board_near_forget(death->board, run->identity);
	log_blamed(run, hung, what, crashes, trace);
	count_blamed(&death->board->figures, run->handler, hung);
	struct verdict *verdict = &death->verdict;
	verdict->hung = verdict->hung || hung;
	verdict->blamed++;
	verdict->crashes = crashes > verdict->crashes ? crashes : verdict->crashes;
}

static void name_crash(const struct board_crash *crash, char ret[static BOARD_WHAT_SIZE])
{
	if (crash->kind == BOARD_CRASH_EXIT)
		snprintf(ret, BOARD_WHAT_SIZE, "exit(%d)", crash->number);
	else
		name_signal(crash->number, ret);
}

/* Those that left a mark, or were past their deadline. */
static void blame_marked(struct death *death, const struct trace *trace)
{
	const struct board *board = death->board;
	char what[BOARD_WHAT_SIZE];
	name_crash(&board->crash, what);
	for (int i = 0; i < (int)board_slots_used(board); i++) {
		const struct board_slot *slot = &board->slots[i];
		const bool marked = board->crash.kind != BOARD_CRASH_NONE && board->crash.slot == i;
		if (board_slot_state(slot) == BOARD_SLOT_OVERDUE)
			blame(death, slot, "hung", marked ? trace : NULL);
		else if (marked)
			blame(death, slot, what, trace);
	}
}

/* Nothing tells why it died: what ran alone is to blame, and all else that ran was near. */
static void count_near(struct death *death)
{
	struct board *board = death->board;
	char what[BOARD_WHAT_SIZE];
	name_death(&death->verdict, what);
	for (unsigned i = 0; i < board_slots_used(board); i++) {
		const struct board_slot *slot = &board->slots[i];
		if (board_slot_state(slot) == BOARD_SLOT_IDLE)
			continue;
		if (slot->run.alone) {
			blame(death, slot, what, NULL);
		} else {
			(void)board_near_add(board, slot->run.identity, death->now_ms);
			death->verdict.near++;
		}
	}
}

struct verdict verdict_reach(struct board *board, pid_t pid, int wait_status, int64_t now_ms)
{
	struct death death = {
		.board = board, .now_ms = now_ms, .verdict = {.exited = WIFEXITED(wait_status)}};
	struct verdict *verdict = &death.verdict;
	verdict->code = verdict->exited ? WEXITSTATUS(wait_status) : WTERMSIG(wait_status);
	const bool marked = board->crash.kind != BOARD_CRASH_NONE;
	char how[BOARD_WHAT_SIZE];
	struct trace trace;
	read_trace(board, &trace);
	name_death(verdict, how);
	blame_marked(&death, &trace);
	if (verdict->blamed == 0 && !marked)
		count_near(&death);
	struct figures_hosts *hosts = &board->figures.hosts;
	figures_add(verdict->hung ? &hosts->hung : marked ? &hosts->crashed : &hosts->killed, 1);
	const bool outside = marked && verdict->blamed == 0;
	log_error("host_died", "the host died: what it had not acknowledged comes again", LOG_INT("pid", pid),
		LOG_TEXT("how", how), LOG_INT("code", verdict->code), LOG_INT("blamed", verdict->blamed),
		LOG_INT("near", verdict->near), LOG_TEXT("address", outside ? or_null(trace.address) : NULL),
		LOG_TEXT("backtrace", outside ? or_null(trace.text) : NULL));
	return *verdict;
}
