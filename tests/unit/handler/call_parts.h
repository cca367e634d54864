/*
 * call_parts.h - a handler that ends as the test says, for tests of runs.
 *
 * Include it in one source file.
 */
#ifndef CALL_PARTS_H
#define CALL_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "handler_run.h"
#include "settings.h"
#include "stored.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Ends ---- */

/* What the handlers below return. */
static int next_result;
static unsigned runs;

static cashew_result bare_result(cashew_command *cmd)
{
	runs++;
	cashew_event_text(cmd, NULL, "happened", "1");
	return (cashew_result)next_result;
}

static cashew_result reasoned_result(cashew_command *cmd)
{
	runs++;
	cashew_event_text(cmd, NULL, "happened", "1");
	if (next_result == CASHEW_REJECT)
		return cashew_reject(cmd, "no apples on day %d", 7);
	if (next_result == CASHEW_FAIL)
		return cashew_fail(cmd, "no tree of size %d", 8);
	return stored_result(cmd, STORE_E_TRANSIENT);
}

/* A reason was given for another result than the one that is returned. */
static cashew_result changes_its_mind(cashew_command *cmd)
{
	runs++;
	if (cashew_reject(cmd, "a reason for the sender") != CASHEW_REJECT)
		return CASHEW_FAIL;
	return (cashew_result)next_result;
}

static const struct cashew_handler bare = {.name = "bare", .topic = "+/act", .handle = bare_result},
				   reasoned = {.name = "reasoned",
					   .topic = "+/act",
					   .handle = reasoned_result},
				   changing = {
					   .name = "changing", .topic = "+/act", .handle = changes_its_mind};

#endif
