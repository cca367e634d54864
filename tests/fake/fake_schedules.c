/* fake_schedules.c - the stand-in store's schedules: an array, in the order they came. */
#include "fake_store_private.h"
#include "schedules.h"
#include <string.h>

struct fake_schedule {
	struct schedule_state state;
	char *by; /* NULL: nobody has begun a run */
};

void fake_schedules_free_all(struct store *store)
{
	for (size_t i = 0; i < store->schedules_count; i++)
		free(store->schedules[i].by);
	free(store->schedules);
}

static struct fake_schedule *find(struct store *store, const char *name)
{
	for (size_t i = 0; i < store->schedules_count; i++)
		if (strcmp(store->schedules[i].state.name, name) == 0)
			return &store->schedules[i];
	return NULL;
}

static void copy_name(struct schedule_state *state, const char *name)
{
	snprintf(state->name, sizeof(state->name), "%s", name);
}

int schedules_read(struct store_client *client, const char *const *names, size_t count, const char *owner,
	struct schedule_state *ret_states)
{
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	for (size_t i = 0; i < count; i++) {
		const struct fake_schedule *schedule = find(client->store, names[i]);

		ret_states[i] = (struct schedule_state){.begun_ms = INT64_MIN, .ended_ms = INT64_MIN};
		copy_name(&ret_states[i], names[i]);
		if (!schedule)
			continue;
		ret_states[i] = schedule->state;
		ret_states[i].ours = strcmp(schedule->by ? schedule->by : "", owner) == 0;
	}
	return fake_operation_end(client, 0);
}

int schedule_found(struct store_client *client, const char *name, int64_t slot_ms, int64_t since_ms)
{
	struct store *store = client->store;
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	if (!find(store, name)) {
		store->schedules = checked(realloc(
			store->schedules, (store->schedules_count + 1) * sizeof(store->schedules[0])));
		store->schedules[store->schedules_count] =
			(struct fake_schedule){.state = {.known = true,
						       .slot_ms = slot_ms,
						       .since_ms = since_ms,
						       .run = store_new_id(),
						       .begun_ms = INT64_MIN,
						       .ended_ms = INT64_MIN}};
		copy_name(&store->schedules[store->schedules_count++].state, name);
	}
	return fake_operation_end(client, 0);
}

static bool same(const struct store_id *a, const struct store_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int schedule_begin(struct store_client *client, const struct schedule_run *run)
{
	const struct schedule_state *before = run->before;
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_schedule *schedule = find(client->store, run->name);
	struct schedule_state *state = schedule ? &schedule->state : NULL;
	if (!state || state->open || !same(&state->run, &before->run) ||
		(before->asked && (!state->asked || !same(&state->asks, &before->asks))))
		return fake_operation_end(client, SCHEDULE_E_TAKEN);
	state->slot_ms = run->slot_ms;
	state->since_ms = run->since_ms;
	state->run = run->id;
	state->open = true;
	state->begun_ms = fake_now_ms(client->store);
	state->question = before->asked ? before->asks : (struct store_id){{0}};
	state->asked = state->asked && !before->asked;
	free(schedule->by);
	schedule->by = fake_text_copy(run->owner);
	return fake_operation_end(client, 0);
}

int schedule_end(struct store_client *client, const char *name, const struct store_id *run,
	const struct schedule_outcome *outcome)
{
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_schedule *schedule = find(client->store, name);
	if (schedule && schedule->state.open && same(&schedule->state.run, run)) {
		struct schedule_state *state = &schedule->state;

		state->open = false;
		state->ended_ms = fake_now_ms(client->store);
		snprintf(state->end, sizeof(state->end), "%s", outcome->end);
		state->events = outcome->events;
		state->ran_ms = outcome->ran_ms;
	}
	return fake_operation_end(client, 0);
}

int schedule_ask(struct store_client *client, const char *name, const struct store_id *question)
{
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_schedule *schedule = find(client->store, name);
	if (schedule) {
		schedule->state.asked = true;
		schedule->state.asks = *question;
	}
	return fake_operation_end(client, schedule ? 0 : STORE_E_NOT_FOUND);
}

int schedule_unask(
	struct store_client *client, const char *name, const struct store_id *question, bool *ret_taken)
{
	int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_schedule *schedule = find(client->store, name);
	const bool taken = schedule && schedule->state.asked && same(&schedule->state.asks, question);
	if (taken)
		schedule->state.asked = false;
	error = fake_operation_end(client, 0);
	if (error == 0)
		*ret_taken = taken;
	return error;
}
