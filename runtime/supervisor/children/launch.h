/*
 * launch.h - starts the host's program, as the host or to try settings out.
 *
 * The new process gets three descriptors: the settings, the board, and a socket for its log. Neither its
 * arguments nor its environment hold anything secret. It begins with SIGTERM and SIGINT blocked, so that one
 * that comes early is not its end.
 */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <sys/types.h>

struct settings;
struct supervisor_logs;
struct supervisor_program;

enum spawn_role { SPAWN_HOST, SPAWN_TRIAL };

/* From the main thread: the process dies with the thread that started it. 0 and *ret_pid, with *logs open; a
 * negative errno. */
__attribute__((warn_unused_result)) int supervisor_spawn(const struct supervisor_program *program,
	enum spawn_role role, const struct settings *settings, int board_fd, struct supervisor_logs *logs,
	pid_t *ret_pid);

#endif
