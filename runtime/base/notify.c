/*
 * notify.c - see notify.h.
 */
#include "notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { US_PER_MS = 1000 };

/* sd_notify(3): "/" begins a path, "@" an abstract name, which has no NUL behind it. */
static int read_address(const char *text, struct notify *notify)
{
	const size_t size = strlen(text);
	struct sockaddr_un *address = &notify->address;
	if ((text[0] != '/' && text[0] != '@') || size < 2 || size > sizeof(address->sun_path))
		return NOTIFY_E_ADDRESS;
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, text, size);
	if (text[0] == '@')
		address->sun_path[0] = '\0';
	notify->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	return 0;
}

static bool read_number(const char *text, unsigned long long *ret)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

/* How often to feed; 0 where the watchdog is not this process's. */
static int read_watchdog(const char *usec, const char *pid, int64_t *ret_ms)
{
	unsigned long long interval_us, owner;
	*ret_ms = 0;
	if (!usec)
		return 0;
	if (!read_number(usec, &interval_us) || interval_us == 0 || interval_us > INT64_MAX ||
		(pid && !read_number(pid, &owner)))
		return NOTIFY_E_WATCHDOG;
	const int64_t half_ms = (int64_t)(interval_us / 2 / US_PER_MS);
	if (!pid || owner == (unsigned long long)getpid())
		*ret_ms = half_ms > 0 ? half_ms : 1;
	return 0;
}

static int open_socket(const char *text, struct notify *notify)
{
	const int error = read_address(text, notify);
	if (error != 0)
		return error;
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return notify->fd < 0 ? -errno : 0;
}

int notify_open(struct notify *ret)
{
	const char *address = getenv("NOTIFY_SOCKET");
	struct notify found = {.fd = -1};
	int error = address && address[0] != '\0' ? open_socket(address, &found) : 0;
	if (error == 0 && found.fd >= 0)
		error = read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), &found.feed_ms);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	*ret = found;
	return error;
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	*notify = (struct notify){.fd = -1};
}

int notify_send(const struct notify *notify, const char *lines)
{
	if (notify->fd < 0)
		return 0;
	const ssize_t sent = sendto(notify->fd, lines, strlen(lines), MSG_DONTWAIT | MSG_NOSIGNAL,
		(const struct sockaddr *)&notify->address, notify->size);
	return sent < 0 ? -errno : 0;
}
