/* network.c - see network.h. */
#include "network.h"

enum {
	HALF_OPEN_MS = 60000, /* until the keepalive has told both ends */
	LOST_CUTS = 10,
	LOST_MS = 20,
};

static struct relay *relay_of(const struct round *round, const struct fault_run *run)
{
	return run->fault->target == FAULT_BROKER ? round->broker_relay : round->database_relay;
}

void network_pass_again(struct round *round, struct fault_run *run)
{
	relay_set(relay_of(round, run), RELAY_PASS, 0);
}

static bool is_linked(void *context)
{
	return relay_links(context) > 0;
}

struct relay *network_linked_relay(struct round *round, struct fault_run *run)
{
	struct relay *relay = relay_of(round, run);
	harness_wait(round->promise.harness, is_linked, relay, "a connection through the relay");
	return relay;
}

void network_cut_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	struct relay *relay = network_linked_relay(round, run);
	/* After the first there may be nothing to cut, where the host is stopped. */
	for (unsigned i = 1 + dice_roll(&promise->dice, 3); i > 0; i--) {
		(void)relay_cut(relay, dice_roll(&promise->dice, 2) == 0);
		promise_run_on(promise, 50, 800);
	}
}

/* The broker has not read what the host wrote last: PUBACKs of what is done, and events. */
void network_lost_pubacks_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	struct relay *relay = network_linked_relay(round, run);
	for (unsigned i = 3 + dice_roll(&promise->dice, LOST_CUTS); i > 0; i--) {
		relay_set(relay, RELAY_DELAY_UP, (int)dice_roll(&promise->dice, LOST_MS + 1));
		promise_run_on(promise, 200, 900);
		(void)relay_cut(relay, true);
	}
}

void network_half_open_begin(struct round *round, struct fault_run *run)
{
	(void)relay_half_open(network_linked_relay(round, run),
		dice_roll(&round->promise.dice, 2) == 0 ? RELAY_PROGRAM : RELAY_SERVER);
}

static bool none_half_open(void *context)
{
	return relay_half_open_links(context) == 0;
}

/* To the broker someone has always something to say, if only a PINGREQ; connections to the database may be
 * idle for ever. */
void network_half_open_end(struct round *round, struct fault_run *run)
{
	struct relay *relay = relay_of(round, run);
	struct promise *promise = &round->promise;
	if (run->fault->target == FAULT_BROKER && dice_roll(&promise->dice, 2) == 0)
		harness_wait_at(__FILE__, __LINE__, promise->harness, none_half_open, relay, HALF_OPEN_MS,
			"the end of connections whose other end is gone");
	else
		promise_run_on(promise, 500, 9000);
	relay_end_half_open(relay);
}

void network_black_hole_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	relay_set(network_linked_relay(round, run), RELAY_BLACK_HOLE, 0);
	if (dice_roll(&promise->dice, 3) == 0)
		harness_watch(promise->harness, FAULT_PAUSE_MS);
	else
		promise_run_on(promise, 200, 5000);
}

void network_delay_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	relay_set(network_linked_relay(round, run), RELAY_DELAY, (int)(20 + dice_roll(&promise->dice, 280)));
	promise_run_on(promise, 500, 3000);
}

void network_bytes_begin(struct round *round, struct fault_run *run)
{
	relay_set(network_linked_relay(round, run), RELAY_BYTES, 0);
	promise_run_on(&round->promise, 500, 3000);
}

struct replies {
	const struct relay *relay;
	size_t lost;
};

static bool replies_are_lost(void *context)
{
	const struct replies *replies = context;
	return relay_lost_replies(replies->relay) >= replies->lost;
}

/* What was asked is done, and nobody is told. */
void network_lost_replies_begin(struct round *round, struct fault_run *run)
{
	struct relay *relay = network_linked_relay(round, run);
	struct replies replies = {
		.relay = relay, .lost = relay_lost_replies(relay) + 1 + dice_roll(&round->promise.dice, 20)};
	relay_set(relay, RELAY_LOSE_REPLIES, 0);
	harness_wait(round->promise.harness, replies_are_lost, &replies, "replies of the database to lose");
}
