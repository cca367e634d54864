/*
 * call.c - one run of one handler on one command: see call.h. What a handler calls is in cashew.c.
 *
 * Happy path: the Response Topic and the payload are checked, the handler runs and collects events in the
 * arena, and its result becomes an end. A command with the payload {} that gets one reply allocates nothing
 * outside of the arena's first buffer, takes no store client and writes no log. Failure: each is an end with
 * a reason in words.
 */
#include "call.h"

#include "documents.h"
#include "ends.h"
#include "id.h"
#include "log_secret.h"
#include "payload.h"
#include "settings.h"
#include "shape.h"
#include "store.h"
#include "topic.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { SCRATCH_SIZE = 1024 }; /* on the stack; more comes from malloc */

static void call_begin(struct cashew_command *cmd)
{
	cmd->arena->out_of_memory = false;
	arena_init(&cmd->scratch, NULL, 0);
	cmd->events = NULL;
	cmd->events_end = &cmd->events;
	cmd->reason = NULL;
	cmd->failure = 0;
	cmd->store_away = false;
	cmd->retry_after_ms = 0;
	cmd->duration_us = 0;
	cmd->json = NULL;
	cmd->given = NULL;
	cmd->client = NULL;
	cmd->documents = NULL;
	cmd->flush = NULL;
	cmd->now_ms = 0;
	cmd->id = NULL;
}

static void drop_events(struct cashew_command *cmd)
{
	cmd->events = NULL;
	cmd->events_end = &cmd->events;
}

static enum call_end end_out_of_memory(struct cashew_command *cmd)
{
	drop_events(cmd);
	cmd->reason = "out of memory";
	cmd->retry_after_ms = 0;
	return CALL_RETRY;
}

/* A JSON text out of any text: what is no UTF-8 becomes question marks. NULL when out of memory. */
static json_t *text_to_json(struct arena *arena, const char *text)
{
	json_t *json = json_string(text);
	if (json)
		return json;
	unsigned char *ascii = arena_copy(arena, text, strlen(text));
	if (!ascii)
		return NULL;
	for (size_t i = 0; ascii[i]; i++)
		if (ascii[i] >= 0x80)
			ascii[i] = '?';
	return json_string((const char *)ascii);
}

static enum call_end end_rejected(struct cashew_command *cmd, const char *reason)
{
	/* It goes to a phone: what a library or a server has said may hold a secret. */
	char *told = reason ? arena_copy(cmd->arena, reason, strlen(reason)) : NULL;
	if (!told)
		return end_out_of_memory(cmd);
	log_secret_hide(told);
	drop_events(cmd);
	cmd->failure = 0;
	/* There is no sender to be told: what a schedule cannot do, people are to look at. */
	if (cmd->handler && cmd->handler->scheduled) {
		cmd->reason = reason;
		return CALL_FAILED;
	}
	json_t *json = json_object();
	if (json_object_set_new(json, "command", text_to_json(cmd->arena, cmd->input->command)) != 0 ||
		json_object_set_new(json, "reason", text_to_json(cmd->arena, told)) != 0) {
		json_decref(json);
		return end_out_of_memory(cmd);
	}
	/* not to the Response Topic, which is for answers: a rejection goes where every device listens */
	const cashew_result added = cashew_event_json(cmd, cmd->input->user, "command_rejected", json);
	if (cmd->arena->out_of_memory)
		return end_out_of_memory(cmd);
	if (added != CASHEW_DONE)
		return CALL_FAILED;
	cmd->reason = reason;
	return CALL_REJECTED;
}

enum call_end call_reject(struct cashew_command *cmd, const char *reason)
{
	call_begin(cmd);
	return end_rejected(cmd, reason);
}

enum call_end call_tell_dead(struct cashew_command *cmd)
{
	call_begin(cmd);
	json_t *json = json_object();
	if (json_object_set_new(json, "command", text_to_json(cmd->arena, cmd->input->command)) != 0) {
		json_decref(json);
		return end_out_of_memory(cmd);
	}
	const cashew_result added = cashew_event_json(cmd, cmd->input->user, "command_failed", json);
	if (cmd->arena->out_of_memory)
		return end_out_of_memory(cmd);
	return added == CASHEW_DONE ? CALL_DONE : CALL_FAILED;
}

/*
 * The payload {} is what most commands have, so it is not parsed: all threads share one empty object, which
 * is never freed (jansson counts no references of an object whose count is -1). NULL when out of memory.
 */
static json_t *empty_object(void)
{
	static _Atomic(json_t *) shared;
	json_t *object = atomic_load_explicit(&shared, memory_order_acquire);
	if (object)
		return object;
	json_t *made = json_object();
	if (!made)
		return NULL;
	made->refcount = (size_t)-1;
	if (atomic_compare_exchange_strong(&shared, &object, made))
		return made;
	made->refcount = 1;
	json_decref(made);
	return object;
}

/* The payload as the handler's struct. CALL_DONE: the handler may run. */
static enum call_end read_struct(struct cashew_command *cmd)
{
	char reason[SHAPE_REASON_SIZE];
	cmd->given = shape_read(cmd->handler->payload, cmd->json, &cmd->scratch, reason);
	if (cmd->given)
		return CALL_DONE;
	return reason[0] ? end_rejected(cmd, arena_copy(cmd->arena, reason, strlen(reason)))
			 : end_out_of_memory(cmd);
}

/* The sender's own id, which the handler needs. */
static enum call_end read_id(struct cashew_command *cmd)
{
	if (id_is_given(cmd))
		return CALL_DONE;
	if (cmd->arena->out_of_memory || cmd->scratch.out_of_memory)
		return end_out_of_memory(cmd);
	return end_rejected(cmd,
		cmd->failure
			? cmd->reason
			: "command_id is missing: expected a text of 1 to 64 bytes, another one for each "
			  "command and the same when the command is sent again");
}

/* CALL_DONE: the handler may run. */
static enum call_end read_json(struct cashew_command *cmd)
{
	const struct call_input *input = cmd->input;
	const struct cashew_shape *shape = cmd->handler->payload;
	const bool object = shape != CASHEW_ANY_JSON;
	const size_t size_max = cmd->settings->payload_max;
	char reason[PAYLOAD_REASON_SIZE];

	if (shape == CASHEW_BYTES) {
		if (payload_too_large(input->payload_size, size_max, reason))
			return end_rejected(cmd, arena_copy(cmd->arena, reason, strlen(reason)));
		return CALL_DONE;
	}
	if (input->payload_size == 2 && memcmp(input->payload, "{}", 2) == 0) {
		cmd->json = empty_object();
		return cmd->json ? CALL_DONE : end_out_of_memory(cmd);
	}
	if (input->payload_size == 0 && object)
		return end_rejected(cmd, "the payload is empty: expected a JSON object");
	const int error = payload_parse(input->payload, input->payload_size, size_max, &cmd->json, reason);
	if (error == PAYLOAD_E_REFUSED)
		return end_rejected(cmd, arena_copy(cmd->arena, reason, strlen(reason)));
	if (error)
		return end_out_of_memory(cmd);
	if (object && !json_is_object(cmd->json))
		return end_rejected(cmd, arena_format(cmd->arena, "the payload is %s: expected a JSON object",
						 payload_type_name(cmd->json)));
	return CALL_DONE;
}

static unsigned microseconds_between(const struct timespec *start, const struct timespec *end)
{
	return (unsigned)((end->tv_sec - start->tv_sec) * 1000000 + (end->tv_nsec - start->tv_nsec) / 1000);
}

/* The reason the handler gave for that result, or what to say where it gave none. NULL when out of memory. */
static const char *reason_for(struct cashew_command *cmd, cashew_result result, const char *otherwise)
{
	if (cmd->failure == result)
		return cmd->reason;
	return arena_format(cmd->arena, "handler %s %s and gave no reason", cmd->handler->name, otherwise);
}

static enum call_end end_not_done(struct cashew_command *cmd, enum call_end end, const char *reason)
{
	if (!reason)
		return end_out_of_memory(cmd);
	drop_events(cmd);
	cmd->reason = reason;
	return end;
}

static enum call_end run_handler(struct cashew_command *cmd)
{
	struct timespec start, end;
	clock_gettime(CLOCK_MONOTONIC, &start);
	cashew_result result = cmd->handler->handle(cmd);
	ends_flush(cmd);
	clock_gettime(CLOCK_MONOTONIC, &end);
	cmd->duration_us = microseconds_between(&start, &end);

	if (cmd->arena->out_of_memory || cmd->scratch.out_of_memory)
		return end_out_of_memory(cmd);
	if (cmd->failure != 0)
		result = cmd->failure;
	switch ((int)result) {
	case CASHEW_DONE: cmd->reason = NULL; return CALL_DONE;
	case CASHEW_RETRY:
		return end_not_done(cmd, CALL_RETRY, reason_for(cmd, result, "asked to be run again"));
	case CASHEW_REJECT: return end_rejected(cmd, reason_for(cmd, result, "rejected the command"));
	case CASHEW_FAIL: return end_not_done(cmd, CALL_FAILED, reason_for(cmd, result, "failed"));
	default:
		return end_not_done(cmd, CALL_FAILED,
			arena_format(cmd->arena, "handler %s returned %d, which is no cashew_result",
				cmd->handler->name, (int)result));
	}
}

enum call_end call_run(struct cashew_command *cmd)
{
	const struct call_input *input = cmd->input;
	unsigned char buffer[SCRATCH_SIZE];
	call_begin(cmd);
	arena_init(&cmd->scratch, buffer, sizeof(buffer));
	if (input->response_topic && !topic_response_allowed(input->response_topic, input->user))
		return end_rejected(cmd,
			arena_format(cmd->arena,
				"the Response Topic is not one below %s/: expected a topic of the sender's own",
				input->user));
	enum call_end end = read_json(cmd);
	if (end == CALL_DONE && cmd->handler->needs_id)
		end = read_id(cmd);
	if (end == CALL_DONE && cmd->handler->payload && cmd->handler->payload->count > 0)
		end = read_struct(cmd);
	if (end == CALL_DONE)
		end = run_handler(cmd);
	if (cmd->documents)
		documents_end(cmd->documents);
	if (cmd->client)
		store_release(cmd->client);
	json_decref(cmd->json);
	arena_free(&cmd->scratch);
	cmd->client = NULL;
	cmd->json = NULL;
	return end;
}
