/*
 * token_program.h - runs cashew-token in the folder of provider_parts.h, and tells what came of it. Included behind that.
 */
#ifndef TOKEN_PROGRAM_H
#define TOKEN_PROGRAM_H

#define PROGRAM BINARY_DIR "/cashew-token"

enum { ARGUMENTS_MAX = 24 };

struct outcome {
	int code; /* -1: killed */
	char *out, *err;
};

static void outcome_free(struct outcome *outcome)
{
	free(outcome->out);
	free(outcome->err);
	*outcome = (struct outcome){0};
}

/* In the folder. Arguments and settings end with NULL; out NULL: it is read. */
static struct outcome run(
	const char *const *arguments, const char *const *settings, const char *input, const char *out)
{
	const char *argv[ARGUMENTS_MAX + 2] = {PROGRAM}, *environment[8] = {NULL};
	size_t count = 0, setting_count = 0;
	for (; arguments[count]; count++)
		argv[count + 1] = arguments[count];
	assert_true(count <= ARGUMENTS_MAX);
	for (; settings && settings[setting_count]; setting_count++)
		environment[setting_count] = settings[setting_count];
	char sanitizer[512];
	if (getenv("ASAN_OPTIONS")) {
		(void)snprintf(sanitizer, sizeof(sanitizer), "ASAN_OPTIONS=%s", getenv("ASAN_OPTIONS"));
		environment[setting_count] = sanitizer;
	}
	parts_write("in", input);
	posix_spawn_file_actions_t files;
	assert_int_equal(posix_spawn_file_actions_init(&files), 0);
	posix_spawn_file_actions_addopen(&files, 0, parts_path("in"), O_RDONLY, 0);
	posix_spawn_file_actions_addopen(
		&files, 1, out ? out : parts_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&files, 2, parts_path("err"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addchdir_np(&files, parts_folder);
	pid_t pid;
	int status;
	assert_int_equal(posix_spawn(&pid, PROGRAM, &files, NULL, (char *const *)(uintptr_t)argv,
				 (char *const *)(uintptr_t)environment),
		0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	posix_spawn_file_actions_destroy(&files);
	return (struct outcome){.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		.out = out ? NULL : parts_read("out"),
		.err = parts_read("err")};
}

#endif
