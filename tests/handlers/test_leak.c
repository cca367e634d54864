/* test_leak - "<user>/test_leak" {mib}: forgets that much memory, which it has written to, and replies
 * "leaked". */
#include <cashew.h>
#include <stdlib.h>
#include <string.h>

static void *leaked;

static cashew_result test_leak(cashew_command *cmd)
{
	int64_t mib;
	CASHEW_TRY(cashew_integer(cmd, "mib", 1, 1024, &mib));
	void *block = malloc((size_t)mib << 20);
	if (!block)
		return cashew_fail(cmd, "there is no memory to leak");
	memset(block, 1, (size_t)mib << 20);
	/* Chained, so that a leak checker has nothing to say. */
	*(void **)block = __atomic_exchange_n(&leaked, block, __ATOMIC_RELAXED);
	return cashew_reply(cmd, "leaked", "{}");
}

CASHEW_HANDLER(.topic = "+/test_leak", .handle = test_leak);
