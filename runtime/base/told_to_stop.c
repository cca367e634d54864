/*
 * told_to_stop.c - see told_to_stop.h.
 */
#include "told_to_stop.h"

#include <signal.h>

bool told_to_stop(void)
{
	sigset_t pending;
	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}
