/* test_crash - "<user>/test_crash": takes the host with it, as a bug would. */
#include <cashew.h>
#include <signal.h>

static cashew_result test_crash(cashew_command *cmd)
{
	CASHEW_TRY(cashew_reply(cmd, "never_seen", "{}"));
	raise(SIGKILL);
	return CASHEW_DONE;
}

CASHEW_HANDLER(.topic = "+/test_crash", .handle = test_crash);
