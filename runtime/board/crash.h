/*
 * crash.h - the last words of a host whose handler crashes: which slot, which signal, where.
 *
 * Happy path: crash_watch() once, crash_thread_begin() in each thread that runs handlers. A thread dies of SIGSEGV, SIGBUS, SIGFPE, SIGILL or
 * SIGABRT (abort(); or the supervisor's signal, for a handler past its deadline), or a handler calls exit(). Then the thread writes the crash record
 * and a backtrace to the board, and the process dies of it as it would have. The first thread that dies is the one that is recorded.
 * Failure modes: what cannot be caught (SIGKILL, _exit()) leaves no record. Neither does a stack overflow in a thread that did not begin here.
 */
#ifndef CRASH_H
#define CRASH_H

struct board;
struct board_slot;

/* A thread's stack for signal handlers, as its own may have overflowed. */
struct crash_stack {
	void *memory; /* NULL: none of ours */
};

/* What is printed goes out line by line, and the beginning of a line when a thread crashes. Main thread, before anything is printed. 0 or -EINVAL. */
__attribute__((warn_unused_result)) int crash_keep_output(void);

/* Main thread, before there are others. fd: the board's; stays open. 0 or a negative errno. */
__attribute__((warn_unused_result)) int crash_watch(struct board *board, int fd);

/* The calling thread runs handlers, with that slot, from here on. slot NULL: nothing is watched. 0 or a
 * negative errno. */
__attribute__((warn_unused_result)) int crash_thread_begin(
	struct crash_stack *stack, const struct board_slot *slot);
void crash_thread_end(struct crash_stack *stack);

#endif
