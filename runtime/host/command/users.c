/*
 * users.c - see users.h. A hash table with chains.
 */
#include "users.h"

#include "command.h"
#include "fingerprint.h"
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096, SPARE_MAX = 256, SPARE_NAME_SIZE = 65 };

struct users {
	size_t count;
	struct user *spare; /* linked by bucket_next: most users come and go with each command */
	size_t spare_count;
	struct user *buckets[BUCKETS];
};

struct users *users_new(void)
{
	return calloc(1, sizeof(struct users));
}

void users_free(struct users *users)
{
	if (!users)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct user *user = users->buckets[i], *next; user; user = next) {
			next = user->bucket_next;
			free(user);
		}
	}
	for (struct user *user = users->spare, *next; user; user = next) {
		next = user->bucket_next;
		free(user);
	}
	free(users);
}

uint64_t users_key(const char *name, size_t size)
{
	return fingerprint_text(name, size);
}

struct user *users_find(const struct users *users, uint64_t key, const char *name, size_t size)
{
	struct user *user = users->buckets[key % BUCKETS];
	while (user && (user->key != key || strncmp(user->name, name, size) != 0 || user->name[size] != '\0'))
		user = user->bucket_next;
	return user;
}

static struct user *new_user(struct users *users, size_t size)
{
	if (size >= SPARE_NAME_SIZE)
		return malloc(sizeof(struct user) + size + 1);
	struct user *user = users->spare;
	if (!user)
		return malloc(sizeof(*user) + SPARE_NAME_SIZE);
	users->spare = user->bucket_next;
	users->spare_count--;
	return user;
}

struct user *users_get(struct users *users, uint64_t key, const char *name, size_t size)
{
	struct user *user = users_find(users, key, name, size);
	if (user)
		return user;
	user = new_user(users, size);
	if (!user)
		return NULL;
	*user = (struct user){.bucket_next = users->buckets[key % BUCKETS], .key = key, .users = users};
	memcpy(user->name, name, size);
	user->name[size] = '\0';
	users->buckets[key % BUCKETS] = user;
	users->count++;
	return user;
}

void users_drop_idle(struct user *user)
{
	if (user->first || user->backlog || user->in_turn)
		return;
	struct users *users = user->users;
	struct user **at = &users->buckets[user->key % BUCKETS];
	while (*at != user)
		at = &(*at)->bucket_next;
	*at = user->bucket_next;
	users->count--;
	if (users->spare_count == SPARE_MAX || strlen(user->name) >= SPARE_NAME_SIZE) {
		free(user);
		return;
	}
	user->bucket_next = users->spare;
	users->spare = user;
	users->spare_count++;
}

size_t users_count(const struct users *users)
{
	return users->count;
}

static void add_waiting(struct user *user, const struct command *command)
{
	user->waiting++;
	user->waiting_bytes += command->input.payload_size;
}

static void take_waiting(struct user *user, const struct command *command)
{
	user->waiting--;
	user->waiting_bytes -= command->input.payload_size;
}

void user_append(struct user *user, struct command *command)
{
	command->user = user;
	command->user_next = NULL;
	command->user_previous = user->last;
	if (user->last)
		user->last->user_next = command;
	else
		user->first = command;
	user->last = command;
	user->unpromised += command->origin == COMMAND_UNPROMISED;
	if (command->through)
		return;
	if (command->origin != COMMAND_FROM_STORE)
		add_waiting(user, command);
	if (!user->turn)
		user->turn = command;
}

void user_insert(struct user *user, struct command *command)
{
	struct command *before = user->turn;
	while (before && (before->origin == COMMAND_FROM_STORE || before->state != COMMAND_WAITING))
		before = before->user_next;
	if (!before) {
		user_append(user, command);
		return;
	}
	command->user = user;
	command->user_next = before;
	command->user_previous = before->user_previous;
	before->user_previous = command;
	if (command->user_previous)
		command->user_previous->user_next = command;
	else
		user->first = command;
	if (user->turn == before)
		user->turn = command;
}

void user_stored(struct user *user, struct command *command)
{
	if (!command->through && command->origin != COMMAND_FROM_STORE)
		take_waiting(user, command);
	user->unpromised -= command->origin == COMMAND_UNPROMISED;
	command->origin = COMMAND_FROM_STORE;
}

int64_t user_active_us(const struct user *user, int64_t now_us)
{
	const struct command *turn = user->turn;
	if (turn && turn->state == COMMAND_RUNNING)
		return user->active_us + command_ran_us(turn, now_us);
	if (turn && turn->state == COMMAND_RETRYING && turn->retry_at_ms != INT64_MAX &&
		now_us > turn->retry_since_ms * 1000)
		return user->active_us + now_us - turn->retry_since_ms * 1000;
	return user->active_us;
}

void user_through(struct user *user, struct command *command)
{
	if (command->through)
		return;
	command->through = true;
	if (command->origin != COMMAND_FROM_STORE)
		take_waiting(user, command);
	while (user->turn && user->turn->through)
		user->turn = user->turn->user_next;
}

void user_remove(struct user *user, struct command *command)
{
	user_through(user, command);
	if (command->user_previous)
		command->user_previous->user_next = command->user_next;
	else
		user->first = command->user_next;
	if (command->user_next)
		command->user_next->user_previous = command->user_previous;
	else
		user->last = command->user_previous;
	user->unpromised -= command->origin == COMMAND_UNPROMISED;
	command->user = NULL;
	command->user_next = command->user_previous = NULL;
}

void users_each(struct users *users, void (*visit)(void *context, struct user *user), void *context)
{
	for (size_t i = 0; i < BUCKETS && users->count > 0; i++) {
		for (struct user *user = users->buckets[i], *next; user; user = next) {
			next = user->bucket_next;
			visit(context, user);
		}
	}
}
