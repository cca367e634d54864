/*
 * takeover.c - see host_takeover.h.
 */
#include "takeover.h"

void takeover_lost(struct takeover *takeover, int64_t now_ms)
{
	takeover->lost = true;
	takeover->lost_ms = now_ms;
}

bool takeover_happened(struct takeover *takeover, int64_t witness_since_ms, int64_t within_ms)
{
	if (!takeover->lost)
		return false;
	takeover->lost = false;
	if (witness_since_ms >= takeover->lost_ms)
		return false;
	const bool again = takeover->before && takeover->lost_ms - takeover->before_ms <= within_ms;
	takeover->before = true;
	takeover->before_ms = takeover->lost_ms;
	return again;
}
