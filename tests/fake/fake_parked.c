/*
 * fake_parked.c - the stand-in store's parked commands: an array sorted by user, lane and position, and the
 * rules of store/parked_commands.c over it.
 */
#include "fake_store_private.h"
#include <string.h>

struct fake_parked {
	struct parked_command command; /* its pointers are copies of ours */
	int64_t lease_until_ms;
	bool done;
};

/* ---- copies ---- */

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
	to->before = from->before ? fake_bytes_copy(from->before, from->before_size) : NULL;
	to->response_topic = from->response_topic ? fake_text_copy(from->response_topic) : NULL;
	copy_settled(to, from);
	to->end = fake_text_copy(from->end);
	to->handler = fake_text_copy(from->handler);
	to->reason = fake_text_copy(from->reason);
	to->claimed_by = from->claimed_by ? fake_text_copy(from->claimed_by) : NULL;
}

static void free_parts(struct parked_command *command)
{
	fake_forget(command->lane);
	fake_forget(command->user);
	fake_forget(command->topic);
	fake_forget(command->payload);
	fake_forget(command->correlation);
	fake_forget(command->before);
	fake_forget(command->response_topic);
	free_settled(command);
	fake_forget(command->end);
	fake_forget(command->handler);
	fake_forget(command->reason);
	fake_forget(command->claimed_by);
}

void parked_command_free(struct parked_command *command)
{
	if (!command)
		return;
	free_parts(command);
	free(command);
}

void fake_parked_free_all(struct store *store)
{
	for (size_t i = 0; i < store->parked_count; i++) {
		free_parts(&store->parked[i]->command);
		free(store->parked[i]);
	}
	free(store->parked);
}

/* ---- looking up ---- */

static int compare(const struct parked_command *a, const struct parked_command *b)
{
	int order = strcmp(a->user, b->user);

	if (order == 0)
		order = strcmp(a->lane, b->lane);
	if (order == 0)
		order = (a->position > b->position) - (a->position < b->position);
	return order;
}

static struct fake_parked *by_id(struct store *store, const unsigned char id[static 12])
{
	for (size_t i = 0; i < store->parked_count; i++)
		if (memcmp(store->parked[i]->command.id, id, 12) == 0)
			return store->parked[i];
	return NULL;
}

static bool open_of(const struct fake_parked *parked, const char *lane, const char *user)
{
	return !parked->done && strcmp(parked->command.lane, lane) == 0 &&
	       strcmp(parked->command.user, user) == 0;
}

static struct fake_parked *first_of(struct store *store, const char *lane, const char *user)
{
	for (size_t i = 0; i < store->parked_count; i++)
		if (open_of(store->parked[i], lane, user))
			return store->parked[i];
	return NULL;
}

/* ---- store.h ---- */

void parked_command_new_id(unsigned char ret_id[static 12])
{
	dead_letter_new_id(ret_id);
}

int parked_command_add(struct store_client *client, const struct parked_command *command)
{
	struct store *store = client->store;
	struct fake_parked *parked;
	size_t place;
	const int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	if (by_id(store, command->id))
		return fake_operation_end(client, 0);
	parked = checked(calloc(1, sizeof(*parked)));
	copy_command(&parked->command, command);
	fake_forget(parked->command.claimed_by);
	parked->command.claimed_by = NULL;
	store->parked = checked(realloc(store->parked, (store->parked_count + 1) * sizeof(store->parked[0])));
	for (place = store->parked_count; place > 0; place--) {
		if (compare(&store->parked[place - 1]->command, command) <= 0)
			break;
		store->parked[place] = store->parked[place - 1];
	}
	store->parked[place] = parked;
	store->parked_count++;
	return fake_operation_end(client, 0);
}

int parked_command_marks(
	struct store_client *client, const char *lane, parked_mark_visitor visit, void *context)
{
	struct store *store = client->store;
	const int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	for (size_t i = 0; i < store->parked_count; i++) {
		const struct fake_parked *parked = store->parked[i];
		const struct parked_mark mark = {
			.user = parked->command.user,
			.mid = parked->command.mid,
			.key = parked->command.key,
			.before = parked->command.before,
			.before_size = parked->command.before_size,
			.done = parked->done,
			.position = parked->command.position,
			.not_before_ms = parked->done ? 0 : parked->command.not_before_ms,
		};

		if (strcmp(parked->command.lane, lane) == 0)
			visit(context, &mark);
	}
	return fake_operation_end(client, 0);
}

static bool named(const char *lane, const char *const *lanes, size_t lane_count)
{
	for (size_t i = 0; i < lane_count; i++)
		if (strcmp(lanes[i], lane) == 0)
			return true;
	return lane_count == 0;
}

struct due {
	const struct parked_command *command; /* the user's longest due one */
};

static int compare_due(const void *a, const void *b)
{
	const int64_t left = ((const struct due *)a)->command->not_before_ms;
	const int64_t right = ((const struct due *)b)->command->not_before_ms;

	return (left > right) - (left < right);
}

/* One for each user and lane: their commands stand side by side. */
static size_t collect_due(const struct store *store, const char *const *lanes, size_t lane_count,
	int64_t before_ms, struct due *due)
{
	size_t count = 0;

	for (size_t i = 0; i < store->parked_count; i++) {
		const struct parked_command *command = &store->parked[i]->command;

		if (store->parked[i]->done || command->not_before_ms > before_ms ||
			!named(command->lane, lanes, lane_count))
			continue;
		if (count > 0 && strcmp(due[count - 1].command->user, command->user) == 0 &&
			strcmp(due[count - 1].command->lane, command->lane) == 0) {
			if (command->not_before_ms < due[count - 1].command->not_before_ms)
				due[count - 1].command = command;
			continue;
		}
		due[count++].command = command;
	}
	return count;
}

int parked_command_due(struct store_client *client, const char *const *lanes, size_t lane_count,
	int64_t before_ms, size_t limit, struct parked_user **ret_users, size_t *ret_count)
{
	struct store *store = client->store;
	struct parked_user *users;
	struct due *due;
	size_t count;
	int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	due = checked(calloc(store->parked_count + 1, sizeof(*due)));
	count = collect_due(store, lanes, lane_count, before_ms, due);
	qsort(due, count, sizeof(*due), compare_due);
	if (limit > 0 && count > limit)
		count = limit;
	users = checked(calloc(count + 1, sizeof(*users)));
	for (size_t i = 0; i < count; i++) {
		users[i].lane = fake_text_copy(due[i].command->lane);
		users[i].user = fake_text_copy(due[i].command->user);
	}
	free(due);
	r = fake_operation_end(client, 0);
	if (r != 0) {
		parked_users_free(users, count);
		return r;
	}
	*ret_users = users;
	*ret_count = count;
	return 0;
}

void parked_users_free(struct parked_user *users, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(users[i].lane);
		free(users[i].user);
	}
	free(users);
}

int parked_command_claim(struct store_client *client, const char *lane, const char *user, const char *owner,
	int64_t now_ms, int64_t lease_ms, struct parked_command **ret_command)
{
	struct parked_command *copy;
	struct fake_parked *first;
	int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	first = first_of(client->store, lane, user);
	if (!first)
		return fake_operation_end(client, PARKED_E_NONE);
	if (first->command.not_before_ms > now_ms ||
		(first->command.claimed_by && strcmp(first->command.claimed_by, owner) != 0 &&
			first->lease_until_ms > now_ms))
		return fake_operation_end(client, PARKED_E_LATER);
	fake_forget(first->command.claimed_by);
	first->command.claimed_by = fake_text_copy(owner);
	first->lease_until_ms = lease_ms;
	first->command.attempts++;
	copy = checked(calloc(1, sizeof(*copy)));
	copy_command(copy, &first->command);
	r = fake_operation_end(client, 0);
	if (r == 0)
		*ret_command = copy;
	else
		parked_command_free(copy);
	return r;
}

static void postpone_first(struct fake_parked *parked, const struct parked_command *command)
{
	struct parked_command *own = &parked->command;

	if (parked->done ||
		(command->claimed_by && own->claimed_by && strcmp(command->claimed_by, own->claimed_by) != 0))
		return;
	fake_forget(own->claimed_by);
	own->claimed_by = NULL;
	parked->lease_until_ms = 0;
	free_settled(own);
	copy_settled(own, command);
	fake_forget(own->end);
	own->end = fake_text_copy(command->end);
	fake_forget(own->handler);
	own->handler = fake_text_copy(command->handler);
	fake_forget(own->reason);
	own->reason = fake_text_copy(command->reason);
	own->attempts = command->attempts;
	own->crashes = command->crashes;
	own->not_before_ms = command->not_before_ms;
}

int parked_command_postpone(struct store_client *client, const struct parked_command *command)
{
	struct store *store = client->store;
	struct fake_parked *parked;
	const int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	parked = by_id(store, command->id);
	if (parked)
		postpone_first(parked, command);
	for (size_t i = 0; i < store->parked_count; i++) {
		parked = store->parked[i];
		if (open_of(parked, command->lane, command->user) &&
			parked->command.position > command->position)
			parked->command.not_before_ms = command->not_before_ms;
	}
	return fake_operation_end(client, 0);
}

int parked_command_finish(struct store_client *client, const struct parked_command *command, bool *ret_more)
{
	struct store *store = client->store;
	struct fake_parked *parked;
	bool more;
	int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	parked = by_id(store, command->id);
	if (parked && !parked->done) {
		parked->done = true;
		fake_forget(parked->command.payload);
		fake_forget(parked->command.correlation);
		fake_forget(parked->command.response_topic);
		fake_forget(parked->command.claimed_by);
		parked->command.payload = parked->command.correlation = NULL;
		parked->command.payload_size = parked->command.correlation_size = 0;
		parked->command.response_topic = parked->command.claimed_by = NULL;
	}
	more = first_of(store, command->lane, command->user) != NULL;
	r = fake_operation_end(client, 0);
	if (r == 0)
		*ret_more = more;
	return r;
}

/* ---- fake_store.h ---- */

static size_t count_of(struct store *store, bool done)
{
	size_t count = 0;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->parked_count; i++)
		if (store->parked[i]->done == done)
			count++;
	pthread_mutex_unlock(&store->lock);
	return count;
}

size_t fake_store_parked(struct store *store)
{
	return count_of(store, false);
}

size_t fake_store_tombstones(struct store *store)
{
	return count_of(store, true);
}

const struct parked_command *fake_store_parked_command(struct store *store, size_t i)
{
	const struct parked_command *command;

	pthread_mutex_lock(&store->lock);
	command = i < store->parked_count ? &store->parked[i]->command : NULL;
	pthread_mutex_unlock(&store->lock);
	return command;
}

void fake_parked_dump(struct store *store, FILE *out)
{
	for (size_t i = 0; i < store->parked_count; i++) {
		const struct parked_command *command = &store->parked[i]->command;

		fprintf(out, "parked_commands %s of %s, attempts %u%s: %s\n", command->topic, command->lane,
			command->attempts, store->parked[i]->done ? ", done" : "", command->reason);
	}
}
