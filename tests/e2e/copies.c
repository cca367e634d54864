/* copies.c - see copies.h. */
#include "copies.h"

#include <signal.h>

void copies_new(struct harness *h, bool mqtt311, struct copies *ret_copies)
{
	*ret_copies = (struct copies){
		.h = h, .broker = scripted_new(h), .host = host_new(h, HOST_WITH_TEST_HANDLERS)};
	if (mqtt311)
		scripted_only_mqtt311(ret_copies->broker);
	scripted_use(ret_copies->host, ret_copies->broker);
	/* Gates are opened long before. */
	host_set(ret_copies->host, "HANDLER_TIMEOUT", "600");
	host_set(ret_copies->host, "HANDLERS", "test_effect,test_crash,test_gate,ping");
}

void copies_start(struct copies *copies)
{
	host_start(copies->host);
	copies->links = scripted_welcome(copies->broker, NULL);
	scripted_settle(copies->links.egress, NULL);
	host_wait_ready(copies->host);
}

void copies_withhold(struct copies *copies, const char *user)
{
	scripted_settle(copies->links.egress, user);
}

void copies_send(struct copies *copies, struct copy copy)
{
	const struct scripted_publish publish = {.mid = copy.mid,
		.duplicate = copy.duplicate,
		.topic = harness_format(copies->h, "%s/test_effect", copy.user),
		.payload = harness_format(copies->h, "{\"n\":\"%s\"%s}", copy.n, copy.more ? copy.more : "")};
	scripted_publish(copies->links.ingress, &publish);
}

void copies_send_all(struct copies *copies, const struct copy *all, bool again)
{
	for (; all->user; all++) {
		struct copy copy = *all;
		copy.duplicate |= again;
		copies_send(copies, copy);
	}
}

void copies_cut(struct copies *copies, bool session_present)
{
	const char *withheld_user = copies->links.egress->withheld_user;
	scripted_reset(copies->links.ingress);
	copies->links.ingress = NULL;
	/* A host may take an egress that is silent for a dead one, and connect it anew. */
	while (!copies->links.ingress) {
		struct scripted_link *link = scripted_welcome_one(
			copies->broker, &(struct scripted_welcome){.session_present = session_present});
		if (scripted_is_ingress(link)) {
			copies->links.ingress = link;
		} else {
			copies->links.egress = link;
			scripted_settle(link, withheld_user);
		}
	}
}

void copies_kill(struct copies *copies)
{
	const char *withheld_user = copies->links.egress->withheld_user;
	host_may_die(copies->host);
	host_signal_child(copies->host, SIGKILL);
	copies->links = scripted_welcome(copies->broker, &(struct scripted_welcome){.session_present = true});
	scripted_settle(copies->links.egress, withheld_user);
}

void copies_expect_pubacks_at(
	const char *file, int line, struct copies *copies, uint16_t first, uint16_t last)
{
	for (unsigned mid = first; mid <= last; mid++)
		(void)scripted_expect_puback_at(file, line, copies->links.ingress, (uint16_t)mid);
}
