/* enclosure.c - see enclosure.h. */
#include "enclosure.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

bool enclosure_allowed(void)
{
	int status = -1;
	const pid_t child = fork();
	if (child == 0)
		_exit(unshare(CLONE_NEWNS) != 0);
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/* It becomes the program, in the same process. */
static void use_script(
	struct harness *h, struct host *host, const char *name, const char *steps, const char *program)
{
	const char *path = harness_write_file(h, name,
		harness_format(h,
			"#!/bin/sh\n"
			"exec unshare --mount --propagation private sh -ec '%s\nexec \"$0\" \"$@\"' \"%s\" \"$@\"\n",
			steps, program));
	if (chmod(path, 0700) != 0)
		harness_fail("%s cannot be made a program", path);
	host_use_program(host, path);
}

struct enclosure_names enclosure_names(
	struct harness *h, struct host *host, const char *hosts, const char *resolver)
{
	const struct enclosure_names names = {.hosts = harness_write_file(h, "hosts", hosts),
		.resolver = harness_write_file(h, "resolv.conf", resolver)};
	use_script(h, host, "with-names",
		harness_format(h, "mount --bind \"%s\" /etc/hosts\nmount --bind \"%s\" /etc/resolv.conf",
			names.hosts, names.resolver),
		CASHEWD_TEST_PATH);
	return names;
}

void enclosure_read_only(struct harness *h, struct host *host, const char *program)
{
	/* A mount that is not made read-only would be found by the attempt to write. */
	use_script(h, host, "read-only",
		"while read -r device place rest; do\n"
		"	mount -o remount,ro,bind \"$place\" 2>/dev/null || true\n"
		"done </proc/self/mounts\n"
		"for folder in . \"${TMPDIR:-/tmp}\" /tmp /var/tmp /dev/shm; do\n"
		"	if touch \"$folder/written\" 2>/dev/null; then\n"
		"		echo \"$folder can be written to\" >&2\n"
		"		exit 99\n"
		"	fi\n"
		"done",
		program);
}
