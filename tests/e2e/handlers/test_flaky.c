/*
 * test_flaky - "<user>/test_flaky" {gate, hold?}: asks to be run again until the gate is open, then replies
 * "flaky_passed" {gate, attempt}.
 *
 * In the folder FLAKY_FOLDER it appends a line "GATE PID" to the file `runs` as it begins; the gate is open
 * when there is a file GATE.open. Past it, it waits at the gate `hold`, if it is given one, as test_gate
 * does.
 */
#include "test_gate.h"
#include <cashew.h>

CASHEW_STRUCT(flaky, (user, gate), (user, hold, .optional = true));

CASHEW_STRUCT(flaky_passed, (user, gate), (integer, attempt));

static cashew_result test_flaky(cashew_command *cmd)
{
	const struct flaky *in = cashew_input(cmd, flaky);
	const char *folder = cashew_setting(cmd, "FLAKY_FOLDER");
	if (!gate_note(folder, in->gate))
		return cashew_fail(cmd, "the gate's folder is gone");
	if (!gate_is_open(folder, in->gate))
		return CASHEW_RETRY;
	if (in->hold && !gate_enter(folder, in->hold))
		return cashew_fail(cmd, "the gate's folder is gone");
	return cashew_reply(cmd, flaky_passed, .gate = in->gate, .attempt = cashew_attempt(cmd));
}

static const struct cashew_setting settings[] = {
	{.name = "FLAKY_FOLDER", .default_value = ".", .help = "Where its gates are."},
	{0},
};

CASHEW_HANDLER(test_flaky, .payload = CASHEW_PAYLOAD(flaky), .events = CASHEW_EVENTS(flaky_passed),
	.settings = settings);
