/* cashewd_dead_letters.h - `cashewd dead-letters list|show|replay|drop`. */
#ifndef CASHEWD_DEAD_LETTERS_H
#define CASHEWD_DEAD_LETTERS_H

struct cashew_handler;

/*
 * values[0] is "dead-letters"; handlers: those that are built in, ended by NULL; forget_secrets: called once
 * the settings are read. Returns the exit code. The process is hardened already.
 */
int cashewd_dead_letters(
	int count, char **values, const struct cashew_handler *const *handlers, void (*forget_secrets)(void));

#endif
