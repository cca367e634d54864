/* nanoseconds.h - a clock in nanoseconds. */
#ifndef NANOSECONDS_H
#define NANOSECONDS_H

#include <stdint.h>
#include <time.h>

#define NANOSECONDS 1000000000ULL

/* 0 for a clock that cannot be read: that of a process which has ended, for one. */
static inline uint64_t nanoseconds(clockid_t clock)
{
	struct timespec at;

	if (clock_gettime(clock, &at) != 0)
		return 0;
	return (uint64_t)at.tv_sec * NANOSECONDS + (uint64_t)at.tv_nsec;
}

#endif
