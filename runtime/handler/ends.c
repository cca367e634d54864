/*
 * ends.c - see ends.h.
 */
#include "ends.h"

#include "call.h"
#include <stdio.h>

bool ends_failed(const cashew_command *cmd)
{
	return cmd->failure != 0 || cmd->arena->out_of_memory || cmd->scratch.out_of_memory;
}

cashew_result ends_result(const cashew_command *cmd)
{
	if (cmd->failure != 0)
		return cmd->failure;
	return ends_failed(cmd) ? CASHEW_RETRY : CASHEW_DONE;
}

cashew_result ends_out_of_memory(cashew_command *cmd)
{
	if (cmd->failure == 0)
		cmd->arena->out_of_memory = true;
	return ends_result(cmd);
}

void ends_flush(cashew_command *cmd)
{
	if (cmd->flush && !ends_failed(cmd))
		cmd->flush(cmd);
}

/* How many of the bytes stay when a UTF-8 text is cut there: the start of a character that was cut goes too. */
static size_t whole_characters(const char *text, size_t size)
{
	size_t lead = size;
	while (lead > 0 && size - lead < 3 && ((unsigned char)text[lead - 1] & 0xc0) == 0x80)
		lead--;
	if (lead == 0)
		return size;
	const unsigned char c = (unsigned char)text[lead - 1];
	const size_t wanted = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
	return size - (lead - 1) < wanted ? lead - 1 : size;
}

cashew_result ends_as_list(cashew_command *cmd, cashew_result result, const char *format, va_list arguments)
{
	if (ends_failed(cmd))
		return ends_result(cmd);
	char text[ENDS_REASON_MAX + 1];
	const int wanted = vsnprintf(text, sizeof(text), format, arguments);
	size_t size = wanted < 0 ? 0 : (size_t)wanted;
	if (size > ENDS_REASON_MAX)
		size = whole_characters(text, ENDS_REASON_MAX);
	char *reason = arena_copy(cmd->arena, text, size);
	if (!reason)
		return ends_out_of_memory(cmd);
	cmd->reason = reason;
	cmd->failure = result;
	return result;
}

cashew_result ends_as(cashew_command *cmd, cashew_result result, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	result = ends_as_list(cmd, result, format, arguments);
	va_end(arguments);
	return result;
}

cashew_result ends_mistake(cashew_command *cmd, const char *file, int line, const char *format, ...)
{
	char text[ENDS_REASON_MAX + 1];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return ends_as(cmd, CASHEW_FAIL, "%s:%d: %s", file, line, text);
}

/* ---- What a handler calls ---- */

bool cashew_ok(cashew_command *cmd)
{
	ends_flush(cmd);
	return !ends_failed(cmd);
}

cashew_result cashew_done(cashew_command *cmd)
{
	ends_flush(cmd);
	return ends_result(cmd);
}

cashew_result cashew_reject(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	ends_flush(cmd);
	va_start(arguments, format);
	const cashew_result result = ends_as_list(cmd, CASHEW_REJECT, format, arguments);
	va_end(arguments);
	return result;
}

cashew_result cashew_fail(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	ends_flush(cmd);
	va_start(arguments, format);
	const cashew_result result = ends_as_list(cmd, CASHEW_FAIL, format, arguments);
	va_end(arguments);
	return result;
}

cashew_result cashew_retry(cashew_command *cmd, unsigned after_ms, const char *format, ...)
{
	va_list arguments;
	ends_flush(cmd);
	if (!ends_failed(cmd))
		cmd->retry_after_ms = after_ms;
	va_start(arguments, format);
	const cashew_result result = ends_as_list(cmd, CASHEW_RETRY, format, arguments);
	va_end(arguments);
	return result;
}
