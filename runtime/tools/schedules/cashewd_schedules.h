/*
 * cashewd_schedules.h - `cashewd schedules`: how far the schedules are, and running one now.
 */
#ifndef CASHEWD_SCHEDULES_H
#define CASHEWD_SCHEDULES_H

struct cashew_handler;

/*
 * values[0] is "schedules"; handlers: those built in, ended by NULL. forget_secrets is called when the settings have been read. Returns the exit code.
 * Once, main thread.
 */
int cashewd_schedules(
	int count, char **values, const struct cashew_handler *const *handlers, void (*forget_secrets)(void));

#endif
