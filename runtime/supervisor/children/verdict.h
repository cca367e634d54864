/*
 * verdict.h - a host has died: which command is to blame.
 *
 * Read from the board: a slot that the dying thread marked, or that was past its deadline, is to blame. A
 * host that left no mark (kill -9, out of memory, _exit()) makes all commands that ran suspects, and only one
 * that ran alone is blamed. Marked outside of a handler: none is. What is found goes into the table of
 * suspects, into the figures and into the log.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct board;

struct verdict {
	bool exited;	   /* by itself, not by a signal */
	int code;	   /* the exit code, or the signal */
	unsigned blamed;   /* commands that are to blame */
	unsigned suspects; /* commands that may be */
	unsigned crashes;  /* of the one of those with the most */
	bool hung;	   /* one of them was past its deadline */
};

/* wait_status: of waitpid(). All threads of the host are gone. */
struct verdict verdict_reach(struct board *board, pid_t pid, int wait_status);

/* The backtrace that backtrace_symbols_fd() wrote, as one short line: "program(+0x12f0)
 * libc.so.6(abort+0xd3)". */
void verdict_shorten_backtrace(const char *raw, size_t raw_size, char *ret, size_t ret_size);

#endif
