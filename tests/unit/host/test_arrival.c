/* test_arrival.c - arrival.c: what becomes first of a message from the broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "host_parts.h"

static struct command *only_command(const char *user)
{
	struct user *found = users_find(line, users_key(user, strlen(user)), user, strlen(user));
	assert_non_null(found);
	assert_ptr_equal(found->first, found->last);
	return found->first;
}

/* All that came with it is kept, and is the command's own. */
static void test_command(void **state)
{
	(void)state;
	char topic[] = "68946/one", payload[] = "x:.";
	mosquitto_property *properties = NULL;
	assert_int_equal(
		mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, "c\0d", 3), 0);
	assert_int_equal(
		mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, "68946/answer"), 0);
	const struct mosquitto_message message = {
		.mid = 17, .topic = topic, .payload = payload, .payloadlen = 3, .qos = 1};
	arrival_message(&home, &message, properties, 5, false);
	mosquitto_property_free_all(&properties);
	memset(topic, '?', sizeof(topic) - 1);
	memset(payload, '?', sizeof(payload) - 1);
	const struct command *command = only_command("68946");
	assert_string_equal(command->input.topic, "68946/one");
	assert_string_equal(command->input.user, "68946");
	assert_string_equal(command->input.command, "one");
	assert_memory_equal(command->input.payload, "x:.", 4);
	assert_int_equal(command->input.payload_size, 3);
	assert_string_equal(command->input.response_topic, "68946/answer");
	assert_int_equal(command->correlation_size, 3);
	assert_memory_equal(command->correlation, "c\0d", 3);
	assert_ptr_equal(command->input.correlation, command->correlation); /* as its handlers see it */
	assert_int_equal(command->input.correlation_size, 3);
	assert_int_equal(command->origin, COMMAND_FROM_BROKER);
	assert_int_equal(command->fingerprint, fingerprint("68946/one", "x:.", 3, "c\0d", 3));
	assert_int_not_equal(command->identity, 0);
	assert_int_equal(host.commands, 1);
	assert_int_equal(host.bytes, 3);
	const struct place *place = lane.places.first;
	assert_ptr_equal(place->command, command);
	assert_ptr_equal(command->place, place);
	assert_int_equal(place->number, 5);
	assert_int_equal(place->mid, 17);
	work_all();
	assert_string_equal(state_of(place), "done");
}

/* An empty payload; equals with other packet identifiers are others. */
static void test_identities(void **state)
{
	(void)state;
	const struct mosquitto_message empty = {
		.mid = 1, .topic = (char[]){"v/light"}, .payload = NULL, .qos = 1};
	host.store_up = false; /* it does not run at once */
	arrival_message(&home, &empty, NULL, 0, false);
	assert_string_equal(only_command("v")->input.payload, "");
	send_command("a/one", "x:.");
	struct command *first = only_command("a");
	send_command("a/one", "x:.");
	const struct command *second = first->user_next;
	assert_int_equal(first->fingerprint, second->fingerprint);
	assert_int_not_equal(first->identity, second->identity);
}

static void test_retained(void **state)
{
	(void)state;
	arrive_as("u/one", "x:.", 1, true, false, 1, true);
	assert_int_equal(host.commands, 0);
	assert_true(lane.places.first->settled);
	assert_true(lane.places.first->ignored);
	arrive_as("u/one", "x:.", 0, true, false, 0, false);
	assert_int_equal(lane.places.count, 1);
	assert_int_equal(board_read(&host.board->account.ignored), 2);
	assert_int_equal(release(), 1);
	assert_int_equal(board_read(&host.board->account.done), 0);
	assert_int_equal(board_read(&host.board->account.qos0), 0);
	lane.no_memory = true;
	arrive_as("u/one", "x:.", 1, true, false, 1, true);
	assert_string_equal(lane.given_up, "out of memory");
}

static void test_unpromised(void **state)
{
	(void)state;
	settings.window = 2;
	for (unsigned i = 0; i < 3; i++)
		arrive_as("u/one", "x:.", i == 0 ? 2 : 0, false, false, 0, false);
	assert_int_equal(host.commands, 2);
	assert_int_equal(lane.places.count, 0);
	assert_int_equal(home.unpromised, 2);
	assert_int_equal(host.unpromised.dropped, 1);
	work_all();
	expect("x x ");
	assert_int_equal(host.commands, 0);
	assert_int_equal(home.unpromised, 0);
	/* What fails for a second is dropped. */
	arrive_as("u/one", "r:r", 0, false, false, 0, false);
	for (unsigned i = 0; i < 1000; i++) {
		work_all();
		pass(5);
	}
	assert_int_equal(host.commands, 0);
	assert_int_equal(host.unpromised.dropped, 2);
	assert_int_equal(fake_store_parked(host.store), 0);
}

static void oversized(const char *topic, int size, uint64_t number, int mid, int qos, bool dup)
{
	const struct mosquitto_message message = {
		.mid = mid, .topic = (char *)(uintptr_t)topic, .payloadlen = size, .qos = qos};
	arrival_oversized(&home, &message, number, dup);
}

/* One user has a part of what there is room for: also of those that wait for their events' PUBACKs only. */
static void test_unpromised_of_one_user(void **state)
{
	(void)state;
	settings.window = 4;
	settings.user_window = 2;
	oversized("u/one", 5000000, LANE_NO_PLACE, 0, 0, false);
	for (unsigned i = 0; i < 7; i++)
		arrive_as("u/one", "x:.", 0, false, false, 0, false);
	assert_int_equal(host.unpromised.dropped, 6);
	assert_int_equal(home.unpromised, 2);
	arrive_as("v/one", "y:.", 0, false, false, 0, false);
	arrive_as("w/one", "z:.", 2, false, false, 0, false);
	assert_int_equal(home.unpromised, 4);
	arrive_as("t/one", "a:.", 0, false, false, 0, false);
	assert_int_equal(host.unpromised.dropped, 7);
	work_all();
	puback_all();
	expect("x y z ");
	assert_int_equal(home.unpromised, 0);
	assert_int_equal(host.commands, 0);
	/* Then there is room again. */
	for (unsigned i = 0; i < 2; i++)
		arrive_as("u/one", "b:.", 0, false, false, 0, false);
	work_all();
	expect("b b ");
	assert_int_equal(host.unpromised.dropped, 7);
}

/* A copy takes its place over, whatever its command is doing; anything else is new. */
static void test_copies(void **state)
{
	(void)state;
	struct place *place = send_command("u/one", "x:.");
	lane.copy = place;
	arrive_as("u/one", "x:.", 1, false, true, 1, true);
	assert_int_equal(host.commands, 1);
	assert_int_equal(board_read(&host.board->account.joined), 1);
	work_all();
	assert_true(place->settled);
	lane.copy = place;
	arrive_as("u/one", "x:.", 1, false, true, 1, true);
	assert_int_equal(host.commands, 0);
	assert_int_equal(board_read(&host.board->account.joined), 2);
	lane.copy = place;
	arrive_as("u/one", "y:.", 1, false, true, 1, true);  /* other content */
	arrive_as("u/one", "x:.", 1, false, false, 2, true); /* no DUP */
	assert_int_equal(host.commands, 2);
	work_all();
	expect("x y x ");
}

/* The same packet identifier while its place is held: a copy that came early; with other content the broker has lost count. */
static void test_same_identifier(void **state)
{
	(void)state;
	send_command("u/one", "x:.");
	arrive_as("u/one", "x:.", 1, false, true, next_mid, false);
	assert_null(lane.given_up);
	assert_int_equal(host.commands, 1);
	arrive_as("u/one", "y:.", 1, false, false, next_mid, false);
	assert_string_equal(lane.given_up, "the broker uses a packet identifier for two messages at once");
	assert_int_equal(host.commands, 1);
}

/* What ends without a run. */
static void test_ends_without_run(void **state)
{
	static char large[2000];
	static const struct {
		const char *name, *topic, *payload;
		const char *end, *reason; /* of the letter */
		size_t events;
		bool unsubscribed;
	} cases[] = {
		{"no user", "/one", "x:.", "dead",
			"the topic does not begin with a user id: 1 to 64 of A-Z a-z 0-9 . _ | -", 0, false},
		{"a bad user", "a b/one", "x:.", "dead",
			"the topic does not begin with a user id: 1 to 64 of A-Z a-z 0-9 . _ | -", 0, false},
		{"nobody wants it", "u/none", "x:.", "dead", "no handler wants this topic", 0, true},
		{"too large", "u/one", large, "rejected", NULL, 1, false},
		{"too large, and nobody wants it", "u/none", large, "rejected", NULL, 1, true},
	};
	memset(large, 'x', sizeof(large) - 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		begin_host(state);
		settings.payload_max = 1000;
		const struct place *place = send_command(cases[i].topic, cases[i].payload);
		assert_int_equal(published_count, cases[i].events);
		if (published)
			assert_string_equal(published->topic, "u/command_rejected");
		assert_true(host.bytes <= settings.payload_max);
		puback_all();
		store_all();
		/* Who has no valid name cannot be told. */
		const bool told_dead = strcmp(cases[i].end, "dead") == 0 && cases[i].unsubscribed;
		assert_int_equal(published_count, told_dead);
		if (published)
			assert_string_equal(published->topic, "u/command_failed");
		puback_all();
		assert_string_equal(state_of(place), cases[i].end);
		assert_int_equal(lane.unsubscribed != NULL, cases[i].unsubscribed);
		assert_int_equal(host.commands, 0);
		expect("");
		if (cases[i].reason)
			assert_string_equal(fake_store_dead_letter(host.store, 0)->reason, cases[i].reason);
		end_host(state);
	}
}

/* One that could not even be read. */
static void test_oversized(void **state)
{
	(void)state;
	oversized("u/one", 5000000, next_number++, 3, 1, false);
	assert_int_equal(published_count, 1);
	assert_non_null(strstr(published->payload, "5000000 bytes"));
	assert_int_equal(host.bytes, 0);
	puback_all();
	assert_string_equal(state_of(lane.places.first), "rejected");
	oversized("u/none", 5000000, next_number++, 4, 1, false);
	puback_all();
	assert_string_equal(state_of(lane.places.last), "rejected");
}

/* The same without a promise: its user is told, it is counted, and bounded. */
static void test_oversized_unpromised(void **state)
{
	(void)state;
	settings.window = 2;
	oversized("u/one", 5000000, LANE_NO_PLACE, 0, 0, false);
	oversized("v/one", 6000000, LANE_NO_PLACE, 3, 2, true);
	assert_int_equal(published_count, 2);
	assert_int_equal(host.unpromised.dropped, 0);
	oversized("w/one", 7000000, LANE_NO_PLACE, 0, 0, false);
	assert_int_equal(published_count, 2);
	assert_int_equal(host.unpromised.dropped, 1);
	puback_all();
	work_all();
	uint64_t rejected = 0;
	for (size_t i = 0; i < FIGURES_HANDLERS; i++)
		rejected += FIGURES_GET(host.board->figures.handlers[i].commands[COMMAND_REJECTED]);
	assert_int_equal(rejected, 2);
	assert_int_equal(board_read(&host.board->account.rejected), 2);
	assert_int_equal(board_read(&host.board->account.qos0), 3);
	assert_int_equal(lane.places.count, 0);
	assert_int_equal(host.commands, 0);
	assert_int_equal(home.unpromised, 0);
	assert_null(lane.given_up);
	/* A retained one would come at every start. */
	const struct mosquitto_message retained = {
		.mid = 9, .topic = (char[]){"u/one"}, .payloadlen = 5000000, .qos = 1, .retain = true};
	arrival_oversized(&home, &retained, next_number++, false);
	assert_true(lane.places.first->ignored);
	assert_int_equal(release(), 1);
	assert_int_equal(published_count, 0);
	assert_int_equal(board_read(&host.board->account.ignored), 1);
	/* Nobody to tell. */
	oversized("/one", 5000000, LANE_NO_PLACE, 0, 0, false);
	store_all();
	assert_int_equal(published_count, 0);
	assert_int_equal(host.commands, 0);
	assert_int_equal(home.unpromised, 0);
	expect("");
}

/* One user's share, which is nobody else's. */
static void test_user_window(void **state)
{
	(void)state;
	settings.user_window = 2;
	send_command("u/one", "a:.");
	send_command("u/one", "b:.");
	const struct place *over = send_command("u/one", "c:.");
	const struct place *other = send_command("v/one", "d:.");
	assert_int_equal(published_count, 1);
	puback_all();
	assert_string_equal(state_of(over), "rejected");
	assert_string_equal(state_of(other), "running");
	work_all();
	expect("a d b ");
	send_command("u/one", "e:.");
	work_all();
	expect("e ");
}

/* Of bytes as of commands; whoever has but one command waiting may send one that is larger. */
static void test_user_bytes(void **state)
{
	enum { LARGE = 300 * 1024 };
	(void)state;
	settings.payload_max = 4 * LARGE;
	char *payload = malloc(4 * LARGE + 1);
	assert_non_null(payload);
	memset(payload, ' ', 4 * LARGE);
	memcpy(payload, "v:.:", 4);
	payload[4 * LARGE] = '\0';
	const struct place *largest = send_command("v/one", payload);
	payload[LARGE] = '\0';
	for (char name = 'a'; name <= 'c'; name++) {
		payload[0] = name;
		send_command("u/one", payload);
	}
	assert_int_equal(published_count, 0);
	payload[0] = 'd';
	const struct place *over = send_command("u/one", payload);
	assert_int_equal(published_count, 1);
	const struct place *second = send_command("v/one", "e:.");
	assert_int_equal(published_count, 2);
	puback_all();
	assert_string_equal(state_of(over), "rejected");
	assert_string_equal(state_of(second), "rejected");
	assert_string_equal(state_of(largest), "running");
	work_all();
	expect("v a b c ");
	/* Then there is room again. */
	payload[0] = 'f';
	send_command("u/one", payload);
	work_all();
	expect("f ");
	free(payload);
}

/* They would come back with each event: larger ones are rejected, without them. */
static void test_large_properties(void **state)
{
	static const struct {
		size_t correlation, response;
		bool rejected;
	} cases[] = {{256, 256, false}, {257, 0, true}, {0, 257, true}, {60000, 60000, true}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin_host(state);
		char bytes[60001], topic[60001];
		mosquitto_property *properties = NULL;
		memset(bytes, 'c', sizeof(bytes));
		memset(topic, 't', sizeof(topic));
		memcpy(topic, "u/", 2);
		topic[cases[i].response] = '\0';
		if (cases[i].correlation > 0)
			assert_int_equal(
				mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, bytes,
					(uint16_t)cases[i].correlation),
				0);
		if (cases[i].response > 0)
			assert_int_equal(
				mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, topic),
				0);
		const struct mosquitto_message message = {.mid = 17,
			.topic = (char[]){"u/one"},
			.payload = (char[]){"x:."},
			.payloadlen = 3,
			.qos = 1};
		arrival_message(&home, &message, properties, 5, false);
		mosquitto_property_free_all(&properties);
		const struct command *command = only_command("u");
		assert_int_equal(command->correlation_size, cases[i].rejected ? 0 : cases[i].correlation);
		assert_int_equal(command->input.response_topic == NULL, cases[i].rejected);
		assert_int_equal(published_count, cases[i].rejected);
		puback_all();
		assert_string_equal(state_of(lane.places.first), cases[i].rejected ? "rejected" : "running");
		work_all();
		expect(cases[i].rejected ? "" : "x ");
		end_host(state);
	}
}

/* Each allocation fails once: the lane is dropped, so that it comes again, and nothing is left of it. */
static void test_no_memory(void **state)
{
	for (int qos = 0; qos < 2; qos++) {
		bool failed = true;
		for (size_t n = 1; failed; n++) {
			begin_host(state);
			failing_malloc_start(n, false);
			arrive_as("u/one", "x:.", qos, false, false, 1, qos == 1);
			failed = failing_malloc_stop();
			if (failed) {
				assert_string_equal(lane.given_up, "out of memory");
				assert_int_equal(host.commands, 0);
				assert_int_equal(host.bytes, 0);
				assert_int_equal(home.unpromised, 0);
				assert_null(users_find(line, users_key("u", 1), "u", 1));
			}
			work_all();
			end_host(state);
		}
		begin_host(state);
		lane.no_memory = true;
		arrive_as("u/one", "x:.", qos, false, false, 1, qos == 1);
		assert_int_equal(host.commands, qos == 0); /* it needs no place */
		work_all();
		end_host(state);
	}
}

int main(void)
{
	log_set(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	const struct CMUnitTest tests[] = {
		TEST(test_command),
		TEST(test_identities),
		TEST(test_retained),
		TEST(test_unpromised),
		TEST(test_unpromised_of_one_user),
		TEST(test_copies),
		TEST(test_same_identifier),
		cmocka_unit_test(test_ends_without_run),
		TEST(test_oversized),
		TEST(test_oversized_unpromised),
		TEST(test_user_window),
		TEST(test_user_bytes),
		cmocka_unit_test(test_large_properties),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests_name("arrival", tests, NULL, NULL);
}
