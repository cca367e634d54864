/* nap - sleeps three seconds, as for a service that is very slow, and answers: what one slow user costs the others. */
#include <cashew.h>
#include <time.h>

static cashew_result nap(cashew_command *cmd)
{
	const struct timespec wait = {.tv_sec = 3};

	(void)nanosleep(&wait, NULL);
	return cashew_event_text(cmd, NULL, "napped", "{}");
}

CASHEW_HANDLER(nap);
