/*
 * failpoint.c - see failpoint.h.
 */
#include "failpoint.h"

#ifdef CASHEW_FAILPOINTS
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char chosen[64];
static _Atomic long left = -1;
static bool disarmed;

static void read_environment(void)
{
	const char *text = disarmed ? NULL : getenv("FAILPOINT");
	const char *colon = text ? strchr(text, ':') : NULL;
	if (!colon || (size_t)(colon - text) >= sizeof(chosen))
		return;
	memcpy(chosen, text, (size_t)(colon - text));
	atomic_store(&left, strtol(colon + 1, NULL, 10));
}

void failpoint_disarm(void)
{
	disarmed = true;
}

void failpoint(const char *name)
{
	pthread_once(&once, read_environment);
	if (strcmp(name, chosen) == 0 && atomic_fetch_sub(&left, 1) == 1)
		kill(getpid(), SIGKILL);
}
#endif
