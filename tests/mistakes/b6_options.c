/* b6_options.c - options that their kinds do not have. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

CASHEW_STRUCT(odd, (number, weight, .min = 1), (text, name, .min = 5, .max = 4),
	(integer, age, .otherwise = 7), (time, at, .expires = true),
	(integer, much, .optional = true, .max = 3, .otherwise = 4), (text, said, .as = "\""),
	(text, again, .as = "name"));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .payload = CASHEW_PAYLOAD(odd), .deadline_ms = 4000000000, .lane = "Slow");
