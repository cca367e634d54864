/*
 * setup.h - what a handler makes before it is run: once in a process (.load), and once in each thread that runs handlers (.init).
 *
 * Both are given the handler's own settings, and say in words why they failed. What no init has made, no fini is called for.
 */
#ifndef SETUP_H
#define SETUP_H

struct cashew_handler;
struct settings;

enum { SETUP_REASON_SIZE = 500 };

/*
 * Calls the handler's .load; nothing where it has none. 0; else what it returned, and a reason as setup_init() gives one. Once in the process, before any
 * thread's setup_init().
 */
__attribute__((warn_unused_result)) int setup_load(const struct cashew_handler *handler,
	const struct settings *settings, char ret_reason[static SETUP_REASON_SIZE]);

/*
 * Calls the handler's .init; nothing where it has none. 0 and *ret_state, which is NULL where it made none; else what it returned, and a reason, which
 * says what it returned where it gave none. The thread that will run the handler.
 */
__attribute__((warn_unused_result)) int setup_init(const struct cashew_handler *handler,
	const struct settings *settings, void **ret_state, char ret_reason[static SETUP_REASON_SIZE]);

/* Calls its .fini with what setup_init() made. The same thread. */
void setup_fini(const struct cashew_handler *handler, void *state);

#endif
