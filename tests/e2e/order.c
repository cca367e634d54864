/* order.c - see order.h. */
#include "order.h"

#include "panic.h"
#include <stdio.h>
#include <stdlib.h>

static bool steps_hold(const unsigned *effects, size_t size, char reason[static ORDER_REASON_SIZE])
{
	unsigned before = 0;
	for (size_t i = 0; i < size; before = effects[i++])
		if (effects[i] > before + 1) {
			snprintf(reason, ORDER_REASON_SIZE,
				"effect %zu is %u, right after %u: a step that skips ahead", i + 1,
				effects[i], before);
			return false;
		}
	return true;
}

static bool firsts_hold(
	const unsigned *effects, size_t size, bool *seen, char reason[static ORDER_REASON_SIZE])
{
	unsigned highest = 0;
	for (size_t i = 0; i < size; i++) {
		if (!seen[effects[i]] && effects[i] < highest) {
			snprintf(reason, ORDER_REASON_SIZE,
				"effect %zu is the first of %u, and %u had one before", i + 1, effects[i],
				highest);
			return false;
		}
		seen[effects[i]] = true;
		highest = effects[i] > highest ? effects[i] : highest;
	}
	return true;
}

/* From the end: whose last effect it is must be lower than all whose last one comes later. */
static bool lasts_hold(
	const unsigned *effects, size_t size, bool *seen, char reason[static ORDER_REASON_SIZE])
{
	unsigned lowest = 0;
	for (size_t i = size; i-- > 0;) {
		if (!seen[effects[i]] && lowest != 0 && effects[i] > lowest) {
			snprintf(reason, ORDER_REASON_SIZE,
				"effect %zu is the last of %u, and %u has one after it", i + 1, effects[i],
				lowest);
			return false;
		}
		seen[effects[i]] = true;
		lowest = lowest == 0 || effects[i] < lowest ? effects[i] : lowest;
	}
	return true;
}

static bool all_there(const unsigned *effects, size_t size, unsigned count, bool *seen,
	char reason[static ORDER_REASON_SIZE])
{
	for (size_t i = 0; i < size; i++) {
		if (effects[i] < 1 || effects[i] > count) {
			snprintf(reason, ORDER_REASON_SIZE, "effect %zu is %u, of %u that were sent", i + 1,
				effects[i], count);
			return false;
		}
		seen[effects[i]] = true;
	}
	for (unsigned number = 1; number <= count; number++)
		if (!seen[number]) {
			snprintf(reason, ORDER_REASON_SIZE, "there is no effect of %u", number);
			return false;
		}
	return true;
}

bool order_holds(const unsigned *effects, size_t size, unsigned count, enum order_rules rules,
	char ret_reason[static ORDER_REASON_SIZE])
{
	bool *there = panic_if_null(calloc(3 * ((size_t)count + 1), sizeof(*there)));
	bool *first = there + count + 1, *last = first + count + 1;
	const bool holds = all_there(effects, size, count, there, ret_reason) &&
			   firsts_hold(effects, size, first, ret_reason) &&
			   lasts_hold(effects, size, last, ret_reason) &&
			   ((rules & ORDER_STEPS) == 0 || steps_hold(effects, size, ret_reason));
	free(there);
	return holds;
}
