/* ticks.c - see ticks.h. */
#include "ticks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

size_t ticks_of(struct harness *h, const char *name, struct tick ticks[static TICKS_MAX])
{
	char line[200], found[64];
	size_t count = 0;
	FILE *file = fopen(harness_path(h, "ticks"), "re");
	while (file && count < TICKS_MAX && fgets(line, sizeof(line), file)) {
		struct tick *tick = &ticks[count];
		if (sscanf(line, "%63s %" SCNd64 " %" SCNd64 " %u %79s", found, &tick->since_ms,
			    &tick->slot_ms, &tick->attempt, tick->id) == 5 &&
			strcmp(found, name) == 0)
			count++;
	}
	if (file)
		fclose(file);
	return count;
}

struct tick_wait {
	struct harness *h;
	const char *name;
	size_t count;
};

static bool enough(void *context)
{
	const struct tick_wait *wait = context;
	struct tick ticks[TICKS_MAX];
	return ticks_of(wait->h, wait->name, ticks) >= wait->count;
}

void ticks_wait(struct harness *h, const char *name, size_t count)
{
	struct tick_wait wait = {h, name, count};
	harness_wait(h, enough, &wait, "%zu runs of %s", count, name);
}

size_t ticks_count(struct harness *h, const char *name)
{
	struct tick ticks[TICKS_MAX];
	return ticks_of(h, name, ticks);
}

size_t ticks_expect_joined(struct harness *h)
{
	struct tick ticks[TICKS_MAX];
	const size_t count = ticks_of(h, "test_tick", ticks);
	size_t repeated = 0;
	for (size_t i = 0; i < count; i++) {
		const struct tick *tick = &ticks[i], *before = i > 0 ? &ticks[i - 1] : NULL;
		if (tick->slot_ms % TICKS_EVERY_MS != 0 || tick->since_ms % TICKS_EVERY_MS != 0 ||
			tick->slot_ms <= tick->since_ms)
			harness_fail("run %zu goes from %" PRId64 " to %" PRId64, i, tick->since_ms,
				tick->slot_ms);
		if (before && tick->slot_ms == before->slot_ms && tick->since_ms == before->since_ms)
			repeated++;
		else if (before && tick->since_ms != before->slot_ms)
			harness_fail("run %zu begins at %" PRId64 ", the one before ended at %" PRId64, i,
				tick->since_ms, before->slot_ms);
	}
	return repeated;
}

size_t ticks_count_repeated(struct harness *h)
{
	struct tick ticks[TICKS_MAX];
	const size_t count = ticks_of(h, "test_tick", ticks);
	size_t repeated = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			if (ticks[k].slot_ms == ticks[i].slot_ms && ticks[k].since_ms == ticks[i].since_ms) {
				repeated++;
				break;
			}
	return repeated;
}

void ticks_set_mode(struct harness *h, const char *mode)
{
	/* In one piece. */
	const char *path = harness_path(h, "mode"),
		   *written = harness_write_file(h, harness_path(h, "mode.new"), mode);
	if (rename(written, path) != 0)
		harness_fail("the mode cannot be set");
}

static bool is_held(void *context)
{
	return access(harness_path(context, "held"), F_OK) == 0;
}

void ticks_hold(struct harness *h)
{
	(void)remove(harness_path(h, "held"));
	ticks_set_mode(h, "hold");
	harness_wait(h, is_held, h, "a run that waits");
}

void ticks_end_hold(struct harness *h)
{
	(void)remove(harness_path(h, "mode"));
}
