/*
 * failing_malloc.h - lets malloc fail at a chosen call, in what the test program links statically: our own
 * code, and jansson, which takes its memory through payload.c.
 *
 * Include it in one source file; the build then links the program with --wrap=malloc. start and stop are for
 * one thread; malloc is for any.
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

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	const size_t call = ++failing_malloc.calls, fail_at = failing_malloc.fail_at;
	const bool fails = fail_at && (call == fail_at || (failing_malloc.and_after && call > fail_at));
	return fails ? NULL : __real_malloc(size);
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
