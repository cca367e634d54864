/*
 * users.c - see host_users.h. A hash table with chains; a user's entry lives as long as its queue.
 */
#include "users.h"

#include "command.h"
#include "fingerprint.h"
#include "topic.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

struct lane_user {
	struct lane_user *next; /* in the bucket */
	struct command *first, *last;
	unsigned count;
	unsigned bucket;
	size_t size;
	char name[]; /* of `size` bytes */
};

struct lane_users {
	size_t count;
	struct lane_user *buckets[BUCKETS];
};

static unsigned bucket_of(const char *user, size_t size)
{
	return (unsigned)(fingerprint_text(user, size) % BUCKETS);
}

static struct lane_user *find(const struct lane_users *users, const char *name, size_t size, unsigned bucket)
{
	struct lane_user *user = users->buckets[bucket];
	while (user != NULL && (user->size != size || memcmp(user->name, name, size) != 0))
		user = user->next;
	return user;
}

static struct lane_user *add(struct lane_users *users, const char *name, size_t size, unsigned bucket)
{
	struct lane_user *user = malloc(sizeof(*user) + size);
	if (user == NULL)
		return NULL;
	*user = (struct lane_user){.next = users->buckets[bucket], .bucket = bucket, .size = size};
	memcpy(user->name, name, size);
	users->buckets[bucket] = user;
	users->count++;
	return user;
}

static void drop(struct lane_users *users, struct lane_user *user)
{
	struct lane_user **at = &users->buckets[user->bucket];
	while (*at != user)
		at = &(*at)->next;
	*at = user->next;
	users->count--;
	free(user);
}

struct lane_users *users_new(void)
{
	return calloc(1, sizeof(struct lane_users));
}

void users_free(struct lane_users *users)
{
	if (users == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (users->buckets[i] != NULL)
			drop(users, users->buckets[i]);
	free(users);
}

int users_enqueue(struct lane_users *users, struct command *command, unsigned limit, bool *ret_turn)
{
	const size_t size = strlen(command->input.user);
	const unsigned bucket = bucket_of(command->input.user, size);
	struct lane_user *user = find(users, command->input.user, size, bucket);
	if (user != NULL && user->count >= limit)
		return USERS_E_FULL;
	if (user == NULL)
		user = add(users, command->input.user, size, bucket);
	if (user == NULL)
		return -ENOMEM;
	command->user = user;
	command->user_next = NULL;
	if (user->last != NULL)
		user->last->user_next = command;
	else
		user->first = command;
	user->last = command;
	*ret_turn = user->count++ == 0;
	return 0;
}

struct command *users_dequeue(struct lane_users *users, struct command *command)
{
	struct lane_user *user = command->user;
	if (user->first != command)
		abort();
	struct command *next = command->user_next;
	command->user = NULL;
	command->user_next = NULL;
	user->first = next;
	user->count--;
	if (next == NULL)
		drop(users, user);
	return next;
}

bool users_busy(const struct lane_users *users, const char *user, size_t size)
{
	return users->count > 0 && find(users, user, size, bucket_of(user, size)) != NULL;
}

/* Keeps the first command if it has begun; appends the others to the list whose end is given, and returns the
 * new end. */
static struct command **take_from_user(struct lane_user *user, struct command **end)
{
	struct command *command = user->first, *next;
	user->first = user->last = NULL;
	user->count = 0;
	for (; command != NULL; command = next) {
		next = command->user_next;
		command->user_next = NULL;
		if (command->state == COMMAND_WAITING || command->state == COMMAND_RETRYING) {
			command->user = NULL;
			*end = command;
			end = &command->user_next;
		} else {
			user->first = user->last = command;
			user->count = 1;
		}
	}
	return end;
}

struct command *users_take_idle(struct lane_users *users)
{
	struct command *idle = NULL, **end = &idle;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct lane_user *user = users->buckets[i], *next;
		for (; user != NULL; user = next) {
			next = user->next;
			end = take_from_user(user, end);
			if (user->first == NULL)
				drop(users, user);
		}
	}
	return idle;
}
