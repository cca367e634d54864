/*
 * random.c - see random.h.
 */
#include "random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *ret, size_t size)
{
	ssize_t got;
	do
		got = getrandom(ret, size, 0);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)size)
		abort();
}

unsigned random_below(unsigned limit)
{
	unsigned number;
	if (limit == 0)
		return 0;
	random_bytes(&number, sizeof(number));
	return number % limit;
}
