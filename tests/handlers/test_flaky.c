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

static cashew_result test_flaky(cashew_command *cmd)
{
	const char *gate, *hold = NULL, *folder = cashew_setting(cmd, "FLAKY_FOLDER");
	CASHEW_TRY(cashew_user_id(cmd, "gate", &gate));
	CASHEW_TRY(cashew_user_id_optional(cmd, "hold", &hold));
	if (!gate_note(folder, gate))
		return cashew_fail(cmd, "the gate's folder is gone");
	if (!gate_is_open(folder, gate))
		return CASHEW_RETRY;
	if (hold && !gate_enter(folder, hold))
		return cashew_fail(cmd, "the gate's folder is gone");
	return cashew_reply_json(cmd, "flaky_passed",
		json_pack("{s:s,s:i}", "gate", gate, "attempt", (int)cashew_attempt(cmd)));
}

static const struct cashew_setting settings[] = {
	{.name = "FLAKY_FOLDER", .default_value = ".", .help = "Where its gates are."},
	{0},
};

CASHEW_HANDLER(.topic = "+/test_flaky", .handle = test_flaky, .settings = settings);
