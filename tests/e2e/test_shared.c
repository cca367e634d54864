/*
 * test_shared.c - SHARED_GROUP: hosts with client ids of their own divide the commands.
 *
 * The real broker with the plugin, over TLS, and one database for all hosts. mosquitto gives each command to one member of the group in turn, whether
 * that is connected or not: what a dead member was given waits in its session until it is back under the same client id.
 */
#include "account.h"
#include "doctor_parts.h"
#include "effects.h"
#include "harness.h"
#include "scripted_broker.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOSTS = 3, PHONES = 12, ROUNDS = 16 };

static struct host *member_of(
	struct harness *h, enum host_program program, unsigned number, const char *group)
{
	struct host *host = host_new(h, program);
	host_set(host, "CLIENT_ID", harness_format(h, "member%u", number));
	host_set(host, "SHARED_GROUP", group);
	return host;
}

static struct host *member_new(struct harness *h, unsigned number, const char *group)
{
	return member_of(h, HOST_PRODUCT, number, group);
}

static void start_ready(struct host *host)
{
	host_start(host);
	host_wait_ready(host);
}

static struct device *connect_device(struct harness *h, const char *user)
{
	struct device *device = device_new(h, user);
	device_connect(device);
	return device;
}

/* ---- Who was answered what ---- */

enum { KINDS = 4, COMMANDS = KINDS * PHONES * 2 * ROUNDS };
static const char *const kinds[KINDS] = {"ping", "get_contact_list", "request_contact", "test_effect"};

struct phone {
	struct device *device;
	size_t pings;
	size_t looked_at; /* of what has come */
};

/* A command's number is its Correlation Data, which comes back with its event, whoever that goes to. */
struct phones {
	struct phone all[PHONES];
	unsigned sent;
	bool answered[COMMANDS];
};

static size_t distinct_pongs(const struct phone *phone)
{
	unsigned char *seen = calloc(phone->pings + 1, 1);
	size_t distinct = 0;
	assert_non_null(seen);
	for (size_t i = 0; i < phone->device->message_count; i++) {
		const struct device_message *message = &phone->device->messages[i];
		if (!strstr(message->topic, "/pong"))
			continue;
		const size_t number = strtoul(message->payload, NULL, 10);
		assert_true(number < phone->pings);
		distinct += !seen[number];
		seen[number] = 1;
	}
	free(seen);
	return distinct;
}

static bool pongs_are_all_there(void *context)
{
	const struct phone *phone = context;
	return distinct_pongs(phone) == phone->pings;
}

static void look(struct phones *phones, struct phone *phone)
{
	for (; phone->looked_at < phone->device->message_count; phone->looked_at++) {
		const struct device_message *message = &phone->device->messages[phone->looked_at];
		assert_non_null(message->correlation);
		const size_t number = strtoul(message->correlation, NULL, 10);
		assert_true(number < phones->sent);
		if (strstr(message->topic, "/command_"))
			harness_fail("command %zu, %s: %s", number, kinds[number % KINDS], message->topic);
		phones->answered[number] = true;
	}
}

/* The first one that was not, or as many as were sent. */
static unsigned first_unanswered(struct phones *phones)
{
	unsigned number = 0;
	for (size_t i = 0; i < PHONES; i++)
		look(phones, &phones->all[i]);
	while (number < phones->sent && phones->answered[number])
		number++;
	return number;
}

static bool all_answered(void *context)
{
	struct phones *phones = context;
	return first_unanswered(phones) == phones->sent;
}

static void expect_all_answered(struct harness *h, struct phones *phones)
{
	if (harness_wait_for(h, all_answered, phones, HARNESS_TIMEOUT_MS))
		return;
	const unsigned lost = first_unanswered(phones);
	harness_fail("command %u of %u, a %s of %s, was lost", lost, phones->sent, kinds[lost % KINDS],
		phones->all[lost / KINDS % PHONES].device->user);
}

/* Each phone pings, asks for its list, asks the next phone to be its contact, and leaves an effect. */
static void send_round(struct harness *h, struct phones *phones)
{
	for (size_t i = 0; i < PHONES; i++) {
		const char *const payloads[KINDS] = {"0", "{}",
			harness_format(
				h, "{\"contact_id\":\"%s\"}", phones->all[(i + 1) % PHONES].device->user),
			harness_format(h, "{\"n\":\"%u\"}", phones->sent + KINDS - 1)};
		for (size_t kind = 0; kind < KINDS; kind++) {
			const struct device_publish_options options = {.payload = payloads[kind],
				.payload_size = strlen(payloads[kind]),
				.qos = 1,
				.correlation = harness_format(h, "%u", phones->sent++)};
			(void)device_publish_with(phones->all[i].device, kinds[kind], &options);
		}
	}
}

/* How often the host has run each of the user's effects. */
static void count_effects(
	struct harness *h, const struct host *host, const char *user, unsigned runs[static COMMANDS])
{
	const char *text = effects_of(h, host, user);
	for (char *end; *text != '\0'; text = end + (*end == ' ')) {
		const unsigned long number = strtoul(text, &end, 10);
		assert_true(number < COMMANDS);
		runs[number]++;
	}
}

/* Each effect is one host's. That one left it once, unless it was killed: then it gets again what it had not acknowledged. */
static void check_effects(
	struct harness *h, struct host *const hosts[static HOSTS], const struct phones *phones, size_t killed)
{
	static unsigned runs[HOSTS][COMMANDS];
	memset(runs, 0, sizeof(runs));
	for (size_t i = 0; i < PHONES; i++)
		for (size_t k = 0; k < HOSTS; k++)
			count_effects(h, hosts[k], phones->all[i].device->user, runs[k]);
	for (unsigned number = KINDS - 1; number < phones->sent; number += KINDS) {
		unsigned ran_it = 0;
		for (size_t k = 0; k < HOSTS; k++) {
			const bool may_repeat = k == killed || host_count_log(hosts[k], "broker_lost") > 0;
			ran_it += runs[k][number] > 0;
			if (runs[k][number] > 1 && !may_repeat)
				harness_fail("effect %u was left %u times by host %zu", number,
					runs[k][number], k);
		}
		if (ran_it != 1)
			harness_fail("effect %u was left by %u hosts", number, ran_it);
	}
}

/* They divide the commands: none of the hosts does nothing, and nothing of what they do is refused. */
static void check_accounts(struct host *const hosts[static HOSTS], size_t killed)
{
	for (size_t i = 0; i < HOSTS; i++) {
		host_stop(hosts[i]);
		const struct account account = account_read(hosts[i]);
		assert_true(account.done > 0);
		assert_int_equal(account.dead + account.rejected, 0);
		assert_int_equal(account.left_to_the_broker, 0);
		assert_int_equal(host_count_log(hosts[i], "session_taken_over"), 0);
		/* The one that was killed found its own lease of before. */
		assert_true(i == killed || host_count_log(hosts[i], "standby") == 0);
	}
}

HARNESS_CASE(three_hosts_divide_the_commands)
{
	enum { KILLED = 1 };
	struct host *hosts[HOSTS];
	static struct phones phones;
	phones = (struct phones){.sent = 0};
	for (unsigned i = 0; i < HOSTS; i++) {
		hosts[i] = member_of(h, HOST_WITH_TEST_HANDLERS, i + 1, "apples");
		start_ready(hosts[i]);
	}
	for (size_t i = 0; i < PHONES; i++)
		phones.all[i].device = connect_device(h, harness_format(h, "user%zu", i));
	for (unsigned round = 0; round < ROUNDS; round++)
		send_round(h, &phones);
	expect_all_answered(h, &phones);
	/* In the midst of as many more, one is killed: its part waits for it. */
	for (unsigned round = 0; round < ROUNDS / 2; round++)
		send_round(h, &phones);
	host_kill(hosts[KILLED]);
	for (unsigned round = 0; round < ROUNDS / 2; round++)
		send_round(h, &phones);
	for (size_t i = 0; i < PHONES; i++)
		device_wait_all_pubacks(phones.all[i].device);
	start_ready(hosts[KILLED]);
	expect_all_answered(h, &phones);
	database_wait_count(h, harness_database(h), "contact_requests", "{}", PHONES);
	database_wait_count(h, harness_database(h), "dead_letters", "{}", 0);
	check_accounts(hosts, KILLED);
	check_effects(h, hosts, &phones, KILLED);
}

/* ---- From one form to the other ---- */

/* Pings, and as a second ping's answer comes behind all of the first's: answered once each. */
static void expect_once(struct harness *h, struct device *phone, unsigned first)
{
	const size_t before = device_count(phone, "pong");
	for (unsigned i = 0; i < 20; i++)
		device_command(phone, "ping", harness_format(h, "%u", first + i));
	device_wait_count(phone, "pong", before + 20);
	device_command(phone, "ping", "0");
	device_wait_count(phone, "pong", before + 21);
	assert_int_equal(device_count(phone, "pong"), before + 21);
}

/* The session keeps the filters of before, by which each command would come once more. */
HARNESS_CASE(filters_of_before_are_unsubscribed)
{
	static const char *const groups[] = {"", "one", "two", "", "one"};
	struct host *host = member_new(h, 1, "");
	struct device *phone = connect_device(h, "68946");
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		host_set(host, "SHARED_GROUP", groups[i]);
		start_ready(host);
		/* What is behind the SUBACKs has come to the broker when it answers what is asked then. */
		expect_once(h, phone, 100 * (unsigned)i + 1);
		host_stop(host);
	}
	assert_int_equal(host_count_log(host, "stale_subscription"), 0);
	assert_int_equal(host_count_log(host, "dead_letter"), 0);
}

/* ---- A broker that does not do it ---- */

HARNESS_CASE(broker_refuses_shared_subscriptions)
{
	enum { NOT_SUPPORTED = 0x9e };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = member_new(h, 1, "apples");
	host_set(host, "HANDLERS", "ping");
	scripted_use(host, broker);
	host_start(host);
	for (int i = 0; i < 2; i++) {
		struct scripted_link *link = scripted_accept(broker);
		scripted_connack(link, false, 0);
		if (!scripted_is_ingress(link))
			continue;
		const struct mqtt_packet *subscribe = scripted_expect(link, MQTT_SUBSCRIBE);
		scripted_suback(link, subscribe, NOT_SUPPORTED);
	}
	const json_t *line = host_expect_log(host, "subscription_refused", "filter", "$share/apples/+/ping");
	assert_non_null(
		strstr(json_string_value(json_object_get(line, "message")), "leave SHARED_GROUP empty"));
	host_stop(host);
}

/* It says so in its CONNACK: to subscribe then would break the protocol. */
HARNESS_CASE(broker_says_that_it_has_none)
{
	/* MQTT 5: Shared Subscription Available 0 */
	static const uint8_t connack[] = {0x20, 5, 0, 0, 2, 0x2a, 0};
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = member_new(h, 1, "apples");
	scripted_use(host, broker);
	host_start(host);
	for (int i = 0; i < 2; i++) {
		struct scripted_link *link = scripted_accept(broker);
		scripted_send_bytes(link, connack, sizeof(connack));
	}
	host_expect_log(host, "shared_unavailable", "lane", "main", "shared_group", "apples");
	host_stop(host);
	assert_int_equal(host_count_log(host, "ready"), 0);
}

/* ---- The doctor ---- */

/* Its group is its own: what the host is sent meanwhile is all answered. */
HARNESS_CASE(doctor_hears_a_shared_subscription)
{
	struct host *host = member_new(h, 1, "apples"), *doctor = doctor_new(h);
	start_ready(host);
	host_set(doctor, "SHARED_GROUP", "apples");
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "subscriptions", "ok", "as shared ones");
	expect_line(&visit, "subscriptions", "ok", "a command arrives by a shared subscription");
	expect_line(&visit, "session", "ok", "a host answers ping");
	forget(&visit);
	host_stop(host);
}

/* It grants whatever is asked for, and delivers nothing. */
HARNESS_CASE(doctor_is_granted_what_brings_nothing)
{
	static const char *const arguments[] = {"doctor", "--json", "--timeout", "3", NULL};
	struct scripted_broker *broker = scripted_new(h);
	struct host *doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	host_set(doctor, "HANDLERS", "ping");
	host_set(doctor, "SHARED_GROUP", "apples");
	scripted_use(doctor, broker);
	host_start(doctor);
	struct scripted_link *link = scripted_welcome_one(broker, NULL);
	scripted_settle(link, NULL);
	struct visit visit = conclude(h, doctor);
	expect_line(&visit, "subscriptions", "ok", "all 1 filters");
	expect_failure(&visit, "subscriptions", "no command arrives by it");
	forget(&visit);
}

/* The trial of new settings asks in a group of its own, so that it takes no command from the host that runs. */
HARNESS_CASE(settings_are_tried_in_another_group)
{
	struct host *host = member_new(h, 1, "apples");
	start_ready(host);
	struct device *phone = connect_device(h, "68946");
	host_set(host, "SHARED_GROUP", "pears");
	host_write_env(host);
	host_signal(host, SIGHUP);
	for (unsigned i = 0; i < 50; i++)
		device_command(phone, "ping", harness_format(h, "%u", i));
	host_wait_log_count(host, 2, "ready");
	struct phone pinged = {.device = phone, .pings = 50};
	harness_wait(h, pongs_are_all_there, &pinged, "50 pings to be answered");
	assert_int_equal(host_count_log(host, "reload_failed"), 0);
	expect_once(h, phone, 100);
	host_stop(host);
}

/* ---- Two documents, and two commands at once ---- */

enum { SIDE = 6 }; /* users who ask; as many who are asked */

struct wanted {
	const struct phones *phones;
	const char *events[2]; /* who asks, and who is asked */
	size_t count;
};

static bool each_has(void *context)
{
	const struct wanted *wanted = context;
	for (size_t i = 0; i < (size_t)2 * SIDE; i++)
		if (device_count(wanted->phones->all[i].device, wanted->events[i / SIDE]) < wanted->count)
			return false;
	return true;
}

static void tell(struct harness *h, struct device *from, const char *command, const struct device *about)
{
	device_publish(from, command, harness_format(h, "{\"contact_id\":\"%s\"}", about->user));
}

static bool has_contact(struct harness *h, const struct device *user, const struct device *contact)
{
	return database_has(h, harness_database(h), "contacts",
		harness_format(h, "{\"user_id\":\"%s\",\"contact_id\":\"%s\"}", user->user, contact->user));
}

/* Each who asks meets each who is asked once: that one accepts when it is removed already. */
static void accept_and_remove(struct harness *h)
{
	static struct phones phones;
	phones = (struct phones){.sent = 0};
	for (size_t i = 0; i < (size_t)2 * SIDE; i++)
		phones.all[i].device = connect_device(h, harness_format(h, "side%zu", i));
	for (size_t round = 0; round < SIDE; round++) {
		struct wanted answered = {.phones = &phones,
			.events = {"contact_approved", "contact_removed"},
			.count = round + 1};
		for (size_t i = 0; i < SIDE; i++)
			tell(h, phones.all[i].device, "request_contact",
				phones.all[SIDE + (i + round) % SIDE].device);
		for (size_t i = 0; i < SIDE; i++)
			device_wait_count(phones.all[SIDE + i].device, "contact_requested", round + 1);
		for (size_t i = 0; i < SIDE; i++) {
			struct device *asks = phones.all[i].device,
				      *is_asked = phones.all[SIDE + (i + round) % SIDE].device;
			tell(h, asks, "remove_contact", is_asked);
			tell(h, is_asked, "accept_contact", asks);
		}
		harness_wait(h, each_has, &answered, "round %zu to be answered", round);
	}
	for (size_t i = 0; i < SIDE; i++)
		for (size_t k = 0; k < SIDE; k++)
			assert_int_equal(has_contact(h, phones.all[i].device, phones.all[SIDE + k].device),
				has_contact(h, phones.all[SIDE + k].device, phones.all[i].device));
	assert_int_equal(database_count(h, harness_database(h), "contact_requests", "{}"), 0);
}

HARNESS_CASE(accepted_and_removed_at_once_both_sides_agree)
{
	struct host *hosts[] = {member_new(h, 1, "apples"), member_new(h, 2, "apples")};
	start_ready(hosts[0]);
	start_ready(hosts[1]);
	accept_and_remove(h);
	host_stop(hosts[1]);
	host_stop(hosts[0]);
}

HARNESS_CASE(accepted_and_removed_at_once_on_one_host)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	start_ready(host);
	accept_and_remove(h);
	host_stop(host);
}

HARNESS_MAIN(HARNESS_TEST(three_hosts_divide_the_commands), HARNESS_TEST(filters_of_before_are_unsubscribed),
	HARNESS_TEST(broker_refuses_shared_subscriptions), HARNESS_TEST(broker_says_that_it_has_none),
	HARNESS_TEST(doctor_hears_a_shared_subscription), HARNESS_TEST(doctor_is_granted_what_brings_nothing),
	HARNESS_TEST(settings_are_tried_in_another_group),
	HARNESS_TEST(accepted_and_removed_at_once_both_sides_agree),
	HARNESS_TEST(accepted_and_removed_at_once_on_one_host))
