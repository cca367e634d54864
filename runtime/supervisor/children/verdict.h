/*
 * verdict.h - a host has died: which command is to blame.
 *
 * Happy path: the board holds a crash record, and the command in the slot that it names is to blame. So is one that was past its deadline. The board
 * gets a mark for it, and nobody else is touched. Where the crash was outside of a handler no command is to blame.
 * A host that left no record (kill -9, out of memory, _exit()) blames a command only where that ran alone. Every other command that ran was near:
 * the board counts for each at how many such deaths in a row it was. What was found goes into the figures and into the log as well.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct board;

struct verdict {
	bool exited;	  /* by itself, not by a signal */
	int code;	  /* the exit code, or the signal */
	unsigned blamed;  /* commands that are to blame */
	unsigned near;	  /* commands that ran, and of which none is known to be to blame */
	unsigned crashes; /* of the one to blame that has the most */
	bool hung;	  /* one of them was past its deadline */
};

/* wait_status: of waitpid(). now_ms: monotonic. All threads of the host are gone. */
struct verdict verdict_reach(struct board *board, pid_t pid, int wait_status, int64_t now_ms);

/* The backtrace that backtrace_symbols_fd() wrote, as one short line: "program(+0x12f0)
 * libc.so.6(abort+0xd3)". */
void verdict_shorten_backtrace(const char *raw, size_t raw_size, char *ret, size_t ret_size);

#endif
