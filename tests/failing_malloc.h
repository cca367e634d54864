/*
 * failing_malloc.h - lets malloc, calloc, realloc or reallocarray fail at a chosen call, in what the test
 * program links statically: our own code, and jansson, which takes its memory through json_memory.c. With
 * FAILING_MALLOC_ONLY defined calloc, realloc and reallocarray never fail: tests' stand-ins use them.
 *
 * Include it in one source file; the build then links the program with --wrap. start and stop are for one
 * thread; the allocations are for any.
 *
 *	for (size_t n = 1; ...; n++) {
 *		failing_malloc_start(n, false);
 *		... what is tested
 *		failing_malloc_stop();
 *	}
 */
#ifndef FAILING_MALLOC_H
#define FAILING_MALLOC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static struct {
	atomic_size_t calls, fail_at;
	bool and_after;
} failing_malloc;

/* Whether the call that comes now is to fail. */
static inline bool failing_malloc_call(void)
{
	const size_t call = ++failing_malloc.calls, fail_at = failing_malloc.fail_at;
	return fail_at && (call == fail_at || (failing_malloc.and_after && call > fail_at));
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
	return failing_malloc_call() ? NULL : __real_malloc(size);
}

static inline bool failing_malloc_other_call(void)
{
#ifdef FAILING_MALLOC_ONLY
	return false;
#else
	return failing_malloc_call();
#endif
}

void *__wrap_calloc(size_t count, size_t size)
{
	return failing_malloc_other_call() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return failing_malloc_other_call() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
	return failing_malloc_other_call() ? NULL : __real_reallocarray(memory, count, size);
}

/* Counts calls from now on; call number n fails (0: none does), with and_after all later ones too. */
static inline void failing_malloc_start(size_t n, bool and_after)
{
	failing_malloc.calls = 0;
	failing_malloc.fail_at = n;
	failing_malloc.and_after = and_after;
}

/* Whether a call failed since the start. */
static inline bool failing_malloc_stop(void)
{
	const bool failed = failing_malloc.fail_at && failing_malloc.calls >= failing_malloc.fail_at;
	failing_malloc.fail_at = 0;
	return failed;
}

#endif
