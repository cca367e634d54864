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

CASHEW_STRUCT(effect_wanted, (user, n), (user, hold, .optional = true), (user, until, .optional = true));

CASHEW_STRUCT(effect, (user, n));

static cashew_result test_effect(cashew_command *cmd)
{
	const struct effect_wanted *in = cashew_input(cmd, effect_wanted);
	const char *folder = cashew_setting(cmd, "EFFECT_FOLDER");
	if (in->until && !gate_is_open(folder, in->until))
		return gate_note(folder, in->until) ? CASHEW_RETRY
						    : cashew_fail(cmd, "the effects' folder is gone");
	if ((in->hold && !gate_enter(folder, in->hold)) || !leave_effect(folder, cashew_user(cmd), in->n))
		return cashew_fail(cmd, "the effects' folder is gone");
	return cashew_reply(cmd, effect, .n = in->n);
}

static const struct cashew_setting settings[] = {
	{.name = "EFFECT_FOLDER", .default_value = ".", .help = "Where its effects and gates are."},
	{0},
};

CASHEW_HANDLER(test_effect, .payload = CASHEW_PAYLOAD(effect_wanted), .events = CASHEW_EVENTS(effect),
	.settings = settings);
