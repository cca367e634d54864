/*
 * unsteady - "<user>/unsteady" {contact_id, until, early, crashes, hangs}: request_contact for a contact that nobody
 * else asks, with trouble before.
 *
 * As often as `crashes` says, whatever host runs it, it crashes, or hangs if `hangs`: the files CONTACT.crash-N in the working
 * directory remember it. Until that time (Unix, milliseconds) it asks to be run again. If `early`, it leaves
 * its effect before all this, else after it.
 */
#include "contacts.h"
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

CASHEW_STRUCT(unsteady_input, (user, contact_id), (integer, until, .min = 0),
	(integer, early, .min = 0, .max = 1), (integer, crashes, .min = 0, .max = 10),
	(integer, hangs, .min = 0, .max = 1));

static cashew_result unsteady(cashew_command *cmd)
{
	const struct unsteady_input *in = cashew_input(cmd, unsteady_input);
	const char *me = cashew_user(cmd), *contact = in->contact_id;
	if (in->early != 0)
		cashew_add(cmd, contact_request, .user_id = contact, .from = me,
			.requested_at = cashew_now(cmd));
	if (!cashew_ok(cmd)) /* it is written by now */
		return CASHEW_RETRY;
	crash_as_often(contact, in->crashes, in->hangs != 0);
	if (now_ms() < in->until)
		return CASHEW_RETRY;
	cashew_add(cmd, contact_request, .user_id = contact, .from = me, .requested_at = cashew_now(cmd));
	return cashew_send(cmd, contact, contact_requested, .user_id = me);
}

CASHEW_HANDLER(unsteady, .payload = CASHEW_PAYLOAD(unsteady_input),
	.events = CASHEW_EVENTS(contact_requested), .collections = CASHEW_COLLECTIONS(contact_request));
