/*
 * test_flood.c - one user who sends more than anyone can handle: the others are served meanwhile, every
 * command of the flood comes to an end that its sender is told of, and the host's memory stays as it was.
 *
 * Each command of a flood carries its number as Correlation Data, so that what comes back is accounted for
 * one by one.
 */
#include "account.h"
#include "harness_private.h"
#include <stdlib.h>
#include <string.h>

enum { USER_WINDOW = 500 /* the default */ };

#define TOO_MANY "too many of your commands are waiting: send this one again later"

/* One command of a flood: how often it ended well, and how often by a rejection. */
struct fate {
	unsigned answered, rejected;
};

struct flood {
	struct device *device;
	const char *answer; /* the event that ends a command well */
	struct fate *fates;
	size_t count, ended; /* commands sent; of those, ended */
	size_t awaited;	     /* of those, so many are to end */
	size_t rejected;
	size_t seen; /* messages of the device's that were looked at */
};

static struct flood flood_new(struct harness *h, struct device *device, const char *answer, size_t capacity)
{
	return (struct flood){.device = device,
		.answer = harness_format(h, "%s/%s", device->user, answer),
		.fates = harness_alloc(h, capacity * sizeof(struct fate))};
}

static void flood_send(
	struct harness *h, struct flood *flood, const char *command, const char *payload, size_t count)
{
	for (size_t i = 0; i < count; i++)
		device_publish_with(flood->device, command,
			&(struct device_publish_options){.payload = payload,
				.payload_size = strlen(payload),
				.qos = 1,
				.correlation = harness_format(h, "%zu", flood->count++)});
}

static void flood_note(struct flood *flood, const struct device_message *message)
{
	const bool answer = strcmp(message->topic, flood->answer) == 0;
	if (!message->correlation)
		harness_fail("%s came without Correlation Data", message->topic);
	const size_t number = strtoul(message->correlation, NULL, 10);
	assert_true(number < flood->count);
	struct fate *fate = &flood->fates[number];
	if (answer) {
		fate->answered++;
	} else {
		assert_non_null(strstr(message->topic, "/command_rejected"));
		assert_non_null(strstr(message->payload, TOO_MANY));
		fate->rejected++;
		flood->rejected++;
	}
	/* No connection was lost: each comes to its end once. */
	assert_int_equal(fate->answered + fate->rejected, 1);
	flood->ended++;
}

static bool flood_goes_on(void *context)
{
	struct flood *flood = context;
	while (flood->seen < flood->device->message_count)
		flood_note(flood, &flood->device->messages[flood->seen++]);
	return flood->ended >= flood->awaited;
}

/* As long as it goes on, however slow the machine is. */
static void flood_wait(struct harness *h, struct flood *flood)
{
	enum { STEP = 200 };
	for (flood->awaited = flood->ended; flood->awaited < flood->count;) {
		flood->awaited += flood->count - flood->awaited < STEP ? flood->count - flood->awaited : STEP;
		harness_wait(h, flood_goes_on, flood, "an end for %zu of %zu commands", flood->awaited,
			flood->count);
	}
}

/* Another user's day: one command at a time, light and with the store, each answered. */
static void serve_another(struct device *other, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		device_command(other, "get_apples", "{}");
		device_expect(other, "got_apples");
		device_command(other, "get_contact_list", "{}");
		device_expect(other, "contact_list");
	}
}

/* A broker that keeps nothing on disk: one that saves each message is too slow to be flooded through. */
static struct host *start(struct harness *h, enum host_program program, struct broker **ret_broker)
{
	struct host *host = host_new(h, program);
	*ret_broker = broker_new(h, &(struct broker_options){.no_persistence = true});
	broker_start(*ret_broker);
	host_use_broker(host, *ret_broker);
	host_set(host, "LOG_LEVEL", "info");
	host_start(host);
	host_wait_ready(host);
	return host;
}

static struct device *connect_to(struct harness *h, const struct broker *broker, const char *user)
{
	struct device *device = device_new(h, user);
	device->broker = broker;
	device_connect(device);
	return device;
}

HARNESS_CASE(flood_with_the_store_leaves_the_others_served)
{
	enum { WAVES = 4, WAVE = 1500 };
	struct broker *broker;
	struct host *host = start(h, HOST_PRODUCT, &broker);
	struct device *flooder = connect_to(h, broker, "flooder"), *other = connect_to(h, broker, "other");
	struct flood flood = flood_new(h, flooder, "contact_list", 2 * WAVES * WAVE);

	/* The first flood brings memory and connections to their high mark, also where the machine is so slow that all waves are here at once. */
	flood_send(h, &flood, "get_contact_list", "{}", WAVES * WAVE);
	flood_wait(h, &flood);
	const size_t rss_kib = host_rss_kib(host);
	for (int wave = 0; wave < WAVES; wave++) {
		flood_send(h, &flood, "get_contact_list", "{}", WAVE);
		serve_another(other, 5);
	}
	flood_wait(h, &flood);
	assert_true(host_rss_kib(host) < rss_kib + MEMORY_SLACK_KIB);
	assert_int_equal(host_count_log(host, "broker_lost"), 0);
	assert_int_equal(host_count_log(host, "lane_dropped"), 0);

	/* Nothing is left: neither in the host nor, for the next start, at the broker. */
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.done, flood.count - flood.rejected + WAVES * 10);
	assert_int_equal(account.rejected, flood.rejected);
	assert_int_equal(account.dead + account.left_to_the_broker + account.joined, 0);
	host_start(host);
	host_wait_ready(host);
	device_command(other, "ping", "1");
	device_expect(other, "pong");
	host_stop(host);
	assert_int_equal(account_read(host).done, 1);
	assert_int_equal(flooder->message_count, flood.count);
}

/* The flooder's first command does not end while the test looks: what waits behind it in memory is bounded, what has gone to the
 * store meanwhile makes room, and others pass. */
HARNESS_CASE(flood_behind_a_slow_command_is_rejected_beyond_its_window)
{
	enum { COUNT = 1500 };
	struct broker *broker;
	struct host *host = start(h, HOST_WITH_TEST_HANDLERS, &broker);
	struct device *flooder = connect_to(h, broker, "flooder"), *other = connect_to(h, broker, "other");
	struct flood flood = flood_new(h, flooder, "gate_passed", COUNT);
	flood_send(h, &flood, "test_gate", "{\"gate\":\"a\"}", COUNT);
	gate_wait_runs(h, host, "a", 1);
	serve_another(other, 20);
	assert_int_equal(device_count(flooder, "gate_passed"), 0);
	gate_open(h, host, "a");
	flood_wait(h, &flood);
	assert_in_range(flood.rejected, 0, COUNT - USER_WINDOW);
	/* The first ones were let wait, and each that was not rejected ran once. */
	for (size_t i = 0; i < USER_WINDOW; i++)
		assert_true(flood.fates[i].answered);
	assert_int_equal(gate_runs(h, host, "a"), COUNT - flood.rejected);
	host_stop(host);
}

/* What fills the whole window waits at the broker, and is handled when there is room. */
HARNESS_CASE(flood_beyond_the_window_waits_at_the_broker)
{
	enum { USERS = 6, EACH = 400 };
	struct broker *broker;
	struct host *host = start(h, HOST_WITH_TEST_HANDLERS, &broker);
	struct flood floods[USERS];
	for (size_t i = 0; i < USERS; i++) {
		struct device *device = connect_to(h, broker, harness_format(h, "flooder%zu", i));
		floods[i] = flood_new(h, device, "gate_passed", EACH);
		flood_send(h, &floods[i], "test_gate", "{\"gate\":\"a\"}", EACH);
	}
	for (size_t i = 0; i < USERS; i++)
		device_wait_all_pubacks(floods[i].device);
	gate_wait_runs(h, host, "a", 1);
	gate_open(h, host, "a");
	for (size_t i = 0; i < USERS; i++) {
		flood_wait(h, &floods[i]);
		assert_int_equal(floods[i].rejected, 0);
	}
	assert_int_equal(gate_runs(h, host, "a"), USERS * EACH);
	host_stop(host);
}

HARNESS_MAIN(HARNESS_TEST(flood_with_the_store_leaves_the_others_served),
	HARNESS_TEST(flood_behind_a_slow_command_is_rejected_beyond_its_window),
	HARNESS_TEST(flood_beyond_the_window_waits_at_the_broker))
