/*
 * fake_parked.c - the stand-in store's parked commands: an array sorted by user, lane and position, and the
 * rules of store/parked_commands.h over it.
 */
#include "fake_parked.h"
#include <stdlib.h>
#include <string.h>

/* What fits into no document; how long somebody need not look at one that is behind others. */
enum { DOCUMENT_MAX = 16 * 1024 * 1024 - 1024, BEHIND_MS = 5 * 60 * 1000, NEW_MS = 60 * 1000 };

/* ---- Copies ---- */

static void free_settled(struct parked_command *command)
{
	for (size_t i = 0; i < command->settled_count; i++)
		fake_forget(command->settled[i]);
	fake_forget(command->settled);
}

static void copy_settled(struct parked_command *to, const struct parked_command *from)
{
	char **names = checked(calloc(from->settled_count + 1, sizeof(*names)));

	for (size_t i = 0; i < from->settled_count; i++)
		names[i] = fake_text_copy(from->settled[i]);
	to->settled = (const char *const *)names;
	to->settled_count = from->settled_count;
}

static void copy_command(struct parked_command *to, const struct parked_command *from)
{
	*to = *from;
	to->lane = fake_text_copy(from->lane);
	to->user = fake_text_copy(from->user);
	to->topic = fake_text_copy(from->topic);
	to->payload = fake_bytes_copy(from->payload, from->payload_size);
	to->correlation =
		from->correlation ? fake_bytes_copy(from->correlation, from->correlation_size) : NULL;
	to->response_topic = from->response_topic ? fake_text_copy(from->response_topic) : NULL;
	copy_settled(to, from);
	to->end = fake_text_copy(from->end);
	to->handler = fake_text_copy(from->handler);
	to->reason = fake_text_copy(from->reason);
}

static void free_parts(struct parked_command *command)
{
	fake_forget(command->lane);
	fake_forget(command->user);
	fake_forget(command->topic);
	fake_forget(command->payload);
	fake_forget(command->correlation);
	fake_forget(command->response_topic);
	free_settled(command);
	fake_forget(command->end);
	fake_forget(command->handler);
	fake_forget(command->reason);
}

void parked_command_free(struct parked_command *command)
{
	if (!command)
		return;
	free_parts(command);
	free(command);
}

void parked_batch_free(struct parked_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		parked_command_free(batch->commands[i]);
	free(batch->commands);
	*batch = (struct parked_batch){.commands = NULL};
}

static void fake_parked_free(struct fake_parked *parked)
{
	free_parts(&parked->command);
	free(parked->claimed_by);
	free(parked);
}

void fake_parked_free_all(struct store *store)
{
	for (size_t i = 0; i < store->parked_count; i++)
		fake_parked_free(store->parked[i]);
	free(store->parked);
}

/* ---- Looking up ---- */

static int compare(const struct parked_command *a, const struct parked_command *b)
{
	int order = strcmp(a->user, b->user);

	if (order == 0)
		order = strcmp(a->lane, b->lane);
	if (order == 0)
		order = (a->position > b->position) - (a->position < b->position);
	return order;
}

/* parked_count where there is none. */
static size_t place_of(const struct store *store, const struct store_id *id)
{
	size_t place = 0;

	while (place < store->parked_count &&
		memcmp(store->parked[place]->command.id.bytes, id->bytes, sizeof(id->bytes)) != 0)
		place++;
	return place;
}

/* Of any user where that is NULL. */
static struct fake_parked *by_id(struct store *store, const char *user, const struct store_id *id)
{
	const size_t place = place_of(store, id);

	return place < store->parked_count && (!user || strcmp(store->parked[place]->command.user, user) == 0)
		       ? store->parked[place]
		       : NULL;
}

static bool leased_by(const struct fake_parked *parked, const char *owner)
{
	return parked->claimed_by && strcmp(parked->claimed_by, owner) == 0;
}

/* ---- Appending ---- */

static void set_lease(struct fake_parked *parked, const struct backlog_lease *lease, int64_t now_ms)
{
	free(parked->claimed_by);
	parked->claimed_by = fake_text_copy(lease->owner);
	parked->not_before_ms = parked->lease_until_ms = now_ms + lease->lease_ms;
	parked->command.behind = false;
}

static void end_lease(struct fake_parked *parked, int64_t not_before_ms)
{
	free(parked->claimed_by);
	parked->claimed_by = NULL;
	parked->not_before_ms = not_before_ms;
	parked->command.behind = false;
}

/* Into its place; there is room. */
static void sort_in(struct store *store, struct fake_parked *parked)
{
	size_t place;

	for (place = store->parked_count; place > 0; place--) {
		if (compare(&store->parked[place - 1]->command, &parked->command) <= 0)
			break;
		store->parked[place] = store->parked[place - 1];
	}
	store->parked[place] = parked;
	store->parked_count++;
}

static void take_out(struct store *store, size_t place)
{
	store->parked_count--;
	memmove(&store->parked[place], &store->parked[place + 1],
		(store->parked_count - place) * sizeof(store->parked[0]));
}

static void append(struct store *store, const struct parked_command *command,
	const struct backlog_lease *lease, int64_t now_ms)
{
	struct fake_parked *parked = checked(calloc(1, sizeof(*parked)));

	copy_command(&parked->command, command);
	if (lease)
		set_lease(parked, lease, now_ms);
	else
		parked->not_before_ms = now_ms + (command->behind ? BEHIND_MS : command->due_in_ms);
	store->parked = checked(realloc(store->parked, (store->parked_count + 1) * sizeof(store->parked[0])));
	sort_in(store, parked);
}

int parked_commands_append(struct store_client *client, const struct parked_command *const *commands,
	size_t count, const struct backlog_lease *lease, size_t *ret_failed)
{
	struct store *store = client->store;
	const int error = fake_operation_begin(client);

	*ret_failed = 0;
	if (error != 0)
		return error;
	for (size_t i = 0; i < count; i++) {
		if (by_id(store, NULL, &commands[i]->id))
			continue;
		if (commands[i]->payload_size > DOCUMENT_MAX) {
			*ret_failed = i;
			client->last_error = "it does not fit into a document of 16 MiB";
			return fake_operation_end(client, STORE_E_PERMANENT);
		}
		append(store, commands[i], i == 0 ? lease : NULL, fake_now_ms(store));
	}
	return fake_operation_end(client, 0);
}

/* ---- Claiming ---- */

static int64_t claimable_in_ms(const struct fake_parked *first, const char *owner, int64_t now_ms)
{
	if (leased_by(first, owner))
		return 0;
	if (first->claimed_by && first->lease_until_ms > now_ms)
		return first->lease_until_ms - now_ms;
	if (first->command.behind || first->not_before_ms <= now_ms)
		return 0;
	return first->not_before_ms - now_ms;
}

static struct parked_command *copy_of(const struct fake_parked *parked, int64_t now_ms)
{
	struct parked_command *copy = checked(calloc(1, sizeof(*copy)));

	copy_command(copy, &parked->command);
	copy->due_in_ms = copy->behind ? 0 : parked->not_before_ms - now_ms;
	return copy;
}

/* Those that follow each other in the array. */
static void read_batch(struct store *store, size_t place, size_t count_max, size_t bytes_max, int64_t now_ms,
	struct parked_batch *ret)
{
	const struct parked_command *first = &store->parked[place]->command;
	size_t bytes = 0;

	ret->commands = checked(calloc(count_max, sizeof(ret->commands[0])));
	for (; place < store->parked_count &&
		fake_parked_is_of(store->parked[place], first->lane, first->user);
		place++) {
		bytes += store->parked[place]->command.payload_size +
			 store->parked[place]->command.correlation_size;
		ret->more = ret->count > 0 && (ret->count == count_max || bytes > bytes_max);
		if (ret->more)
			return;
		ret->commands[ret->count++] = copy_of(store->parked[place], now_ms);
	}
}

int parked_commands_claim(struct store_client *client, const char *lane, const char *user,
	const struct backlog_lease *lease, size_t count_max, size_t bytes_max, struct parked_batch *ret)
{
	struct store *store = client->store;
	size_t place = 0;
	int error = fake_operation_begin(client);

	*ret = (struct parked_batch){.commands = NULL};
	if (error != 0)
		return error;
	const int64_t now_ms = fake_now_ms(store);
	while (place < store->parked_count && !fake_parked_is_of(store->parked[place], lane, user))
		place++;
	if (place == store->parked_count)
		return fake_operation_end(client, PARKED_E_NONE);
	ret->later_ms = claimable_in_ms(store->parked[place], lease->owner, now_ms);
	if (ret->later_ms > 0)
		return fake_operation_end(client, PARKED_E_LATER);
	set_lease(store->parked[place], lease, now_ms);
	read_batch(store, place, count_max > 0 ? count_max : PARKED_BATCH_MAX,
		bytes_max > 0 ? bytes_max : PARKED_BATCH_BYTES, now_ms, ret);
	ret->commands[0]->due_in_ms = 0;
	error = fake_operation_end(client, 0);
	if (error != 0)
		parked_batch_free(ret);
	return error;
}

/* ---- What is there already ---- */

static void finish(struct store *store, const struct parked_finish *finish)
{
	const struct backlog_lease *lease = finish->lease;
	struct fake_parked *stays = finish->next ? by_id(store, finish->user, finish->next) : NULL;

	if (stays && lease && (!stays->claimed_by || leased_by(stays, lease->owner)))
		set_lease(stays, lease, fake_now_ms(store));
	for (size_t i = 0; i < finish->count; i++) {
		const size_t place = place_of(store, &finish->done[i]);

		if (place == store->parked_count)
			continue;
		/* The real one would remove it. */
		if (strcmp(store->parked[place]->command.user, finish->user) != 0)
			abort();
		fake_parked_free(store->parked[place]);
		take_out(store, place);
	}
}

int parked_commands_finish(struct store_client *client, const struct parked_finish *finishes, size_t count)
{
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	for (size_t i = 0; i < count; i++)
		finish(client->store, &finishes[i]);
	return fake_operation_end(client, 0);
}

int parked_commands_postpone(
	struct store_client *client, const struct parked_command *first, const char *owner, unsigned delay_ms)
{
	struct store *store = client->store;
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_parked *parked = by_id(store, first->user, &first->id);
	if (parked && (!parked->claimed_by || leased_by(parked, owner))) {
		struct parked_command *own = &parked->command;

		end_lease(parked, fake_now_ms(store) + delay_ms);
		free_settled(own);
		copy_settled(own, first);
		fake_forget(own->end);
		own->end = fake_text_copy(first->end);
		fake_forget(own->handler);
		own->handler = fake_text_copy(first->handler);
		fake_forget(own->reason);
		own->reason = fake_text_copy(first->reason);
		own->attempts = first->attempts;
		own->crashes = first->crashes;
	}
	return fake_operation_end(client, 0);
}

int parked_commands_renew(struct store_client *client, const char *user, const struct store_id *first,
	const struct backlog_lease *lease)
{
	struct store *store = client->store;
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_parked *parked = by_id(store, user, first);
	const bool ours = parked && leased_by(parked, lease->owner);
	if (ours)
		set_lease(parked, lease, fake_now_ms(store));
	return fake_operation_end(client, ours ? 0 : PARKED_E_LATER);
}

int parked_commands_release(
	struct store_client *client, const char *user, const struct store_id *first, const char *owner)
{
	struct store *store = client->store;
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_parked *parked = by_id(store, user, first);
	if (parked && leased_by(parked, owner))
		end_lease(parked, fake_now_ms(store));
	return fake_operation_end(client, 0);
}

int parked_commands_move(struct store_client *client, const char *user, const struct store_id *id,
	const char *lane, unsigned since_ms, bool *ret_moved)
{
	struct store *store = client->store;
	const int error = fake_operation_begin(client);

	*ret_moved = false;
	if (error != 0)
		return error;
	struct fake_parked *parked = by_id(store, user, id);
	if (parked && strcmp(parked->command.lane, lane) != 0 &&
		parked->not_before_ms <= fake_now_ms(store) - since_ms) {
		take_out(store, place_of(store, id));
		fake_forget(parked->command.lane);
		parked->command.lane = fake_text_copy(lane);
		end_lease(parked, fake_now_ms(store));
		sort_in(store, parked);
		*ret_moved = true;
	}
	return fake_operation_end(client, 0);
}

/* ---- Who has something parked ---- */

int parked_commands_backlogs(struct store_client *client, const char *lane, const char *owner,
	parked_backlog_visitor visit, void *context, int64_t *ret_last_position)
{
	struct store *store = client->store;
	const int error = fake_operation_begin(client);
	const char *user = NULL;
	int64_t last = 0;

	if (error != 0)
		return error;
	for (size_t i = 0; i < store->parked_count; i++) {
		const struct fake_parked *parked = store->parked[i];

		if (strcmp(parked->command.lane, lane) != 0)
			continue;
		if (parked->command.position > last &&
			parked->command.position > (fake_now_ms(store) - NEW_MS) * 1000)
			last = parked->command.position;
		if (user && strcmp(user, parked->command.user) == 0)
			continue;
		user = parked->command.user;
		visit(context, user, claimable_in_ms(parked, owner, fake_now_ms(store)));
	}
	*ret_last_position = last;
	return fake_operation_end(client, 0);
}

int parked_command_count(struct store_client *client, uint64_t *ret_count)
{
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	*ret_count = client->store->parked_count;
	return fake_operation_end(client, 0);
}

/* ---- fake_store.h ---- */

size_t fake_store_parked(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	const size_t count = store->parked_count;
	pthread_mutex_unlock(&store->lock);
	return count;
}

const struct parked_command *fake_store_parked_command(struct store *store, size_t i)
{
	const struct parked_command *command = NULL;

	pthread_mutex_lock(&store->lock);
	if (i < store->parked_count) {
		struct fake_parked *parked = store->parked[i];

		if (!parked->command.behind)
			parked->command.due_in_ms = parked->not_before_ms - fake_now_ms(store);
		command = &parked->command;
	}
	pthread_mutex_unlock(&store->lock);
	return command;
}

const char *fake_store_backlog_owner(struct store *store, size_t i)
{
	pthread_mutex_lock(&store->lock);
	const char *owner = i < store->parked_count ? store->parked[i]->claimed_by : NULL;
	pthread_mutex_unlock(&store->lock);
	return owner;
}

void fake_parked_dump(struct store *store, FILE *out)
{
	for (size_t i = 0; i < store->parked_count; i++) {
		const struct parked_command *command = &store->parked[i]->command;

		fprintf(out, "parked_commands %s of %s, attempts %u%s%s: %s\n", command->topic, command->lane,
			command->attempts, store->parked[i]->claimed_by ? ", leased by " : "",
			store->parked[i]->claimed_by ? store->parked[i]->claimed_by : "", command->reason);
	}
}
