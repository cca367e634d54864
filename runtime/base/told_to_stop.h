/*
 * told_to_stop.h - whether SIGTERM or SIGINT is pending, for a program that has blocked them to end in order, and does not read them yet.
 *
 * They stay pending. A program that has not blocked them is never told so: it ends by them. Any thread.
 */
#ifndef TOLD_TO_STOP_H
#define TOLD_TO_STOP_H

#include <stdbool.h>

/* Whether one of the two is pending for this process or this thread. Waits for nothing. */
bool told_to_stop(void);

#endif
