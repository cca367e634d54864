/*
 * unsteady - "<user>/unsteady" {contact_id, until, early, crashes, hangs}: request_contact for a contact that nobody
 * else asks, with trouble before.
 *
 * As often as `crashes` says, whatever host runs it, it crashes, or hangs if `hangs`: the files CONTACT.crash-N in the working
 * directory remember it. Until that time (Unix, milliseconds) it asks to be run again. If `early`, it leaves
 * its effect before all this, else after it.
 */
#include <cashew.h>
#include <cashew_store.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void crash_as_often(const char *contact, int64_t crashes, bool hangs)
{
	char path[128];
	for (int64_t i = 0; i < crashes; i++) {
		snprintf(path, sizeof(path), "%s.crash-%d", contact, (int)i);
		const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0) {
			close(fd);
			while (hangs)
				pause();
			abort();
		}
	}
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static cashew_result unsteady(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *contact = NULL;
	int64_t until, early, crashes, hangs;
	CASHEW_TRY(cashew_user_id(cmd, "contact_id", &contact));
	CASHEW_TRY(cashew_integer(cmd, "until", 0, INT64_MAX, &until));
	CASHEW_TRY(cashew_integer(cmd, "early", 0, 1, &early));
	CASHEW_TRY(cashew_integer(cmd, "crashes", 0, 10, &crashes));
	CASHEW_TRY(cashew_integer(cmd, "hangs", 0, 1, &hangs));
	if (early != 0)
		CASHEW_TRY(cashew_stored(cmd, contact_request_add(cashew_store(cmd), me, contact)));
	crash_as_often(contact, crashes, hangs != 0);
	if (now_ms() < until)
		return CASHEW_RETRY;
	CASHEW_TRY(cashew_stored(cmd, contact_request_add(cashew_store(cmd), me, contact)));
	return cashew_send_json(cmd, contact, "contact_requested", json_pack("{s:s}", "user_id", me));
}

CASHEW_HANDLER(.topic = "+/unsteady", .handle = unsteady);
