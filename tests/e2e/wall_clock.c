/* wall_clock.c - see wall_clock.h. */
#include "wall_clock.h"
#include "token.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TOKEN_S = 90 * 86400 };

void wall_clock_set(struct host *host, int64_t ahead_ms)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/clock", host_folder(host));
	const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	/* In one piece: it may be read meanwhile. */
	if (fd < 0 || pwrite(fd, &ahead_ms, sizeof(ahead_ms), 0) != sizeof(ahead_ms))
		harness_fail("%s cannot be written: %s", path, strerror(errno));
	close(fd);
	/* LD_PRELOAD takes a blank for the end of a name, and there is no quoting: the build's folder may have some, the host's has none. */
	char library[512];
	snprintf(library, sizeof(library), "%s/shifted_clock.so", host_folder(host));
	if (symlink(SHIFTED_CLOCK_PATH, library) != 0 && errno != EEXIST)
		harness_fail("%s cannot be linked: %s", library, strerror(errno));
	host_set_environment(host, "LD_PRELOAD", library);
	host_set_environment(host, "CLOCK_SHIFT_FILE", path);
}

void wall_clock_use_token(struct harness *h, struct host *host)
{
	char *token = NULL;
	if (token_sign_handler(HARNESS_SECRET, "cashewd", time(NULL), TOKEN_S, &token) != 0)
		harness_fail("no token could be made");
	host_set(host, "HANDLER_TOKEN_FILE",
		harness_write_file(h, harness_format(h, "%s/token", host_folder(host)), token));
	host_set(host, "JWT_SECRET", NULL);
	free(token);
}

int64_t wall_clock_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
