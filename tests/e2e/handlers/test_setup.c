/*
 * test_setup - "<user>/test_setup": replies "set_up" {"loads", "inits"}: how often its .load and its .init were called in this process.
 *
 * SETUP_FAILS=load and SETUP_FAILS=init make that one fail, with a reason.
 */
#include <cashew.h>
#include <stdatomic.h>
#include <string.h>

CASHEW_STRUCT(set_up, (integer, loads), (integer, inits));

static _Atomic int loads, inits;

static int answer(cashew_setup *setup, const char *which)
{
	if (strcmp(cashew_setup_setting(setup, "SETUP_FAILS"), which) != 0)
		return 0;
	return cashew_setup_failed(setup, "told to fail in %s", which);
}

static int load(cashew_setup *setup)
{
	loads++;
	return answer(setup, "load");
}

static int init(cashew_setup *setup, void **ret_state)
{
	inits++;
	*ret_state = &inits;
	return answer(setup, "init");
}

static cashew_result test_setup(cashew_command *cmd)
{
	return cashew_reply(cmd, set_up, .loads = loads, .inits = inits);
}

static const struct cashew_setting settings[] = {
	{.name = "SETUP_FAILS", .default_value = "", .help = "What is to fail: load, init or nothing."},
	{0},
};

CASHEW_HANDLER(test_setup, .events = CASHEW_EVENTS(set_up), .settings = settings, .load = load, .init = init);
