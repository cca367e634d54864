/*
 * users.h - the order within a user: a line of commands for each user of a lane who has any.
 *
 * A line holds a user's unsettled commands in the order of their arrival. The first that is not *through* has the turn:
 * it runs, or may be started. Those before it have made their effects, and wait for the PUBACKs of their events or for
 * their deletion in the store; those behind it wait. So whether everything earlier is settled is one look at the head.
 *
 * A user's *active time* is the time during which the command that has the turn ran or waited for a retry: not that
 * in which it waited for a worker, for the store (its handlers' own operations, up to a second each, are such waits
 * too), or for the broker. By it is known how long a place has been held through the user's own doing.
 *
 * Users without commands and without a backlog cost nothing. I/O thread only.
 */
#ifndef USERS_H
#define USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backlog;
struct command;
struct users;

struct user {
	struct user *bucket_next;
	uint64_t key;		      /* users_key() of the name */
	struct command *first, *last; /* linked by user_next */
	struct command *turn;	      /* the first that is not through; NULL: all are */
	unsigned waiting;	      /* from the broker, not through */
	size_t waiting_bytes;	      /* of their payloads */
	unsigned unpromised;	      /* of those in the line: without a promise */
	struct backlog *backlog;      /* what of his is in the store; NULL: nothing, as far as is known */
	int64_t active_us;	      /* in all, up to the last change */
	bool in_turn, again; /* dispatch.c's: his turn is being given, and is to be looked at once more */
	struct users *users; /* where he is */
	char name[];
};

struct users *users_new(void); /* NULL when out of memory */
void users_free(struct users *users);

/* A hash, by which users are told apart where a name would be too long. Never 0. */
uint64_t users_key(const char *name, size_t size);

/* The user of that name; made where there is none. NULL when out of memory. Dropped again by users_drop_idle(). */
struct user *users_get(struct users *users, uint64_t key, const char *name, size_t size);

/* The same, but NULL where there is none. */
struct user *users_find(const struct users *users, uint64_t key, const char *name, size_t size);

/* How many there are: they have a command or a backlog. */
size_t users_count(const struct users *users);

/* Puts the command at the end of the line. */
void user_append(struct user *user, struct command *command);

/* Puts a command from the store behind those from the store, and before those from the broker that are not through: it
 * was earlier. */
void user_insert(struct user *user, struct command *command);

/* It has stepped aside: from now on it is a command from the store. Sets its origin. */
void user_stored(struct user *user, struct command *command);

/* It is through: the turn is the next one's. */
void user_through(struct user *user, struct command *command);

/* It leaves the line, settled or forgotten. */
void user_remove(struct user *user, struct command *command);

/* Forgets a user who has no command and no backlog. */
void users_drop_idle(struct user *user);

/* His active time so far. */
int64_t user_active_us(const struct user *user, int64_t now_us);

/* For each user; the callback may drop this one. */
void users_each(struct users *users, void (*visit)(void *context, struct user *user), void *context);

#endif
