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

static cashew_result test_gate(cashew_command *cmd)
{
	const char *gate;
	CASHEW_TRY(cashew_user_id(cmd, "gate", &gate));
	if (!gate_enter(cashew_setting(cmd, "GATE_FOLDER"), gate))
		return cashew_fail(cmd, "the gate's folder is gone");
	return cashew_reply_json(cmd, "gate_passed",
		json_pack("{s:s,s:i}", "gate", gate, "attempt", (int)cashew_attempt(cmd)));
}

static const struct cashew_setting settings[] = {
	{.name = "GATE_FOLDER", .default_value = ".", .help = "Where gates are."},
	{0},
};

CASHEW_HANDLER(.topic = "+/test_gate", .handle = test_gate, .settings = settings);
