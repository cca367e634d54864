/*
 * hardening.h - what a process of cashewd does to itself before it reads a secret: no core dumps, nobody of
 * the same user looks into it, files that only the owner reads, few heaps. A write that nobody reads any more,
 * or that would make a file larger than the limit, fails and does not kill.
 *
 * Each process does it by itself, first of all: exec() takes the mark "not dumpable" away. Builds with a
 * sanitizer stay dumpable, because LeakSanitizer attaches to its own process at the exit; nobody runs these
 * with secrets.
 */
#ifndef HARDENING_H
#define HARDENING_H

#include <stdbool.h>

/* Main thread, before there are others. */
void hardening_apply(void);

/* Whether a sanitizer is in this build, which wants all that was allocated freed at the end. */
bool hardening_sanitized(void);

#endif
