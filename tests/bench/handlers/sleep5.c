/* sleep5 - waits 5 ms, as for a slow service, and answers: how many such commands run at once. */
#include <cashew.h>
#include <time.h>

static cashew_result sleep5(cashew_command *cmd)
{
	const struct timespec wait = {.tv_nsec = 5000000};

	(void)nanosleep(&wait, NULL);
	return cashew_event_text(cmd, NULL, "slept", "{}");
}

CASHEW_HANDLER(sleep5);
