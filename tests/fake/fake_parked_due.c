/* fake_parked_due.c - the stand-in store's parked commands: which are due, and whose they are. */
#include "fake_parked.h"
#include <stdlib.h>
#include <string.h>

static bool named(const char *lane, const char *const *lanes, size_t lane_count)
{
	for (size_t i = 0; i < lane_count; i++)
		if (strcmp(lanes[i], lane) == 0)
			return true;
	return lane_count == 0;
}

static int compare_due(const void *a, const void *b)
{
	const int64_t left = (*(const struct fake_parked *const *)a)->not_before_ms;
	const int64_t right = (*(const struct fake_parked *const *)b)->not_before_ms;

	return (left > right) - (left < right);
}

/* The longest due one for each user and lane: their commands stand side by side. */
static size_t collect_due(const struct store *store, const char *const *lanes, size_t lane_count,
	int64_t before_ms, const struct fake_parked **due)
{
	size_t count = 0;

	for (size_t i = 0; i < store->parked_count; i++) {
		const struct fake_parked *parked = store->parked[i];

		if (parked->not_before_ms > before_ms || !named(parked->command.lane, lanes, lane_count))
			continue;
		if (count > 0 &&
			fake_parked_is_of(due[count - 1], parked->command.lane, parked->command.user)) {
			if (parked->not_before_ms < due[count - 1]->not_before_ms)
				due[count - 1] = parked;
			continue;
		}
		due[count++] = parked;
	}
	return count;
}

int parked_commands_due(struct store_client *client, const char *const *lanes, size_t lane_count,
	unsigned since_ms, size_t limit, struct parked_user **ret_users, size_t *ret_count)
{
	struct store *store = client->store;
	int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	const struct fake_parked **due = checked(calloc(store->parked_count + 1, sizeof(*due)));
	size_t count = collect_due(store, lanes, lane_count, fake_now_ms(store) - since_ms, due);
	qsort(due, count, sizeof(*due), compare_due);
	if (limit > 0 && count > limit)
		count = limit;
	struct parked_user *users = checked(calloc(count + 1, sizeof(*users)));
	for (size_t i = 0; i < count; i++) {
		users[i].lane = fake_text_copy(due[i]->command.lane);
		users[i].user = fake_text_copy(due[i]->command.user);
	}
	free(due);
	error = fake_operation_end(client, 0);
	if (error != 0) {
		parked_users_free(users, count);
		return error;
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
