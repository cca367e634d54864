/* test_gate_lane - the same as test_gate, on "<user>/test_gate_lane" and a lane of its own. */
#include "test_gate.h"
#include <cashew.h>

CASHEW_STRUCT(gate_input, (user, gate));

CASHEW_STRUCT(gate_passed, (user, gate));

static cashew_result test_gate_lane(cashew_command *cmd)
{
	const char *gate = cashew_input(cmd, gate_input)->gate;
	if (!gate_enter(cashew_setting(cmd, "LANE_GATE_FOLDER"), gate))
		return cashew_fail(cmd, "the gate's folder is gone");
	return cashew_reply(cmd, gate_passed, .gate = gate);
}

static const struct cashew_setting settings[] = {
	{.name = "LANE_GATE_FOLDER", .default_value = ".", .help = "Where this lane's gates are."},
	{0},
};

CASHEW_HANDLER(test_gate_lane, .payload = CASHEW_PAYLOAD(gate_input), .events = CASHEW_EVENTS(gate_passed),
	.lane = "slow", .settings = settings);
