/* panic.h - tests do not go on without memory. */
#ifndef PANIC_H
#define PANIC_H

#include <stdio.h>
#include <stdlib.h>

static inline void *panic_if_null(void *pointer)
{
	if (!pointer) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	return pointer;
}

#endif
