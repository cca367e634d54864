/*
 * test_effect - "<user>/test_effect" {n, hold?, until?}: leaves an effect that tells how often and in which order it was left.
 *
 * The effect is a line "USER N" appended to the file `effects` in the folder EFFECT_FOLDER, at the handler's end; then it replies "effect" {n}.
 * It is on purpose not idempotent. Before it, while the gate `until` is closed, the handler asks to be run again, and at the gate `hold` it
 * waits (test_gate.h).
 */
#include "test_gate.h"
#include <cashew.h>

static bool leave_effect(const char *folder, const char *user, const char *n)
{
	char path[512], line[160];
	snprintf(path, sizeof(path), "%s/effects", folder);
	const int effects = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	const int size = snprintf(line, sizeof(line), "%s %s\n", user, n);
	if (effects < 0)
		return false;
	const bool left = write(effects, line, (size_t)size) == size;
	close(effects);
	return left;
}

static cashew_result test_effect(cashew_command *cmd)
{
	const char *n, *hold = NULL, *until = NULL, *folder = cashew_setting(cmd, "EFFECT_FOLDER");
	CASHEW_TRY(cashew_user_id(cmd, "n", &n));
	CASHEW_TRY(cashew_user_id_optional(cmd, "hold", &hold));
	CASHEW_TRY(cashew_user_id_optional(cmd, "until", &until));
	if (until != NULL && !gate_is_open(folder, until))
		return gate_note(folder, until) ? CASHEW_RETRY
						: cashew_fail(cmd, "the effects' folder is gone");
	if ((hold != NULL && !gate_enter(folder, hold)) || !leave_effect(folder, cashew_user(cmd), n))
		return cashew_fail(cmd, "the effects' folder is gone");
	return cashew_reply_json(cmd, "effect", json_pack("{s:s}", "n", n));
}

static const struct cashew_setting settings[] = {
	{.name = "EFFECT_FOLDER", .default_value = ".", .help = "Where its effects and gates are."},
	{0},
};

CASHEW_HANDLER(.topic = "+/test_effect", .handle = test_effect, .settings = settings);
