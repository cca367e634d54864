/* port.c - see port.h. */
#include "port.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT_FIRST = 20000, PORT_COUNT = 12000 };

static bool port_free(int port)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	/* Without it a port whose last connections linger in TIME_WAIT would count as taken. */
	const bool is_free = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
			     bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
	if (fd >= 0)
		close(fd);
	return is_free;
}

int port_reserve(void)
{
	static int locks = -1; /* stays open on purpose: the locks on it last as long as the program */
	static int tried;
	if (locks < 0) {
		const char *folder = getenv("TMPDIR");
		char path[512];
		snprintf(path, sizeof(path), "%s/cashewd-test-ports-%u", folder ? folder : "/tmp",
			(unsigned)getuid());
		locks = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (locks < 0)
			return -errno;
	}
	/* Programs start looking at different places, so that they rarely meet. No port is tried twice: a
	 * program would get its own lock again. */
	const int start = (int)((unsigned)getpid() * 37U % PORT_COUNT);
	while (tried < PORT_COUNT) {
		const int port = PORT_FIRST + (start + tried++) % PORT_COUNT;
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = port, .l_len = 1};
		if (fcntl(locks, F_OFD_SETLK, &lock) == 0 && port_free(port))
			return port;
	}
	return -EADDRINUSE;
}
