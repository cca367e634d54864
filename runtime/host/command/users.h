/*
 * users.h - the order within a user: one queue of commands for each user of a lane who has any.
 *
 * The first of a queue is the one whose turn it is; the others wait behind it. Users without commands cost
 * nothing. I/O thread only.
 */
#ifndef USERS_H
#define USERS_H

#include <stdbool.h>
#include <stddef.h>

struct command;
struct lane_users;

enum users_error { USERS_E_FULL = 1 };

struct lane_users *users_new(void);
void users_free(struct lane_users *users);

/* Queues the command behind those of its user. 0 with *ret_turn telling whether it is first; USERS_E_FULL
 * when `limit` are there already; -ENOMEM. */
__attribute__((warn_unused_result)) int users_enqueue(
	struct lane_users *users, struct command *command, unsigned limit, bool *ret_turn);

/* Takes the first command of its user's queue out. Returns the next one, whose turn it is now, or NULL. */
struct command *users_dequeue(struct lane_users *users, struct command *command);

/* Whether that user has a command in a queue. */
bool users_busy(const struct lane_users *users, const char *user, size_t size);

/* Takes out every command that has not begun or waits for a retry: a list linked by user_next, with user
 * NULL. */
struct command *users_take_idle(struct lane_users *users);

#endif
