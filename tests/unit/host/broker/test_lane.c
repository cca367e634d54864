/* test_lane.c - lane.c, with a real connection to a broker that the test plays, and an owner that notes what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "command.h"
#include "figures.h"
#include "lane.h"
#include "unit/link/tiny_broker.h"

enum { PATIENCE_MS = 10000, PLACES = 64 };

static struct lane *lane;
static struct figures *figures;
static bool reads;
static struct route filters[] = {{.filter = "+/a"}};
static const struct route_lane routes = {.name = "main", .routes = filters, .route_count = 1};

/* What the owner was told, and the places that it has: by packet identifier. A place's command is its identifier, made a pointer. */
static struct {
	char text[2000];
	struct place *places[PLACES];
	bool gives_up; /* at the next message */
} owner;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	va_list arguments;
	const size_t size = strlen(owner.text);
	va_start(arguments, format);
	vsnprintf(owner.text + size, sizeof(owner.text) - size, format, arguments);
	va_end(arguments);
}

/* User: the topic's first byte. Fingerprint: the payload's. */
static void on_message(void *object, const struct mosquitto_message *message,
	const mosquitto_property *properties, uint64_t number, bool dup)
{
	(void)properties;
	assert_ptr_equal(object, &owner);
	const uint64_t user = (unsigned char)message->topic[0],
		       fingerprint = *(const unsigned char *)message->payload;
	const uint16_t mid = (uint16_t)message->mid;
	if (owner.gives_up) {
		lane_give_up(lane, "the test gives up");
		return;
	}
	struct place *place = lane_take_copy(lane, number, mid, dup, user, fingerprint);
	note("%s%u ", place ? "copy-" : "", mid);
	if (place) {
		assert_ptr_equal(place, owner.places[mid]);
		return;
	}
	owner.places[mid] = lane_hold(lane, number, mid, user, fingerprint);
	assert_non_null(owner.places[mid]);
	assert_ptr_equal(lane_held_place(lane, mid), owner.places[mid]);
}

static void on_oversized(void *object, const struct mosquitto_message *message, uint64_t number, bool dup)
{
	(void)object, (void)message, (void)number, (void)dup;
	fail();
}

static void on_freed(void *object, const struct place *place, bool released)
{
	assert_ptr_equal(object, &owner);
	note("%s-%u ", released ? "released" : "forgotten", place->mid);
	if (owner.places[place->mid] == place)
		owner.places[place->mid] = NULL;
}

static const struct lane_owner callbacks = {
	.message = on_message, .oversized = on_oversized, .freed = on_freed};

static int begin(void **state)
{
	(void)state;
	memset(&owner, 0, sizeof(owner));
	reads = true;
	figures = calloc(1, sizeof(*figures));
	tiny_begin(NULL, NULL);
	const struct lane_options options = {.settings = &tiny.settings,
		.routes = &routes,
		.figures = figures,
		.resolver = tiny.resolver,
		.callbacks = &callbacks,
		.owner = &owner};
	assert_non_null(figures);
	assert_int_equal(lane_new(&options, &lane), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	lane_free(lane);
	tiny_end();
	free(figures);
	return 0;
}

static void turn(void)
{
	struct pollfd fds[3];
	lane_poll(lane, reads, &fds[0]);
	fds[1] = (struct pollfd){.fd = tiny.fd, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = tiny.listener, .events = POLLIN};
	assert_true(poll(fds, 3, lane_due_ms(lane, reads) == 0 ? 0 : 5) >= 0);
	lane_serve(lane, fds[0].revents, reads, tiny_now());
	lane_flush(lane, tiny_now());
	lane_tell(lane, false);
	tiny_serve();
}

#define until(condition)                                                        \
	for (int64_t until_ms = clock_ms() + PATIENCE_MS; !(condition); turn()) \
		if (clock_ms() > until_ms)                                      \
	fail_msg("%s: never so; told %s; came %s", #condition, owner.text, tiny_came())

static void linger(void)
{
	for (unsigned i = 0; i < 20; i++)
		turn();
}

static void tells(const char *text)
{
	until(strlen(owner.text) >= strlen(text));
	linger();
	assert_string_equal(owner.text, text);
	owner.text[0] = '\0';
}

/* Welcomed, the filter granted if it is asked for. */
static void opens(bool session_present)
{
	lane_want(lane, true, tiny_now());
	until(tiny_has("connect5"));
	tiny_say(session_present ? "\x20\3\1\0\0" : "\x20\3\0\0\0", 5);
	until(tiny_has("sub 1"));
	tiny_say("\x90\4\0\1\0\1", 6);
	until(lane_ready(lane));
}

static void publish(unsigned mid, char user, char content, bool dup)
{
	struct mqtt_bytes bytes = {0};
	mqtt_publish_of(&bytes, true, 1, dup, mid, (const char[]){user, '/', 'a', '\0'},
		(const char[]){content, '\0'}, 0);
	tiny_send(&bytes);
}

static void settle(unsigned mid)
{
	assert_non_null(owner.places[mid]);
	lane_settle(lane, owner.places[mid], 0);
}

/* The broker cuts, and what comes next is another link. */
static void cut(void)
{
	const unsigned connections = tiny.connections;
	tiny_close();
	until(tiny.connections == connections + 1);
}

/* ---- Places ---- */

static void places_leave_in_order(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false), publish(2, 'v', 'x', false), publish(3, 'u', 'y', false);
	tells("1 2 3 ");
	assert_int_equal(lane_held(lane), 3);
	assert_ptr_equal(lane_oldest(lane), owner.places[1]);
	settle(2);
	assert_ptr_equal(lane_oldest(lane), owner.places[1]);
	linger();
	assert_false(tiny_has("ack"));
	settle(1);
	assert_ptr_equal(lane_oldest(lane), owner.places[3]);
	tells("released-1 released-2 ");
	settle(3);
	assert_null(lane_oldest(lane));
	tells("released-3 ");
	assert_true(tiny_has("ack 1, ack 2, ack 3"));
	assert_int_equal(figures->lanes[0].acknowledged, 3);
}

static void stalls(void **state)
{
	(void)state;
	opens(false);
	for (unsigned mid = 1; mid <= 10; mid++)
		publish(mid, 'u', 'x', false);
	tells("1 2 3 4 5 6 7 8 9 10 ");
	for (unsigned mid = 2; mid <= 8; mid++)
		settle(mid);
	assert_int_equal(lane_stalls_at_ms(lane), INT64_MAX);
	settle(9);
	const int64_t at_ms = lane_stalls_at_ms(lane);
	assert_true(at_ms <= tiny_now() + 20);
	assert_false(lane_stalls(lane, at_ms - 1));
	assert_true(lane_stalls(lane, at_ms));
	settle(1);
	tells("released-1 released-2 released-3 released-4 released-5 released-6 released-7 released-8 released-9 ");
	assert_int_equal(lane_stalls_at_ms(lane), INT64_MAX);
}

/* Of twelve: how many are done, of these parked, how many users have something to do, and whether the others wait for them. */
static void is_blocked(void **state)
{
	static const struct {
		const char *name;
		unsigned done, parked;
		size_t users;
		bool blocked;
	} cases[] = {
		{"nobody is done", 0, 0, 1, false},
		{"two are, by accident", 2, 0, 1, false},
		{"a quarter", 3, 0, 5, true},
		{"in the store they wait for nothing", 3, 1, 5, false},
		{"in the store they wait for nothing, half", 6, 4, 5, false},
		{"half", 7, 2, 5, true},
	};
	(void)state;
	opens(false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].name);
		for (unsigned mid = 1; mid <= 12; mid++)
			publish(mid, 'u', 'x', false);
		tells("1 2 3 4 5 6 7 8 9 10 11 12 ");
		const int64_t came_ms = tiny_now();
		for (unsigned mid = 2; mid < 2 + cases[i].done; mid++)
			lane_settle(lane, owner.places[mid],
				mid < 2 + cases[i].parked ? COMMAND_PARKED : COMMAND_DONE);
		assert_int_equal(lane_is_blocked(lane, cases[i].users, came_ms), cases[i].blocked);
		/* Where nothing moves there is time. */
		assert_false(lane_is_idle(lane, came_ms));
		assert_true(lane_is_idle(lane, came_ms + 1000));
		assert_true(lane_is_blocked(lane, cases[i].users, came_ms + 1000));
		settle(1);
		for (unsigned mid = 2 + cases[i].done; mid <= 12; mid++)
			settle(mid);
		until(lane_held(lane) == 0);
		owner.text[0] = '\0';
	}
}

/* Of forty, eight are done: many for one user at work, few for two. And where the window is full it is this host that does not read. */
static void is_blocked_by_users(void **state)
{
	(void)state;
	opens(false);
	for (unsigned mid = 1; mid <= 40; mid++)
		publish(mid, 'u', 'x', false);
	until(lane_held(lane) == 40);
	for (unsigned mid = 2; mid <= 9; mid++)
		settle(mid);
	const int64_t stalls_ms = lane_stalls_at_ms(lane);
	assert_true(lane_is_blocked(lane, 1, stalls_ms - 1));
	assert_false(lane_is_blocked(lane, 2, stalls_ms - 1));
	assert_true(lane_is_blocked(lane, 2, stalls_ms));
	tiny.settings.window = 40;
	assert_int_equal(lane_stalls_at_ms(lane), INT64_MAX);
	assert_false(lane_is_idle(lane, stalls_ms + 60000));
	assert_false(lane_is_blocked(lane, 2, stalls_ms + 60000));
	assert_true(lane_is_blocked(lane, 1, stalls_ms + 60000));
}

static void settled_ones_are_released_too(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false);
	tells("1 ");
	/* Nothing is read: what has settled leaves all the same. */
	reads = false;
	settle(1);
	tells("released-1 ");
	publish(2, 'u', 'x', false);
	linger();
	assert_string_equal(owner.text, "");
	reads = true;
	tells("2 ");
}

/* ---- Copies ---- */

static void copies_take_over(void **state)
{
	(void)state;
	opens(false);
	assert_int_equal(figures->lanes[0].sessions_lost, 0); /* the first one of all */
	publish(1, 'u', 'x', false), publish(2, 'v', 'x', false), publish(3, 'u', 'y', false);
	tells("1 2 3 ");
	settle(2);
	cut();
	settle(3); /* while it is kept */
	opens(true);
	publish(1, 'u', 'x', true), publish(2, 'v', 'x', true), publish(3, 'u', 'y', true);
	tells("copy-1 copy-2 copy-3 ");
	assert_false(tiny_has("ack"));
	assert_ptr_equal(lane_oldest(lane), owner.places[1]);
	settle(1);
	tells("released-1 released-2 released-3 ");
	assert_true(tiny_has("ack 1, ack 2, ack 3"));
}

/* The first was released, and its PUBACK lost: what is kept of its user is void, the other's is not. */
static void lost_puback_voids_its_user(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false), publish(2, 'v', 'x', false), publish(3, 'u', 'y', false);
	tells("1 2 3 ");
	settle(1);
	tells("released-1 ");
	cut();
	opens(true);
	publish(1, 'u', 'x', true);
	tells("forgotten-3 1 ");
	publish(2, 'v', 'x', true), publish(3, 'u', 'y', true);
	tells("copy-2 3 ");
}

static void what_ends_the_time_of_copies(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false), publish(2, 'v', 'x', false);
	tells("1 2 ");
	cut();
	opens(true);
	publish(3, 'w', 'x', false);
	tells("forgotten-1 forgotten-2 3 ");
	cut();
	assert_int_equal(figures->lanes[0].sessions_lost, 0);
	opens(false); /* no session */
	tells("forgotten-3 ");
	assert_int_equal(figures->lanes[0].sessions_lost, 1);
}

/* ---- Ends ---- */

static void gives_up(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false);
	tells("1 ");
	owner.gives_up = true;
	publish(2, 'u', 'y', false), publish(3, 'u', 'z', false);
	until(tiny.closed);
	owner.gives_up = false;
	assert_false(tiny_has("ack"));
	cut();
	opens(true);
	publish(1, 'u', 'x', true), publish(2, 'u', 'y', true), publish(3, 'u', 'z', true);
	tells("copy-1 2 3 ");
	assert_int_equal(figures->lanes[0].dropped, 1);
}

static void stops_when_nothing_is_held(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false), publish(2, 'u', 'y', false);
	tells("1 2 ");
	lane_stop(lane, tiny_now());
	publish(3, 'u', 'z', false);
	settle(1);
	tells("released-1 ");
	assert_false(lane_stopped(lane));
	assert_false(tiny_has("disconnect"));
	settle(2);
	tells("released-2 ");
	until(tiny.closed);
	assert_true(tiny_has("ack 1, ack 2, disconnect"));
	assert_false(lane_stopped(lane)); /* the broker has not closed */
	tiny_close();
	until(lane_stopped(lane));
}

/* The link is lost while it stops: it has stopped, and does not come back while others stop. */
static void link_lost_while_it_stops(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false);
	tells("1 ");
	lane_stop(lane, tiny_now());
	tiny_reset();
	until(lane_stopped(lane));
	tiny.skipped_ms += 5000;
	linger();
	assert_true(lane_stopped(lane));
	assert_int_equal(tiny.connections, 1);
	settle(1);
}

static void abandons(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false), publish(2, 'u', 'y', false);
	tells("1 2 ");
	settle(1);
	assert_int_equal(lane_abandon(lane, tiny_now()), 2);
	assert_true(lane_stopped(lane));
	until(tiny.closed);
	assert_false(tiny_has("ack"));
	assert_string_equal(owner.text, "");
	lane_stand_by(lane, tiny_now());
	assert_string_equal(owner.text, "forgotten-1 forgotten-2 ");
}

/* Not wanted, then wanted again: what is held is kept. What settles while the broker closes is not released, but known. */
static void not_wanted_and_wanted_again(void **state)
{
	(void)state;
	opens(false);
	publish(1, 'u', 'x', false), publish(2, 'u', 'y', false);
	tells("1 2 ");
	lane_want(lane, false, tiny_now());
	until(tiny.closed);
	settle(1);
	linger();
	assert_false(tiny_has("ack"));
	tiny_close();
	linger();
	assert_int_equal(tiny.connections, 1);
	opens(true);
	publish(1, 'u', 'x', true), publish(2, 'u', 'y', true);
	tells("copy-1 copy-2 released-1 ");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		CASE(places_leave_in_order),
		CASE(stalls),
		CASE(is_blocked),
		CASE(is_blocked_by_users),
		CASE(settled_ones_are_released_too),
		CASE(copies_take_over),
		CASE(lost_puback_voids_its_user),
		CASE(what_ends_the_time_of_copies),
		CASE(gives_up),
		CASE(stops_when_nothing_is_held),
		CASE(link_lost_while_it_stops),
		CASE(abandons),
		CASE(not_wanted_and_wanted_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
