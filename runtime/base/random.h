/*
 * random.h - bytes and numbers that nobody can foresee, from the kernel. Any thread.
 *
 * The kernel always has some, once it has booted: a process without them ends by abort(), as it could name neither sessions nor owners.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>

/* `size` random bytes, 256 at most (getrandom(2): that many come whole). */
void random_bytes(void *ret, size_t size);

/* A number from 0 to limit - 1; 0 where limit is 0. Even enough to spread waits; not for keys. */
unsigned random_below(unsigned limit);

#endif
