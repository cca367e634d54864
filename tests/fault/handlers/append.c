/*
 * append - "<user>/append" {number}: appends the line "USER NUMBER" to the file `appended` in the working directory, and replies "appended"
 * {number}.
 *
 * It tells how often and in which order a user's commands were run, whatever was killed: so it is on purpose not idempotent. A file, not the
 * database: what a host that was killed had asked of a database may be done at any time later, and would be taken for an effect out of order.
 */
#include <cashew.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

CASHEW_STRUCT(append_input, (integer, number, .min = 1, .max = UINT32_MAX));

CASHEW_STRUCT(appended, (integer, number));

static cashew_result append(cashew_command *cmd)
{
	char line[100];
	const int64_t number = cashew_input(cmd, append_input)->number;
	const int size = snprintf(line, sizeof(line), "%s %u\n", cashew_user(cmd), (unsigned)number);
	const int file = open("appended", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (file < 0)
		return CASHEW_RETRY; /* few descriptors */
	const bool written = write(file, line, (size_t)size) == size;
	close(file);
	if (!written)
		return cashew_fail(cmd, "the line cannot be appended");
	return cashew_reply(cmd, appended, .number = number);
}

CASHEW_HANDLER(append, .payload = CASHEW_PAYLOAD(append_input), .events = CASHEW_EVENTS(appended));
