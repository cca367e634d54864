/* loggly_parts.h - what tests of shipping share: certificates, and a server that remembers what it took. */
#ifndef LOGGLY_PARTS_H
#define LOGGLY_PARTS_H

#include "bulk_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A token that would be seen wherever it stands. */
#define PARTS_TOKEN "0123canary-of-the-tests4567"

enum { PARTS_TIMEOUT_MS = 60000 };

static char parts_folder[64]; /* with the certificates */

/* What a server took, lines one behind the other. */
struct taken {
	pthread_mutex_t lock;
	char *lines;
	size_t size;
};

static inline void taken_add(void *context, const char *lines, size_t size)
{
	struct taken *taken = context;
	pthread_mutex_lock(&taken->lock);
	taken->lines = realloc(taken->lines, taken->size + size + 1);
	if (!taken->lines)
		abort();
	memcpy(taken->lines + taken->size, lines, size);
	taken->size += size;
	taken->lines[taken->size] = '\0';
	pthread_mutex_unlock(&taken->lock);
}

/* Runs a program to its end, without a shell: the checkout may lie anywhere. 0 if it ended well. */
static inline int parts_run(const char *const *argv)
{
	pid_t pid;
	int status;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) != 0 ||
		waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static inline int parts_setup(void **state)
{
	(void)state;
	strcpy(parts_folder, "/tmp/cashewd-test-XXXXXX");
	if (!mkdtemp(parts_folder))
		return -1;
	return parts_run((const char *const[]){
		SOURCE_DIR "/examples/broker/certificates", parts_folder, "--bad", NULL});
}

static inline int parts_teardown(void **state)
{
	(void)state;
	return parts_run((const char *const[]){"rm", "-rf", "--", parts_folder, NULL});
}

/* In the folder; lives until the next four calls. */
static inline const char *parts_path(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", parts_folder, name);
	return path;
}

static inline struct bulk_server *server_start(
	unsigned port, const char *certificate, bool old_tls, struct taken *taken)
{
	struct bulk_server *server = NULL;
	const struct bulk_server_options options = {.port = port,
		.certificate = parts_path(certificate),
		.key = parts_path("server.key"),
		.old_tls = old_tls,
		.take = taken ? taken_add : NULL,
		.context = taken};
	assert_int_equal(bulk_server_start(&options, &server), 0);
	return server;
}

#endif
