/* test_gate_lane - the same as test_gate, on "<user>/test_gate_lane" and a lane of its own. */
#include "test_gate.h"
#include <cashew.h>

static cashew_result test_gate_lane(cashew_command *cmd)
{
	const char *gate;
	CASHEW_TRY(cashew_user_id(cmd, "gate", &gate));
	if (!gate_enter(cashew_setting(cmd, "LANE_GATE_FOLDER"), gate))
		return cashew_fail(cmd, "the gate's folder is gone");
	return cashew_reply_json(cmd, "gate_passed", json_pack("{s:s}", "gate", gate));
}

static const struct cashew_setting settings[] = {
	{.name = "LANE_GATE_FOLDER", .default_value = ".", .help = "Where this lane's gates are."},
	{0},
};

CASHEW_HANDLER(.topic = "+/test_gate_lane", .handle = test_gate_lane, .lane = "slow", .settings = settings);
