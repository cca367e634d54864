/*
 * crash.c - see crash.h. What runs here after a crash calls only what is safe in a signal handler: backtrace() is, once it has loaded its library. The
 * backtrace begins where the signal struck, or where exit() was called, not with the frames of this file.
 */
#include "crash.h"

#include "board.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK_SIZE = 64 * 1024, FRAMES = 40, OUTPUT_SIZE = 4096 };

static const int watched[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { WATCHED = sizeof(watched) / sizeof(watched[0]) };

static struct {
	struct board *board;
	int fd;
	pid_t pid; /* a handler's forked child has the same memory, and no business with the board */
	struct sigaction before[WATCHED];
} state;

static _Thread_local const struct board_slot *own_slot;

/* Of standard output: whatever is in it begins at its beginning. */
static char output[OUTPUT_SIZE];
static bool keeps_output;

/* The slot of this thread if a handler runs in it; -1. */
static int running_slot(void)
{
	if (!own_slot || board_slot_state(own_slot) == BOARD_SLOT_IDLE)
		return -1;
	return (int)(own_slot - state.board->slots);
}

/* Where somebody was: what is to be the first frame of a backtrace, or, where that leads nowhere, who had called. NULL: not known. */
struct origin {
	void *frame, *caller;
};

static struct origin origin_of(const ucontext_t *context)
{
#if defined(__x86_64__)
	const greg_t *registers = context->uc_mcontext.gregs;
	struct origin origin = {.frame = (void *)(uintptr_t)registers[REG_RIP]};
	/* A function pointer that is NULL was called: the call has put the way back on the stack, and has done nothing else there. */
	if (!origin.frame)
		origin.caller = *(void **)(uintptr_t)registers[REG_RSP];
	return origin;
#elif defined(__aarch64__)
	struct origin origin = {.frame = (void *)(uintptr_t)context->uc_mcontext.pc};
	if (!origin.frame)
		origin.caller = (void *)(uintptr_t)context->uc_mcontext.regs[30];
	return origin;
#else
	(void)context;
	return (struct origin){.frame = NULL};
#endif
}

static void write_backtrace(struct origin origin)
{
	void *frames[FRAMES];
	const int count = backtrace(frames, FRAMES);
	int first = 0;
	if (lseek(state.fd, offsetof(struct board, backtrace), SEEK_SET) < 0)
		return;
	if (origin.caller) {
		backtrace_symbols_fd(&origin.caller, 1, state.fd);
		return;
	}
	while (first < count && frames[first] != origin.frame)
		first++;
	/* With the frames of this file rather than none. */
	if (first == count)
		first = 0;
	backtrace_symbols_fd(frames + first, count - first, state.fd);
}

/* Whether this thread is the one that is recorded. */
static bool claim(void)
{
	int nobody = 0;
	return atomic_compare_exchange_strong(&state.board->crash.claimed, &nobody, gettid());
}

/* What was printed and not yet handed on: the beginning of a line, which may be the last that a handler said. */
static void write_output(void)
{
	size_t size = __fpending(stdout);
	size = size < sizeof(output) ? size : sizeof(output);
	ssize_t written;
	for (size_t at = 0; keeps_output && at < size; at += (size_t)written) {
		written = write(STDOUT_FILENO, output + at, size - at);
		if (written <= 0)
			return;
	}
}

static void record(enum board_crash_kind kind, int number, uint64_t address, struct origin origin)
{
	struct board_crash *crash = &state.board->crash;
	crash->slot = running_slot();
	crash->number = number;
	crash->address = address;
	atomic_store(&crash->kind, kind);
	write_backtrace(origin);
	write_output();
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	if (getpid() == state.pid) {
		if (claim())
			record(BOARD_CRASH_SIGNAL, number,
				number == SIGABRT ? 0 : (uint64_t)(uintptr_t)info->si_addr,
				origin_of(context));
		else if (state.board->crash.claimed != gettid())
			/* Another thread dies already, and takes this one along. */
			for (;;)
				pause();
	}
	for (size_t i = 0; i < WATCHED; i++) {
		if (watched[i] == number)
			sigaction(number, &state.before[i], NULL);
	}
	/* Delivered when this returns, to what was there before us: the default, or a sanitizer's report. */
	raise(number);
}

static void on_exit_called(int code, void *argument)
{
	(void)argument;
	if (getpid() != state.pid || running_slot() < 0)
		return;
	if (!claim())
		for (;;)
			pause();
	record(BOARD_CRASH_EXIT, code, 0, (struct origin){.frame = __builtin_return_address(0)});
	_exit(code);
}

int crash_keep_output(void)
{
	keeps_output = setvbuf(stdout, output, _IOLBF, sizeof(output)) == 0;
	return keeps_output ? 0 : -EINVAL;
}

int crash_watch(struct board *board, int fd)
{
	void *frame;
	/* The first call loads a library, which a signal handler must not do. */
	(void)backtrace(&frame, 1);
	state.board = board;
	state.fd = fd;
	state.pid = getpid();
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < WATCHED; i++) {
		if (sigaction(watched[i], &action, &state.before[i]) != 0)
			return -errno;
	}
	return on_exit(on_exit_called, NULL) != 0 ? -ENOMEM : 0;
}

int crash_thread_begin(struct crash_stack *stack, const struct board_slot *slot)
{
	*stack = (struct crash_stack){.memory = NULL};
	own_slot = slot;
	stack_t there;
	/* A sanitizer gives each thread one of its own. */
	if (!slot || (sigaltstack(NULL, &there) == 0 && (there.ss_flags & SS_DISABLE) == 0))
		return 0;
	void *memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	if (sigaltstack(&(const stack_t){.ss_sp = memory, .ss_size = STACK_SIZE}, NULL) != 0) {
		munmap(memory, STACK_SIZE);
		return -errno;
	}
	stack->memory = memory;
	return 0;
}

void crash_thread_end(struct crash_stack *stack)
{
	own_slot = NULL;
	if (!stack->memory)
		return;
	(void)sigaltstack(&(const stack_t){.ss_flags = SS_DISABLE}, NULL);
	munmap(stack->memory, STACK_SIZE);
	stack->memory = NULL;
}
