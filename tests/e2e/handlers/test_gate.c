/*
 * test_gate - "<user>/test_gate" {gate}: runs until the test lets it go on, then replies "gate_passed" {gate,
 * attempt}.
 *
 * In the folder GATE_FOLDER it appends a line "GATE PID" to the file `runs` as it begins, so that a test sees
 * when and how often it ran, and goes on when there is a file GATE.open. It gives up when the folder is gone,
 * so that no process outlives a test.
 */
#include "test_gate.h"
#include <cashew.h>

CASHEW_STRUCT(gate_input, (user, gate));

CASHEW_STRUCT(gate_passed, (user, gate), (integer, attempt));

static cashew_result test_gate(cashew_command *cmd)
{
	const char *gate = cashew_input(cmd, gate_input)->gate;
	if (!gate_enter(cashew_setting(cmd, "GATE_FOLDER"), gate))
		return cashew_fail(cmd, "the gate's folder is gone");
	return cashew_reply(cmd, gate_passed, .gate = gate, .attempt = cashew_attempt(cmd));
}

static const struct cashew_setting settings[] = {
	{.name = "GATE_FOLDER", .default_value = ".", .help = "Where gates are."},
	{0},
};

CASHEW_HANDLER(test_gate, .payload = CASHEW_PAYLOAD(gate_input), .events = CASHEW_EVENTS(gate_passed),
	.settings = settings);
