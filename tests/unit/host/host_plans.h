/*
 * host_plans.h - handlers that do what a command's payload says, and what was told of it, for tests of a host.
 *
 * A command's payload tells what its runs come to: "name:steps", a letter for each run, the last one for all that follow. On the topic "two" it is
 * "name:steps:steps", for its two handlers. `told` has the name of each run, in order.
 *
 * Include it in one source file, by host_parts.h.
 */
#ifndef HOST_PLANS_H
#define HOST_PLANS_H

#include "call.h"
#include "stored.h"
#include "told.h"
#include <stdio.h>
#include <string.h>

/* ---- Handlers ---- */

static struct {
	char name[16];
	unsigned runs;
} plans[4096];

static unsigned runs_of(const char *name)
{
	size_t i = 0;
	while (plans[i].name[0] != '\0' && strcmp(plans[i].name, name) != 0)
		i++;
	snprintf(plans[i].name, sizeof(plans[i].name), "%s", name);
	return plans[i].runs++;
}

/* which: of two handlers, from 1; 0: it is the only one. */
static cashew_result run_plan(cashew_command *cmd, unsigned which)
{
	char text[64], name[16];
	snprintf(text, sizeof(text), "%s", (const char *)cmd->input->payload);
	char *rest = text;
	const char *first = strsep(&rest, ":"), *steps = strsep(&rest, ":");
	if (which == 2)
		steps = strsep(&rest, ":");
	snprintf(name, sizeof(name), "%.8s%s", first, which == 0 ? "" : which == 1 ? "A" : "B");
	const size_t run = runs_of(name);
	assert_non_null(steps);
	tell("%s ", name);
	switch (steps[run < strlen(steps) ? run : strlen(steps) - 1]) {
	case '.': return CASHEW_DONE;
	case 'e': return cashew_event_text(cmd, NULL, "got", "1");
	case 'E': cashew_event_text(cmd, NULL, "got", "1"); return cashew_event_text(cmd, NULL, "got", "2");
	case 'r': return CASHEW_RETRY;
	case 'i': tell("%s ", cashew_id(cmd)); return CASHEW_DONE;
	case 'I': tell("%s ", cashew_id(cmd)); return cashew_retry(cmd, 60000, "told to wait");
	case 'w': return cashew_retry(cmd, 300, "told to wait");
	case 'W': return cashew_retry(cmd, 60000, "told to wait");
	case 's': return stored_result(cmd, STORE_E_AWAY);
	case 'x': return cashew_reject(cmd, "bad");
	case 'f': return cashew_fail(cmd, "never");
	default: fail();
	}
	return CASHEW_FAIL;
}

static cashew_result run_one(cashew_command *cmd)
{
	return run_plan(cmd, 0);
}

static cashew_result run_first(cashew_command *cmd)
{
	return run_plan(cmd, 1);
}

static cashew_result run_second(cashew_command *cmd)
{
	return run_plan(cmd, 2);
}

static const struct cashew_handler handler_one = {
	.name = "one", .topic = "+/one", .handle = run_one, .payload = CASHEW_BYTES};
static const struct cashew_handler handler_light = {
	.name = "light", .topic = "+/light", .handle = run_one, .payload = CASHEW_BYTES, .light = true};
static const struct cashew_handler handler_first = {
	.name = "first", .topic = "+/two", .handle = run_first, .payload = CASHEW_BYTES};
static const struct cashew_handler handler_second = {
	.name = "second", .topic = "+/two", .handle = run_second, .payload = CASHEW_BYTES};

/* A schedule has no payload for a plan: what its runs come to, a letter for each. */
static const char *clock_plan = ".";

static cashew_result run_clock(cashew_command *cmd)
{
	const char step = *clock_plan;
	tell("clock %lld ", (long long)cashew_slot(cmd));
	if (clock_plan[1] != '\0')
		clock_plan++;
	switch (step) {
	case '.': return CASHEW_DONE;
	case 'e':
		(void)!cashew_event_text(cmd, "1", "got", "1");
		return cashew_event_text(cmd, "2", "got", "2");
	case 'n': return cashew_event_text(cmd, NULL, "got", "1");
	case 'r': return CASHEW_RETRY;
	case 'x': return cashew_reject(cmd, "bad");
	default: return cashew_fail(cmd, "never");
	}
}

static const struct cashew_handler handler_clock = {
	.name = "clock", .scheduled = true, .every_s = 60, .handle = run_clock};
static const struct cashew_handler *const handlers[] = {
	&handler_one, &handler_light, &handler_first, &handler_second, &handler_clock, NULL};

#endif
