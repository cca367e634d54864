/*
 * launch.h - starts the host's program, as the host or to try settings out.
 *
 * The new process gets three descriptors (descriptors.h): the settings, the board, and a socket for its log. Neither its arguments nor its
 * environment hold anything secret. It begins with SIGTERM and SIGINT blocked, so that one that comes early is not its end. Failure: no memory,
 * descriptors or processes are left.
 */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <sys/types.h>

struct settings;
struct child_log;
struct program;

enum launch_role { LAUNCH_HOST, LAUNCH_TRIAL };

/* From the main thread: the process dies with the thread that started it. 0 and *ret_pid, with *logs and
 * *printed open; a negative errno. */
__attribute__((warn_unused_result)) int launch(const struct program *program, enum launch_role role,
	const struct settings *settings, int board_fd, struct child_log *logs, struct child_log *printed,
	pid_t *ret_pid);

#endif
