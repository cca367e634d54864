/* crash - ends the host with SIGSEGV each time it runs: a handler's fault, as `tests/bench/run recovery` wants one. */
#include <cashew.h>
#include <signal.h>

static cashew_result crash(cashew_command *cmd)
{
	(void)cmd;
	(void)raise(SIGSEGV);
	return CASHEW_DONE;
}

CASHEW_HANDLER(crash);
