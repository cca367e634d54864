/* test_leak - "<user>/test_leak" {mib}: forgets that much memory, which it has written to, and replies
 * "leaked". */
#include <cashew.h>
#include <stdlib.h>
#include <string.h>

static void *leaked;

CASHEW_STRUCT(leak, (integer, mib, .min = 1, .max = 1024));

static cashew_result test_leak(cashew_command *cmd)
{
	const int64_t mib = cashew_input(cmd, leak)->mib;
	void *block = malloc((size_t)mib << 20);
	if (!block)
		return cashew_fail(cmd, "there is no memory to leak");
	memset(block, 1, (size_t)mib << 20);
	/* Chained, so that a leak checker has nothing to say. */
	*(void **)block = __atomic_exchange_n(&leaked, block, __ATOMIC_RELAXED);
	return cashew_event_text(cmd, NULL, "leaked", "{}");
}

CASHEW_HANDLER(test_leak, .payload = CASHEW_PAYLOAD(leak));
