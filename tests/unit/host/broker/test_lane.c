/* test_host_lane.c - lane.c: when it reads, and when its PUBACKs leave, by the clock of the test. */
#include "host_parts.h"

#include <errno.h>

static int begin(void **state)
{
	if (parts_begin(state) != 0)
		return -1;
	parts.settings.workers = 4;
	parts_connect(false);
	parts_turn(0);
	assert_int_equal(parts.connection->others_held, 0);
	return 0;
}

/* Whether it wants to read, after that time. */
static bool reads(unsigned ms)
{
	lane_poll(parts.lane, &parts.poll);
	parts.host.now_ms += ms;
	lane_poll(parts.lane, &parts.poll);
	return (parts.poll.events & POLLIN) != 0;
}

/* Commands of a user each, from packet identifier `first` to `last`. */
static void send(uint16_t first, uint16_t last)
{
	static char topics[128][16];
	for (uint16_t mid = first; mid <= last; mid++) {
		assert_in_range(mid, 1, 127);
		snprintf(topics[mid], sizeof(topics[mid]), "%d/one", mid);
		parts_sent(mid, topics[mid], "payload");
	}
}

/* The command with that packet identifier is run, and is through. */
static void finish(uint16_t mid)
{
	for (size_t i = 0; i < parts.submitted_count; i++)
		if (parts.submitted[i]->mid == mid) {
			parts_work_on(i);
			return;
		}
	fail_msg("no worker has command %d", mid);
}

static size_t unread(void)
{
	return parts.connection->incoming_end - parts.connection->incoming_first;
}

/* ---- The session ---- */

static void test_options(void **state)
{
	(void)state;
	const struct connection_options *options = &parts.connection->options;
	assert_string_equal(options->label, "main");
	assert_string_equal(options->client_id, "cashewd");
	assert_true(options->persistent);
	assert_int_equal(options->receive_maximum, 8);
	assert_ptr_equal(options->settings, &parts.settings);
	assert_ptr_equal(lane_host(parts.lane), &parts.host);
	assert_ptr_equal(lane_routes(parts.lane), &parts.host.routes.lanes[0]);
	assert_int_equal(parts.subscribes, 3);
	assert_true(lane_ready(parts.lane));
	parts_lose(false);
	assert_false(lane_ready(parts.lane));
	assert_false(reads(0));
	assert_int_equal(parts.poll.fd, -1);

	/* Another lane is another session. */
	struct route_lane routes = parts.host.routes.lanes[0];
	routes.name = "slow";
	lane_free(parts.lane);
	assert_int_equal(lane_new(&parts.host, &routes, &parts.lane), 0);
	assert_string_equal(parts.connection->options.client_id, "cashewd-slow");
	assert_string_equal(parts.connection->options.label, "slow");
	lane_free(parts.lane);
	assert_int_equal(lane_new(&parts.host, &parts.host.routes.lanes[0], &parts.lane), 0);
	lane_free(NULL);
}

static void test_want(void **state)
{
	(void)state;
	send(1, 1);
	parts_turn(0);
	finish(1);
	lane_want(parts.lane, true);
	assert_int_equal(connection_state(parts.connection), CONNECTION_UP);
	/* Not wanted: nothing leaves, though it is done. */
	lane_want(parts.lane, false);
	assert_int_equal(connection_state(parts.connection), CONNECTION_IDLE);
	parts_left("");
	lane_flush(parts.lane);
	parts_left("");
	/* What it was given up for before does not hold for the next connection. */
	parts_connect(true);
	lane_give_up(parts.lane, "for a reason");
	parts_lose(false);
	parts_connect(true);
	parts_turn(0);
	assert_int_equal(parts.connection->drops, 0);
}

/* ---- The group ---- */

static void test_group_max(void **state)
{
	(void)state;
	send(1, 6);
	assert_true(reads(0));
	parts_turn(0);
	assert_int_equal(parts.submitted_count, 4);
	assert_int_equal(unread(), 2);
	assert_false(reads(0));
	assert_true(lane_waits(parts.lane));
	/* Whatever is readable, it is not read. */
	lane_serve(parts.lane, POLLIN);
	assert_int_equal(unread(), 2);
	finish(2);
	finish(1);
	finish(4);
	parts_turn(1);
	parts_left("");
	assert_int_equal(parts.connection->flushes, 1);
	finish(3);
	parts_turn(0);
	/* All at once, and in the order in which they came. */
	parts_left("1 2 3 4");
	assert_int_equal(parts.connection->flushes, 2);
	assert_true(reads(0));
	assert_false(lane_waits(parts.lane));
	parts_turn(0);
	finish(5);
	finish(6);
	parts_turn(GROUP_COMPANY_MS);
	parts_left("1 2 3 4 5 6");
	assert_int_equal(parts_board.account.done, 6);
}

static void test_group_ms(void **state)
{
	(void)state;
	send(1, 1);
	parts_turn(0);
	assert_true(reads(249));
	send(2, 2);
	parts_turn(0);
	assert_int_equal(parts.submitted_count, 2);
	/* The time is the group's, from its first command on. */
	assert_false(reads(1));
	finish(1);
	finish(2);
	parts_turn(0);
	parts_left("1 2");
	/* The next group has a time of its own. */
	assert_true(reads(1000));
	send(3, 3);
	parts_turn(0);
	assert_true(reads(249));
	assert_false(reads(1));
	finish(3);
	parts_turn(0);
	parts_left("1 2 3");
}

/* Payloads bound a group as well, in memory; and then the window. */
static void test_group_bytes(void **state)
{
	(void)state;
	enum { MIB = 1024 * 1024 };
	char *payload = malloc(MIB + 1);
	assert_non_null(payload);
	memset(payload, 'x', MIB);
	payload[MIB] = '\0';
	parts.settings.payload_max = MIB;
	parts.settings.group_max = 100;
	parts.settings.window = 200;
	parts.settings.user_window = 200;
	for (uint16_t mid = 1; mid <= 20; mid++)
		parts_sent(mid, "u/one", payload);
	parts_turn(0);
	assert_int_equal(unread(), 12);
	assert_false(reads(GROUP_LINGER_MS - 1));
	while (parts.submitted_count > 0)
		parts_work();
	parts_turn(0);
	parts_left("1 2 3 4 5 6 7 8");

	/* One slow command: it reads on, to twice as many. */
	for (uint16_t mid = 21; mid <= 30; mid++)
		parts_sent(mid, "u/one", payload);
	parts.settings.workers = 100;
	parts_turn(0);
	assert_int_equal(unread(), 14);
	assert_false(reads(GROUP_LINGER_MS - 1));
	assert_true(reads(1));
	parts_turn(0);
	assert_int_equal(unread(), 6);
	assert_false(reads(100));
	while (parts.submitted_count > 0)
		parts_work();
	for (unsigned i = 0; i < 3; i++) {
		parts_turn(0);
		while (parts.submitted_count > 0)
			parts_work();
	}
	parts_turn(GROUP_COMPANY_MS);
	assert_int_equal(parts.connection->left_count, 30);
	free(payload);
}

/* A large group fills while most of it is settled: what is unsettled is bounded by itself. */
static void test_group_unsettled(void **state)
{
	(void)state;
	enum { UNSETTLED = 1000, SENT = 1100 };
	static char topics[SENT + 1][16];
	parts.settings.group_max = 2000;
	parts.settings.window = 4000;
	for (uint16_t mid = 1; mid <= SENT; mid++) {
		snprintf(topics[mid], sizeof(topics[mid]), "%d/one", mid);
		parts_sent(mid, topics[mid], "payload");
	}
	for (unsigned turn = 0; turn < SENT / 20; turn++)
		parts_turn(0);
	assert_int_equal(unread(), SENT - UNSETTLED);
	assert_false(reads(0));
	/* It reads one for each that settles, and is one group all the time. */
	for (uint16_t mid = 1; mid <= 10; mid++)
		finish(mid);
	assert_true(reads(0));
	parts_turn(0);
	assert_int_equal(unread(), SENT - UNSETTLED - 10);
	assert_int_equal(parts.connection->left_count, 0);
	/* Its time is over: it drains. */
	assert_false(reads(250));
	finish(11);
	assert_false(reads(0));
	assert_true(lane_waits(parts.lane));
	while (parts.submitted_count > 0)
		parts_work();
	parts_turn(0);
	assert_int_equal(parts.connection->left_count, UNSETTLED + 10);
	for (unsigned turn = 0; turn < 10; turn++)
		parts_turn(0);
	while (parts.submitted_count > 0)
		parts_work();
	parts_turn(GROUP_COMPANY_MS);
	assert_int_equal(parts.connection->left_count, SENT);
}

/* Whether the lane is due within that time. */
static bool due_within(unsigned ms)
{
	return lane_due_ms(parts.lane) <= parts.host.now_ms + (int64_t)ms;
}

/* It reads in bursts: while there is enough to do it leaves what comes for later. */
static void test_group_pause(void **state)
{
	(void)state;
	enum { ENOUGH = 64 + 2 * 4 };
	parts.settings.group_max = 2000;
	parts.settings.window = 4000;
	send(1, ENOUGH - 1);
	for (unsigned turn = 0; turn < 10; turn++)
		parts_turn(0);
	assert_int_equal(unread(), 0);
	assert_true(reads(0));
	assert_false(lane_waits(parts.lane));
	send(ENOUGH, ENOUGH);
	parts_turn(0);
	/* Enough, and the socket is empty. */
	assert_false(reads(0));
	assert_true(lane_waits(parts.lane));
	send(ENOUGH + 1, ENOUGH + 1);
	lane_serve(parts.lane, POLLIN);
	assert_int_equal(unread(), 1);
	/* For some milliseconds, whatever becomes of them. */
	assert_false(reads(GROUP_PAUSE_MS - 1));
	assert_true(due_within(1));
	assert_true(reads(1));
	assert_false(lane_waits(parts.lane));
	parts_turn(0);
	assert_int_equal(unread(), 0);
	assert_false(reads(0));
	/* Or until fewer are left. */
	finish(1);
	assert_false(reads(0));
	finish(2);
	assert_true(reads(0));
	assert_false(lane_waits(parts.lane));
	send(ENOUGH + 2, ENOUGH + 2);
	parts_turn(0);
	assert_int_equal(unread(), 0);
	assert_int_equal(parts.connection->left_count, 0);
	/* A lane that stops reads no more, and is not due for it. */
	assert_false(reads(0));
	lane_stop(parts.lane);
	assert_false(due_within(GROUP_PAUSE_MS));
	while (parts.submitted_count > 0)
		parts_work();
	parts_turn(0);
	assert_int_equal(parts.connection->left_count, ENOUGH + 2);
}

/* A burst does not keep the loop: it goes on in the next turn. */
static void test_reads_per_turn(void **state)
{
	(void)state;
	parts.settings.group_max = 100;
	send(1, 50);
	parts_turn(0);
	assert_int_equal(unread(), 18);
	parts_turn(0);
	assert_int_equal(unread(), 0);
	while (parts.submitted_count > 0)
		parts_work();
	parts_turn(0);
	assert_int_equal(parts.connection->left_count, 50);
}

/* What TLS has decrypted makes no socket readable. */
static void test_pending(void **state)
{
	(void)state;
	parts.connection->pending = true;
	assert_int_equal(lane_due_ms(parts.lane), INT64_MAX);
	send(1, 5);
	assert_int_equal(lane_due_ms(parts.lane), 0);
	lane_serve(parts.lane, 0);
	assert_int_equal(unread(), 1);
	/* It is in no hurry while the lane does not read. */
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + GROUP_LINGER_MS);
	lane_serve(parts.lane, 0);
	assert_int_equal(unread(), 1);
	for (uint16_t mid = 1; mid <= 4; mid++)
		finish(mid);
	lane_flush(parts.lane);
	parts_left("1 2 3 4");
	assert_int_equal(lane_due_ms(parts.lane), 0);
	lane_serve(parts.lane, 0);
	finish(5);
	parts_turn(GROUP_COMPANY_MS);
	parts_left("1 2 3 4 5");
	assert_int_equal(lane_due_ms(parts.lane), INT64_MAX);
}

/* ---- Lingering ---- */

static void test_linger(void **state)
{
	(void)state;
	send(1, 20);
	parts_turn(0);
	assert_int_equal(unread(), 16);
	finish(2);
	finish(3);
	finish(4);
	/* One is slow. */
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + GROUP_LINGER_MS);
	assert_false(reads(GROUP_LINGER_MS - 1));
	assert_true(reads(1));
	/* Up to the window. */
	parts_turn(0);
	assert_int_equal(unread(), 12);
	assert_false(reads(0));
	assert_true(lane_waits(parts.lane));
	for (uint16_t mid = 5; mid <= 8; mid++)
		finish(mid);
	assert_false(reads(5000));
	parts_turn(0);
	parts_left("");
	finish(1);
	parts_turn(0);
	parts_left("1 2 3 4 5 6 7 8");
	assert_true(reads(0));
	parts_lose(false);
}

/* When the slow ones are done it stops reading again, so that the rest can drain, and for twice as long. */
static void test_linger_ends(void **state)
{
	(void)state;
	parts.settings.window = 16;
	send(1, 4);
	parts_turn(0);
	finish(3);
	finish(4);
	assert_true(reads(GROUP_LINGER_MS));
	assert_false(lane_waits(parts.lane));
	send(5, 7);
	parts_turn(0);
	finish(5);
	finish(2);
	assert_true(reads(0));
	finish(1);
	assert_false(reads(0));
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + 2 * GROUP_LINGER_MS);
	finish(6);
	parts_turn(0);
	parts_left("");
	assert_false(reads(2 * GROUP_LINGER_MS - 1));
	/* 7 is slow as well. */
	assert_true(reads(1));
	send(8, 8);
	parts_turn(0);
	finish(7);
	assert_false(reads(4 * GROUP_LINGER_MS - 1));
	finish(8);
	parts_turn(0);
	parts_left("1 2 3 4 5 6 7 8");
	/* The next group begins anew. */
	send(9, 12);
	parts_turn(0);
	assert_false(reads(0));
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + GROUP_LINGER_MS);
	for (uint16_t mid = 9; mid <= 12; mid++)
		finish(mid);
	parts_turn(0);
}

/* Where all workers are busy, reading on would only make the group older. */
static void test_no_linger_while_busy(void **state)
{
	(void)state;
	parts.settings.workers = 2;
	send(1, 5);
	parts_turn(0);
	finish(1);
	finish(2);
	assert_false(reads(GROUP_LINGER_MS));
	finish(3);
	assert_false(reads(GROUP_LINGER_MS - 1));
	assert_true(reads(1));
	finish(4);
	parts_turn(0);
	parts_left("1 2 3 4");
	parts_lose(false);
}

/* However many wait behind a slow command of their user: workers are free for those of others. */
static void test_linger_beside_a_long_queue(void **state)
{
	(void)state;
	parts.settings.workers = 2;
	parts.settings.user_window = 4;
	for (uint16_t mid = 1; mid <= 4; mid++)
		parts_sent(mid, "slow/one", "payload");
	send(5, 6);
	parts_turn(0);
	assert_int_equal(parts.submitted_count, 1);
	assert_false(reads(GROUP_LINGER_MS - 1));
	assert_true(reads(1));
	parts_turn(0);
	finish(5);
	finish(6);
	parts_left("");
	for (uint16_t mid = 1; mid <= 4; mid++)
		finish(mid);
	parts_turn(0);
	parts_left("1 2 3 4 5 6");
}

/* So late that the rest could not drain before the age limit. */
static void test_no_late_linger(void **state)
{
	(void)state;
	send(1, 5);
	parts_turn(0);
	finish(1);
	finish(2);
	finish(3);
	assert_false(reads(10000));
	assert_false(reads(5000));
	finish(4);
	parts_turn(0);
	parts_left("1 2 3 4");
	parts_lose(false);
}

/* ---- The age limit ---- */

static void test_age_limit(void **state)
{
	(void)state;
	send(1, 2);
	parts_turn(0);
	finish(2);
	assert_false(reads(GROUP_LINGER_MS + 250));
	const int64_t limit_ms = PARTS_START_MS + 20000;
	parts.host.now_ms = limit_ms - 1;
	parts_turn(0);
	assert_int_equal(connection_state(parts.connection), CONNECTION_UP);
	assert_int_equal(lane_due_ms(parts.lane), limit_ms);
	/* A worker has it, so it goes on. */
	struct command *slow = parts_submitted_take(0);
	assert_int_equal(slow->mid, 1);
	parts_turn(1);
	assert_int_equal(parts.connection->drops, 1);
	parts_left("");
	/* Its copy joins it, and that of the other one its result. */
	parts_connect(true);
	send(1, 2);
	parts_turn(0);
	assert_int_equal(parts_board.account.joined, 2);
	assert_int_equal(parts.submitted_count, 0);
	worker_run(&parts.host.light, slow);
	command_returned(slow);
	parts_turn(GROUP_COMPANY_MS);
	parts_left("1 2");
	assert_int_equal(parts.one.runs, 2);
}

/* Many unsettled at the age limit were too many to read: half of them next time, and again as many when that
 * has drained. */
static void test_age_limit_shrinks_groups(void **state)
{
	(void)state;
	parts.settings.workers = 2;
	send(1, 4);
	parts_turn(0);
	assert_int_equal(parts.submitted_count, 4);
	parts_turn(20000);
	assert_int_equal(parts.connection->drops, 1);
	parts_left("");
	/* Nobody had begun them, so they come afresh. */
	parts_connect(true);
	send(1, 4);
	parts_turn(0);
	assert_int_equal(unread(), 2);
	assert_false(reads(0));
	finish(1);
	finish(2);
	parts_turn(0);
	parts_left("1 2");
	assert_true(reads(0));
	send(5, 8);
	parts_turn(0);
	assert_int_equal(unread(), 2);
}

/* The broker's Server Keep Alive may make it shorter, but never so short that no group could end. */
static void test_age_limit_of_the_broker(void **state)
{
	(void)state;
	static const struct {
		unsigned keepalive_s, limit_ms;
	} cases[] = {{30, 13000}, {10, 3000}, {0, 20000}, {600, 20000}, {5, 1000}, {1, 1000}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parts_lose(false);
		parts.settings.keepalive_s = cases[i].keepalive_s;
		parts_connect(false);
		send(1, 4);
		parts_turn(0);
		parts.connection->drops = 0;
		parts_turn(cases[i].limit_ms - 1);
		assert_int_equal(parts.connection->drops, 0);
		parts_turn(1);
		assert_int_equal(parts.connection->drops, 1);
	}
}

/* ---- Flushing ---- */

/* A write takes everything along, so other packets wait for the group as well. */
static void test_nothing_leaves_early(void **state)
{
	(void)state;
	const unsigned flushes = parts.connection->flushes;
	send(1, 1);
	parts_turn(0);
	parts.connection->others_held++;
	parts.connection->due_ms = parts.host.now_ms;
	for (unsigned i = 0; i < 10; i++)
		parts_turn(100);
	assert_int_equal(parts.connection->flushes, flushes);
	assert_int_equal(parts.connection->keepalives, 0);
	finish(1);
	parts_turn(0);
	parts_left("1");
	assert_int_equal(parts.connection->others_held, 0);
	/* Without commands they leave at once. */
	parts.connection->others_held++;
	parts_turn(0);
	assert_int_equal(parts.connection->others_held, 0);
	assert_int_equal(parts.connection->flushes, flushes + 2);
	/* And where there is nothing to write, nothing is written. */
	parts_turn(0);
	assert_int_equal(parts.connection->flushes, flushes + 2);
}

static void test_keepalive(void **state)
{
	(void)state;
	parts.connection->due_ms = parts.host.now_ms + 100;
	assert_int_equal(lane_due_ms(parts.lane), parts.connection->due_ms);
	parts_turn(99);
	assert_int_equal(parts.connection->keepalives, 0);
	parts_turn(1);
	assert_int_equal(parts.connection->keepalives, 1);
	send(1, 1);
	parts_turn(0);
	parts_turn(0);
	assert_int_equal(parts.connection->keepalives, 1);
	/* What is due then is the group. */
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + 20000);
	finish(1);
	parts_turn(GROUP_COMPANY_MS);
	assert_int_equal(parts.connection->keepalives, 1);
	parts_turn(0);
	assert_int_equal(parts.connection->keepalives, 2);
}

/* A few milliseconds for company, if the lane reads on anyway. */
static void test_company(void **state)
{
	(void)state;
	parts.settings.group_max = 100;
	parts.light.steps = ".";
	parts_sent(1, "u/light", "");
	parts_turn(0);
	parts_left("");
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + GROUP_COMPANY_MS);
	assert_true(reads(GROUP_COMPANY_MS - 1));
	parts_sent(2, "u/light", "");
	parts_turn(0);
	parts_left("");
	parts_turn(1);
	parts_left("1 2");
	/* As many as it takes. */
	for (uint16_t mid = 1; mid < GROUP_COMPANY_COUNT; mid++)
		parts_sent(mid, "u/light", "");
	parts.connection->left_count = 0;
	parts_turn(0);
	parts_left("");
	parts_sent(GROUP_COMPANY_COUNT, "u/light", "");
	parts_turn(0);
	assert_int_equal(parts.connection->left_count, GROUP_COMPANY_COUNT);
	/* One that is unsettled keeps them all, however old they are. */
	parts.connection->left_count = 0;
	parts_sent(1, "u/light", "");
	send(2, 2);
	parts_turn(0);
	parts_turn(GROUP_COMPANY_MS);
	parts_left("");
	finish(2);
	parts_turn(0);
	parts_left("1 2");
	/* A lane that stops does not wait. */
	parts_sent(3, "u/light", "");
	parts_turn(0);
	parts_left("1 2");
	lane_stop(parts.lane);
	parts_turn(0);
	assert_int_equal(parts.connection->disconnects, 1);
	parts_left("1 2 3");
}

/* The socket is full: no reading, or the acknowledgement of what is read would leave with the rest. */
/* What the board says of a group: what is held, since when, and how old what it waits for is. */
static void test_figures(void **state)
{
	(void)state;
	const struct figures_lane *figures = &parts_board.figures.lanes[0];
	struct figures_times held;
	const int64_t begun_ms = parts.host.now_ms;
	parts_sent(1, "1/one", "{}");
	parts_turn(0);
	parts_sent(2, "2/one", "{}");
	parts_turn(100);
	parts_sent(3, "3/one", "{}");
	parts_turn(100);
	static const int since_ms[] = {0, 100, 200};
	for (unsigned i = 0; i < 3; i++) {
		lane_tell(parts.lane);
		assert_int_equal(figures->connection.state, FIGURES_CONNECTION_UP);
		assert_int_equal(figures->granted, figures->filters);
		assert_int_equal(figures->group, 3);
		assert_int_equal(figures->unsettled, 3 - i);
		assert_int_equal(figures->group_since_ms, begun_ms);
		assert_int_equal(figures->oldest_ms, begun_ms + since_ms[i]);
		parts_work();
	}
	lane_tell(parts.lane);
	assert_int_equal(figures->group, 3);
	assert_int_equal(figures->oldest_ms, 0);
	parts_turn(50);
	lane_tell(parts.lane);
	assert_int_equal(figures->group, 0);
	assert_int_equal(figures->group_since_ms, 0);
	assert_int_equal(figures->acknowledged, 3);
	figures_read_times(&figures->held, &held);
	assert_int_equal(held.count, 1);
	assert_int_equal(held.sum_us, 250000);
	/* The next group begins anew. */
	parts_sent(4, "1/one", "{}");
	parts_turn(10);
	lane_tell(parts.lane);
	assert_int_equal(figures->oldest_ms, parts.host.now_ms);
	parts_work();
	parts_turn(10);
	parts_lose(false);
	lane_tell(parts.lane);
	assert_int_equal(figures->connection.lost, 1);
	assert_int_equal(figures->acknowledged, 4);
}

static void test_flushing(void **state)
{
	(void)state;
	send(1, 6);
	parts_turn(0);
	for (uint16_t mid = 1; mid <= 4; mid++)
		finish(mid);
	parts.connection->room = 1;
	parts_turn(0);
	parts_left("1");
	assert_int_equal(parts.host.commands + parts_known(), 0);
	lane_poll(parts.lane, &parts.poll);
	assert_int_equal(parts.poll.events, POLLOUT);
	lane_serve(parts.lane, POLLIN);
	lane_flush(parts.lane);
	assert_int_equal(unread(), 2);
	parts_left("1");
	parts_turn(0);
	parts_left("1 2");
	parts.connection->room = SIZE_MAX;
	parts_turn(0);
	parts_left("1 2 3 4");
	assert_int_equal(unread(), 2);
	assert_true(reads(0));
	assert_int_equal(parts.poll.events, POLLIN);
	parts_turn(0);
	assert_int_equal(unread(), 0);
	parts_lose(false);

	/* A broker that takes nothing is given up at the age limit, from then on. */
	parts_connect(false);
	send(1, 4);
	parts_turn(0);
	parts_turn(15000);
	for (uint16_t mid = 1; mid <= 4; mid++)
		finish(mid);
	parts.connection->room = 0;
	parts_turn(0);
	parts_turn(19999);
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + 1);
	assert_int_equal(parts.connection->drops, 0);
	parts_turn(1);
	assert_int_equal(parts.connection->drops, 1);
}

/* The link breaks in the middle: what was read comes again. */
static void test_broken_link(void **state)
{
	(void)state;
	send(1, 4);
	parts.connection->breaks_at = 3;
	parts_turn(0);
	assert_int_equal(connection_state(parts.connection), CONNECTION_WAITING);
	assert_int_equal(parts.host.commands + parts_known(), 0);
	parts_connect(true);
	send(1, 4);
	parts_turn(0);
	for (uint16_t mid = 1; mid <= 4; mid++)
		finish(mid);
	parts.connection->breaks_at = 1;
	parts_turn(0);
	assert_int_equal(connection_state(parts.connection), CONNECTION_WAITING);
	/* Each PUBACK may have arrived or not: nothing is kept that could join what comes next. */
	assert_int_equal(parts.host.commands + parts_known(), 0);
	parts_connect(true);
	send(3, 4);
	assert_true(reads(0));
	parts_turn(0);
	finish(3);
	finish(4);
	/* The same while the socket takes them slowly. */
	parts.connection->room = parts.connection->others_held + 1;
	parts_turn(GROUP_COMPANY_MS);
	parts_left("3");
	parts.connection->breaks_at = 1;
	parts_turn(0);
	assert_int_equal(connection_state(parts.connection), CONNECTION_WAITING);
	parts_connect(true);
	assert_true(reads(0));
}

/* ---- What is kept of a connection that is gone ---- */

/* Commands 1: settled, 2: running, 3: not begun; then their connection is gone. Returns the running one. */
static struct command *lose_three(bool taken_over)
{
	send(1, 3);
	parts_turn(0);
	finish(1);
	struct command *running = parts_submitted_take(0);
	assert_int_equal(running->mid, 2);
	parts_lose(taken_over);
	assert_int_equal(parts.submitted_count, 0);
	assert_null(lane_in_flight(parts.lane, 3));
	return running;
}

static void finish_running(struct command *running)
{
	worker_run(&parts.host.light, running);
	command_returned(running);
}

static void test_results_of_a_new_session(void **state)
{
	(void)state;
	struct command *running = lose_three(false);
	assert_int_equal(parts_known(), 2);
	parts_connect(false);
	/* Packet identifiers begin anew. */
	assert_int_equal(parts.host.commands, 1);
	assert_int_equal(parts_known(), 0);
	finish_running(running);
	assert_int_equal(parts.host.commands + parts_known(), 0);
}

static void test_results_after_takeover(void **state)
{
	(void)state;
	struct command *running = lose_three(true);
	/* The other host acknowledges: they will mean other commands. */
	assert_int_equal(parts.host.commands, 1);
	assert_int_equal(parts_known(), 0);
	parts_connect(true);
	finish_running(running);
	assert_int_equal(parts.host.commands + parts_known(), 0);
}

/* What the broker has not sent again by then it will not send again; but no copy runs beside its first. */
static void test_results_after_a_while(void **state)
{
	(void)state;
	struct command *running = lose_three(false);
	parts.host.now_ms += 100000;
	parts_turn(0);
	assert_int_equal(parts_known(), 2);
	parts_connect(true);
	parts_turn(29999);
	assert_int_equal(parts_known(), 2);
	parts_turn(1);
	assert_int_equal(parts_known(), 1);
	assert_null(lane_in_flight(parts.lane, 1));
	assert_ptr_equal(lane_in_flight(parts.lane, 2)->command, running);
	send(1, 2);
	parts_turn(0);
	assert_int_equal(parts.submitted_count, 1);
	finish(1);
	finish_running(running);
	parts_turn(GROUP_COMPANY_MS);
	parts_left("1 2");
	assert_int_equal(parts.one.runs, 3);
	assert_int_equal(parts.host.commands + parts_known(), 0);
	/* What settles later still is not kept either: the broker has not sent it again. */
	running = lose_three(false);
	parts_connect(true);
	parts_turn(30000);
	assert_ptr_equal(lane_in_flight(parts.lane, 2)->command, running);
	finish_running(running);
	assert_int_equal(parts.host.commands + parts_known(), 0);
	/* While it may still send it, it is. */
	running = lose_three(false);
	finish_running(running);
	assert_int_equal(parts_known(), 2);
	parts_connect(true);
	send(1, 2);
	parts_turn(0);
	parts_turn(GROUP_COMPANY_MS);
	assert_int_equal(parts_board.account.joined, 3);
	parts_left("1 2");
	assert_int_equal(parts.host.commands + parts_known(), 0);
}

/* Packet identifiers that stand in one place of the table. */
static void test_results_in_one_place(void **state)
{
	(void)state;
	static const struct {
		uint16_t mid;
		const char *topic;
	} commands[] = {{7, "a/one"}, {7 + GROUP_BUCKETS, "b/one"}, {7 + 2 * GROUP_BUCKETS, "c/one"}};
	for (size_t i = 0; i < 3; i++)
		parts_read(commands[i].mid, commands[i].topic, "payload");
	while (parts.submitted_count > 0)
		parts_work();
	parts_lose(false);
	parts_connect(true);
	/* The one in the middle means another command now. */
	const struct command *other = parts_read(commands[1].mid, commands[1].topic, "another");
	assert_int_equal(parts.submitted_count, 1);
	assert_int_equal(parts_known(), 3);
	parts_read(commands[0].mid, commands[0].topic, "payload");
	parts_read(commands[2].mid, commands[2].topic, "payload");
	assert_int_equal(parts_board.account.joined, 2);
	assert_ptr_equal(lane_in_flight(parts.lane, commands[1].mid)->command, other);
	assert_null(lane_in_flight(parts.lane, 7 + 3 * GROUP_BUCKETS));
	parts_work();
	parts_turn(GROUP_COMPANY_MS);
	parts_left("4103 7 8199");
	assert_int_equal(parts.host.commands + parts_known(), 0);
}

/* What came in again is in the group, and stays. */
static void test_results_in_the_group(void **state)
{
	(void)state;
	finish_running(lose_three(false));
	parts_connect(true);
	send(1, 3);
	parts.host.now_ms += 29000;
	parts_turn(0);
	parts_turn(1000);
	assert_int_equal(parts_known(), 3);
	finish(3);
	parts_turn(0);
	parts_left("1 2 3");
	assert_int_equal(parts.one.runs, 3);
}

/* ---- Stopping ---- */

static void test_stop(void **state)
{
	(void)state;
	send(1, 2);
	parts_turn(0);
	send(3, 3);
	lane_stop(parts.lane);
	assert_false(lane_stopped(parts.lane));
	assert_false(reads(0));
	assert_true(lane_waits(parts.lane));
	finish(1);
	parts_turn(0);
	assert_int_equal(parts.connection->disconnects, 0);
	assert_int_equal(unread(), 1);
	finish(2);
	parts.connection->room = 1;
	parts_turn(0);
	parts_left("1");
	assert_int_equal(parts.connection->disconnects, 0);
	parts.connection->room = SIZE_MAX;
	parts_turn(0);
	parts_left("1 2");
	assert_int_equal(parts.connection->disconnects, 1);
	assert_true(lane_stopped(parts.lane));
	assert_int_equal(parts_board.account.left, 0);
	/* It does not come again. */
	lane_want(parts.lane, true);
	assert_int_equal(connection_state(parts.connection), CONNECTION_IDLE);
	parts_turn(0);
	assert_int_equal(parts.connection->disconnects, 1);
}

/* It reads no more, so it has nothing to do before its commands are through or the group is too old. */
static void test_stop_while_it_drains(void **state)
{
	(void)state;
	parts.settings.workers = 1;
	send(1, 2);
	parts_turn(0);
	assert_false(reads(250));
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + GROUP_LINGER_MS);
	lane_stop(parts.lane);
	parts_turn(GROUP_LINGER_MS);
	assert_true(lane_due_ms(parts.lane) > parts.host.now_ms + 10000);
	finish(1);
	finish(2);
	parts_turn(0);
	assert_true(lane_stopped(parts.lane));
	parts_left("1 2");
}

static void test_stop_idle(void **state)
{
	(void)state;
	lane_stop(parts.lane);
	parts_turn(0);
	assert_int_equal(parts.connection->disconnects, 1);
	assert_true(lane_stopped(parts.lane));
}

static void test_stop_while_away(void **state)
{
	(void)state;
	parts_lose(false);
	lane_stop(parts.lane);
	assert_true(lane_stopped(parts.lane));
	assert_int_equal(connection_state(parts.connection), CONNECTION_IDLE);
	parts_turn(0);
	assert_int_equal(parts.connection->disconnects, 0);
}

static void test_abandon(void **state)
{
	(void)state;
	send(1, 3);
	parts_turn(0);
	finish(1);
	lane_stop(parts.lane);
	parts_turn(0);
	lane_abandon(parts.lane);
	assert_true(lane_stopped(parts.lane));
	assert_int_equal(connection_state(parts.connection), CONNECTION_IDLE);
	parts_left("");
	assert_int_equal(parts.connection->disconnects, 0);
	assert_int_equal(parts_board.account.left, 3);
	assert_int_equal(parts_board.account.done, 0);
}

/* What would make it reconnect ends it instead. */
static void test_give_up_while_stopping(void **state)
{
	(void)state;
	send(1, 1);
	parts_turn(0);
	lane_stop(parts.lane);
	parts_turn(20000);
	assert_true(lane_stopped(parts.lane));
	assert_int_equal(parts.connection->drops, 0);
	assert_int_equal(connection_state(parts.connection), CONNECTION_IDLE);
	assert_int_equal(parts_board.account.left, 1);
}

static void test_give_up(void **state)
{
	(void)state;
	send(1, 2);
	parts_turn(0);
	finish(1);
	finish(2);
	lane_give_up(parts.lane, "the first reason");
	lane_give_up(parts.lane, "another one");
	/* From now on nothing is read, and nothing leaves. */
	assert_false(reads(GROUP_COMPANY_MS));
	lane_flush(parts.lane);
	assert_int_equal(parts.connection->drops, 1);
	parts_left("");
	lane_flush(parts.lane);
	assert_int_equal(parts.connection->drops, 1);
	/* While it is away there is nothing to give up. */
	lane_give_up(parts.lane, "too late");
	parts_connect(true);
	lane_flush(parts.lane);
	assert_int_equal(parts.connection->drops, 1);
}

/* ---- A filter that is not granted ---- */

static void test_refused_filter(void **state)
{
	(void)state;
	parts_lose(false);
	lane_want(parts.lane, true);
	parts.connection->state = CONNECTION_UP;
	const struct connection_owner *callbacks = parts.connection->options.callbacks;
	const int first = parts.subscribe_mid + 1, granted = 1, refused = 0x87;
	callbacks->up(parts.lane,
		&(const struct connection_terms){.mqtt5 = true, .keepalive_s = 60, .packet_max = UINT32_MAX});
	callbacks->subscribed(parts.lane, first, 1, &granted);
	callbacks->subscribed(parts.lane, first + 1, 1, &refused);
	callbacks->subscribed(parts.lane, first + 2, 1, &granted);
	assert_false(lane_ready(parts.lane));
	parts_turn(0);
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + 30000);
	/* The others work on. */
	send(1, 1);
	parts_turn(0);
	finish(1);
	parts_turn(GROUP_COMPANY_MS);
	parts_left("1");
	const unsigned subscribes = parts.subscribes;
	parts_turn(30000);
	assert_int_equal(parts.subscribes, subscribes + 1);
	assert_int_equal(parts.connection->others_held, 0);
	callbacks->subscribed(parts.lane, parts.subscribe_mid, 1, &refused);
	assert_int_equal(lane_due_ms(parts.lane), parts.host.now_ms + 30000);
	parts_lose(false);
	assert_int_equal(lane_due_ms(parts.lane), INT64_MAX);
	parts_connect(true);
}

/* ---- Chance ---- */

enum { USERS = 5, COMMANDS = 400, SEEDS = 60, BROKER_WINDOW = 8 };

/* A broker with a session, workers, an egress and a store that do what they like when they like: every
 * command is acknowledged in the end, none before it is done and its events have arrived, or it is parked;
 * what is parked is done in the end; none is run twice at a time, and none overtakes another of its user. */
static struct {
	unsigned chance;
	char topics[USERS][8];
	char payloads[COMMANDS][8];		      /* the command's number */
	unsigned sent;				      /* commands that the broker has sent at least once */
	unsigned window[BROKER_WINDOW], window_count; /* sent and not PUBACKed, in their order */
	uint16_t mids[COMMANDS];
	size_t left_seen;
	bool running[COMMANDS], ended[COMMANDS];
	unsigned stubborn[COMMANDS]; /* how often it fails for now */
	unsigned last_ended[USERS];
} world;

static unsigned dice(unsigned sides)
{
	world.chance = world.chance * 1103515245 + 12345;
	return (world.chance >> 16) % sides;
}

static unsigned number_of(const struct command *command)
{
	return (unsigned)strtoul(command->input.payload, NULL, 10);
}

static void broker_sends(unsigned number)
{
	parts_sent(world.mids[number], world.topics[number % USERS], world.payloads[number]);
}

/* A free packet identifier, as low as possible: they are used again and again. */
static uint16_t free_mid(void)
{
	for (uint16_t mid = 1;; mid++) {
		bool taken = false;
		for (unsigned i = 0; i < world.window_count; i++)
			taken = taken || world.mids[world.window[i]] == mid;
		if (!taken)
			return mid;
	}
}

static bool is_parked(unsigned number)
{
	const struct parked_command *parked;
	for (size_t i = 0; (parked = fake_store_parked_command(parts.host.light.store, i)) != NULL; i++)
		if (parked->payload_size > 0 && strtoul(parked->payload, NULL, 10) == number)
			return true;
	return false;
}

static void broker_takes_acknowledgements(void)
{
	for (; world.left_seen < parts.connection->left_count; world.left_seen++) {
		const uint16_t mid = parts.connection->left[world.left_seen];
		assert_int_not_equal(world.window_count, 0);
		/* In the order in which they were sent. */
		const unsigned number = world.window[0];
		assert_int_equal(world.mids[number], mid);
		assert_true(world.ended[number] || is_parked(number));
		memmove(world.window, world.window + 1, --world.window_count * sizeof(world.window[0]));
	}
}

static void broker_does(void)
{
	broker_takes_acknowledgements();
	if (parts.connection->state != CONNECTION_UP) {
		if (dice(3) == 0) {
			parts_connect(true);
			world.left_seen = 0;
			for (unsigned i = 0; i < world.window_count; i++)
				broker_sends(world.window[i]);
		}
		return;
	}
	for (unsigned burst = dice(4); burst > 0 && world.sent < COMMANDS; burst--) {
		if (world.window_count == BROKER_WINDOW)
			return;
		world.mids[world.sent] = free_mid();
		world.window[world.window_count++] = world.sent;
		broker_sends(world.sent++);
	}
}

/* A worker begins any of the submitted ones, or ends it. */
static void workers_do(void)
{
	if (parts.submitted_count == 0)
		return;
	const size_t i = dice((unsigned)parts.submitted_count);
	struct command *command = parts.submitted[i];
	if (command->state != COMMAND_RUNNING) {
		parts_work_on(i);
		return;
	}
	const unsigned number = number_of(command), user = number % USERS;
	assert_false(world.running[number]);
	/* No earlier one of its user is still to come. */
	for (unsigned earlier = user; earlier < number; earlier += USERS)
		assert_true(world.ended[earlier]);
	static const char *const steps[] = {".", "e", "3", "r", "e", "x", "f", "."};
	parts.one.steps = steps[dice(8)];
	if (world.stubborn[number] > 0) {
		world.stubborn[number]--;
		parts.one.steps = "r";
	}
	parts_submitted_take(i);
	if (dice(4) == 0) {
		/* It is lost while the handler runs. */
		world.running[number] = true;
		parts_lose(false);
		world.running[number] = false;
	}
	worker_run(&parts.host.light, command);
	if (command->settled != 0)
		world.ended[number] = true;
	command_returned(command);
}

static void egress_does(void)
{
	if (parts.event_count == 0)
		return;
	parts_event_ends(dice(8) == 0 ? "Quota exceeded" : NULL, false);
}

static void live(unsigned seed)
{
	memset(&world, 0, sizeof(world));
	world.chance = seed;
	for (unsigned i = 0; i < USERS; i++)
		snprintf(world.topics[i], sizeof(world.topics[i]), "u%u/one", i);
	for (unsigned i = 0; i < COMMANDS; i++) {
		snprintf(world.payloads[i], sizeof(world.payloads[i]), "%u", i);
		world.stubborn[i] = dice(20) == 0 ? 5 + dice(4) : 0;
	}
	parts_lose(false);
	for (unsigned turns = 0; world.sent < COMMANDS || world.window_count > 0 ||
				 fake_store_parked(parts.host.light.store) > 0;
		turns++) {
		assert_in_range(turns, 0, 200000);
		broker_does();
		for (unsigned i = dice(6); i > 0; i--)
			workers_do();
		for (unsigned i = dice(4); i > 0; i--)
			egress_does();
		parts.connection->room = dice(4) == 0 ? dice(3) : SIZE_MAX;
		if (dice(200) == 0)
			parts_lose(false);
		if (dice(200) == 0)
			parts.connection->breaks_at = 1 + dice(5);
		if (dice(200) == 0)
			host_store_away(&parts.host);
		if (dice(500) == 0)
			fake_store_fail_next(parts.host.light.store, STORE_E_AWAY, 1);
		if (dice(500) == 0)
			fake_store_lose_answer_at(parts.host.light.store, 0);
		if (dice(10) == 0)
			parts_due(false);
		parts_turn(dice(20));
		parts.host.store_up = true;
	}
}

static void test_chance(void **state)
{
	size_t parked = 0;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		live(seed);
		/* The last ones that nobody waits for any more come to their end. */
		parts_lose(false);
		parts_events_end();
		while (parts.submitted_count > 0)
			parts_work();
		for (unsigned i = 0; i < COMMANDS; i++)
			assert_true(world.ended[i]);
		parked += fake_store_tombstones(parts.host.light.store);
		assert_int_equal(parts_end(state), 0);
		assert_int_equal(begin(state), 0);
	}
	/* It was not for nothing. */
	assert_true(parked > SEEDS);
}

#define IN_A_LANE(test) cmocka_unit_test_setup_teardown(test, begin, parts_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_LANE(test_options),
		IN_A_LANE(test_want),
		IN_A_LANE(test_group_max),
		IN_A_LANE(test_group_ms),
		IN_A_LANE(test_group_bytes),
		IN_A_LANE(test_group_unsettled),
		IN_A_LANE(test_group_pause),
		IN_A_LANE(test_reads_per_turn),
		IN_A_LANE(test_pending),
		IN_A_LANE(test_linger),
		IN_A_LANE(test_linger_ends),
		IN_A_LANE(test_no_linger_while_busy),
		IN_A_LANE(test_linger_beside_a_long_queue),
		IN_A_LANE(test_no_late_linger),
		IN_A_LANE(test_age_limit),
		IN_A_LANE(test_age_limit_shrinks_groups),
		IN_A_LANE(test_age_limit_of_the_broker),
		IN_A_LANE(test_nothing_leaves_early),
		IN_A_LANE(test_keepalive),
		IN_A_LANE(test_company),
		IN_A_LANE(test_figures),
		IN_A_LANE(test_flushing),
		IN_A_LANE(test_broken_link),
		IN_A_LANE(test_results_of_a_new_session),
		IN_A_LANE(test_results_after_takeover),
		IN_A_LANE(test_results_after_a_while),
		IN_A_LANE(test_results_in_one_place),
		IN_A_LANE(test_results_in_the_group),
		IN_A_LANE(test_stop),
		IN_A_LANE(test_stop_while_it_drains),
		IN_A_LANE(test_stop_idle),
		IN_A_LANE(test_stop_while_away),
		IN_A_LANE(test_abandon),
		IN_A_LANE(test_give_up_while_stopping),
		IN_A_LANE(test_give_up),
		IN_A_LANE(test_refused_filter),
		IN_A_LANE(test_chance),
	};
	return cmocka_run_group_tests_name("host_lane", tests, NULL, NULL);
}
