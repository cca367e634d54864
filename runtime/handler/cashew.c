/*
 * cashew.c - what a handler asks about its command, and memory, log, settings, state: see cashew.h.
 *
 * The run around it is in call.c, events in events.c, ends in ends.c, the store in stored.c. Nothing here fails, but that memory may run out.
 */
#include "cashew.h"

#include "call.h"
#include "clock.h"
#include "ends.h"
#include "id.h"
#include "log.h"
#include "settings.h"
#include "shape.h"
#include "store.h"

#include <stdio.h>

enum { LOG_MESSAGE_SIZE = 1024 };

const struct cashew_shape cashew_any_json_shape = {.name = "any JSON"},
			  cashew_bytes_shape = {.name = "bytes"};

/* ---- The command ---- */

const char *cashew_user(const cashew_command *cmd)
{
	return cmd->input->user;
}

const char *cashew_topic(const cashew_command *cmd)
{
	return cmd->input->topic;
}

unsigned cashew_attempt(const cashew_command *cmd)
{
	return cmd->input->attempt;
}

const void *cashew_payload(const cashew_command *cmd, size_t *ret_size)
{
	*ret_size = cmd->input->payload_size;
	return cmd->input->payload;
}

const json_t *cashew_json(const cashew_command *cmd)
{
	return cmd->json;
}

const void *cashew_input_(cashew_command *cmd, const char *file, int line, const struct cashew_shape *shape)
{
	if (cmd->given && shape == cmd->handler->payload)
		return cmd->given;
	(void)ends_mistake(cmd, file, line,
		"cashew_input(cmd, %s): expected .payload = CASHEW_PAYLOAD(%s) of handler %s", shape->name,
		shape->name, cmd->handler->name);
	return shape_nothing(shape, &cmd->scratch);
}

cashew_time cashew_now(const cashew_command *cmd)
{
	/* what it finds out is no part of what the handler sees */
	cashew_command *own = (cashew_command *)(uintptr_t)cmd;
	if (cmd->now_ms == 0)
		own->now_ms = cmd->store ? store_now_ms(cmd->store) : clock_unix_ms();
	return cmd->now_ms;
}

const char *cashew_id(const cashew_command *cmd)
{
	return id_of((cashew_command *)(uintptr_t)cmd);
}

/* ---- Memory, log, settings, state ---- */

void *cashew_alloc(cashew_command *cmd, size_t size)
{
	return ends_failed(cmd) ? NULL : arena_alloc(&cmd->scratch, size);
}

const char *cashew_format(cashew_command *cmd, const char *format, ...)
{
	if (ends_failed(cmd))
		return "";
	va_list arguments;
	va_start(arguments, format);
	const char *text = arena_format_list(&cmd->scratch, format, arguments);
	va_end(arguments);
	return text ? text : "";
}

__attribute__((format(printf, 3, 0))) static void log_list(
	const cashew_command *cmd, enum log_level level, const char *format, va_list arguments)
{
	if (!log_enabled(level))
		return;
	char message[LOG_MESSAGE_SIZE];
	vsnprintf(message, sizeof(message), format, arguments);
	LOG_EVENT(level, "handler_message", message, LOG_TEXT("user", cmd->input->user),
		LOG_TEXT("topic", cmd->input->topic), LOG_TEXT("handler", cmd->handler->name),
		LOG_INT("attempt", cmd->input->attempt));
}

void cashew_log(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	log_list(cmd, LOG_LEVEL_INFO, format, arguments);
	va_end(arguments);
}

void cashew_warn(cashew_command *cmd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	log_list(cmd, LOG_LEVEL_WARN, format, arguments);
	va_end(arguments);
}

const char *cashew_setting(const cashew_command *cmd, const char *name)
{
	return settings_own_value(cmd->settings, name);
}

void *cashew_state(const cashew_command *cmd)
{
	return cmd->state;
}
