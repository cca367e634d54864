/*
 * host.h - the host: connects to the broker, runs handlers, acknowledges what is done. The calling thread
 * becomes the I/O thread.
 */
#ifndef HOST_H
#define HOST_H

struct settings;
struct cashew_handler;

/* Exit codes (sysexits.h where it has one). */
enum host_exit { HOST_EXIT_OK = 0, HOST_EXIT_USAGE = 64, HOST_EXIT_SOFTWARE = 70, HOST_EXIT_CONFIG = 78 };

/*
 * Picks the handlers that settings->handlers names (all of `handlers`, ended by NULL, where it is empty) and
 * refuses descriptors that cannot be used, overlapping filters within a lane, and a deadline that is not
 * below settings_group_limit_s(). 0 and an array ended by NULL, freed with free(); HOST_EXIT_CONFIG, or
 * HOST_EXIT_SOFTWARE when out of memory, after writing what is wrong to `problems` (a FILE *), one line each.
 */
struct _IO_FILE;
__attribute__((warn_unused_result)) int host_select_handlers(const struct settings *settings,
	const struct cashew_handler *const *handlers, struct _IO_FILE *problems,
	const struct cashew_handler ***ret_selected);

/*
 * Runs until SIGTERM or SIGINT, reconnecting for ever, and returns the exit code. The log is open. SIGTERM
 * and SIGINT are blocked by this call in all threads and read from a descriptor. `handlers` is what
 * host_select_handlers() returned.
 */
__attribute__((warn_unused_result)) int host_run(
	const struct settings *settings, const struct cashew_handler *const *handlers);

#endif
