/* test_subscriptions.c - subscriptions.c, with stand-ins for libmosquitto's SUBSCRIBE and
 * UNSUBSCRIBE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <mosquitto.h>
#include <mqtt_protocol.h>

#include "subscriptions.h"

/* ---- libmosquitto ---- */

static char instance[1];

/* What was sent: "+/a, +/b" is one SUBSCRIBE, "+/a +/b" are two, and the last one's options; what the next one answers; how many filters fit into one. */
static struct {
	char subscribed[512], unsubscribed[512];
	int options, mid, answer, room;
} broker;

static void note(char text[static 512], const char *between, const char *filter)
{
	snprintf(text + strlen(text), 512 - strlen(text), "%s%s", text[0] != '\0' ? between : "", filter);
}

int mosquitto_subscribe_multiple(struct mosquitto *mosquitto, int *mid, int count, char *const *const filters,
	int qos, int options, const mosquitto_property *properties)
{
	assert_ptr_equal(mosquitto, instance);
	assert_int_equal(qos, 1);
	assert_null(properties);
	assert_true(count > 0);
	if (broker.room != 0 && count > broker.room)
		return MOSQ_ERR_OVERSIZE_PACKET;
	broker.options = options;
	*mid = ++broker.mid;
	for (int i = 0; i < count; i++)
		note(broker.subscribed, i == 0 ? " " : ", ", filters[i]);
	return broker.answer;
}

int mosquitto_unsubscribe_v5(
	struct mosquitto *mosquitto, int *mid, const char *filter, const mosquitto_property *properties)
{
	(void)mid;
	assert_ptr_equal(mosquitto, instance);
	assert_null(properties);
	note(broker.unsubscribed, " ", filter);
	return broker.answer;
}

static void sent(const char *subscribed, const char *unsubscribed)
{
	assert_string_equal(broker.subscribed, subscribed);
	assert_string_equal(broker.unsubscribed, unsubscribed);
	broker.subscribed[0] = broker.unsubscribed[0] = '\0';
}

/* ---- The lane's filters ---- */

static struct route three[] = {{.filter = "+/a"}, {.filter = "+/b"}, {.filter = "+/c/#"}};
static const struct route_lane routes = {.name = "main", .routes = three, .route_count = 3};
static struct route ten[] = {{.filter = "+/0"}, {.filter = "+/1"}, {.filter = "+/2"}, {.filter = "+/3"},
	{.filter = "+/4"}, {.filter = "+/5"}, {.filter = "+/6"}, {.filter = "+/7"}, {.filter = "+/8"},
	{.filter = "+/9"}};
static const struct route_lane many = {.name = "main", .routes = ten, .route_count = 10};
static struct subscriptions *subscriptions;

static struct mosquitto *mosquitto_instance(void)
{
	return (struct mosquitto *)(void *)instance;
}

static int begin(void **state)
{
	(void)state;
	memset(&broker, 0, sizeof(broker));
	subscriptions = subscriptions_new(&routes);
	return !subscriptions;
}

static int begin_many(void **state)
{
	(void)state;
	memset(&broker, 0, sizeof(broker));
	subscriptions = subscriptions_new(&many);
	return !subscriptions;
}

static int end(void **state)
{
	(void)state;
	subscriptions_free(subscriptions);
	return 0;
}

static void start(void)
{
	broker.mid = 0;
	subscriptions_start(subscriptions, mosquitto_instance(), true, 1000);
	sent("+/a, +/b, +/c/#", "");
}

static void answered(int mid, int count, const int *codes, int64_t now_ms)
{
	assert_int_equal(subscriptions_granted(subscriptions, mid, count, codes, now_ms), 0);
}

/* One code for each of the three filters, or for the only one of that SUBSCRIBE. */
static void granted3(int mid, int a, int b, int c)
{
	answered(mid, 3, (const int[]){a, b, c}, 5000);
}

static void granted(int mid, int code)
{
	answered(mid, 1, &code, 5000);
}

static void granted_all(int mid, int count, int code)
{
	int codes[16];
	for (int i = 0; i < count; i++)
		codes[i] = code;
	answered(mid, count, codes, 5000);
}

static void retry(int64_t now_ms)
{
	subscriptions_retry(subscriptions, mosquitto_instance(), now_ms);
}

static void test_all_granted(void **state)
{
	(void)state;
	assert_false(subscriptions_ready(subscriptions));
	assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
	start();
	/* Under MQTT 5 what is retained stays away. */
	assert_int_equal(broker.options, MQTT_SUB_OPT_SEND_RETAIN_NEVER);
	/* One of which nobody knows. */
	granted(99, 1);
	granted(0, 1);
	assert_false(subscriptions_ready(subscriptions));
	assert_int_equal(subscriptions_granted_count(subscriptions), 0);
	granted3(1, 1, 1, 1);
	assert_true(subscriptions_ready(subscriptions));
	/* One twice. */
	granted3(1, 1, 1, 1);
	assert_int_equal(subscriptions_granted_count(subscriptions), 3);
	assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
	retry(INT64_MAX - 1);
	sent("", "");

	/* The next connection begins anew. */
	subscriptions_reset(subscriptions, true);
	assert_false(subscriptions_ready(subscriptions));
	subscriptions_start(subscriptions, mosquitto_instance(), false, 1000);
	assert_int_equal(broker.options, 0);
	sent("+/a, +/b, +/c/#", "");
	granted3(1, 1, 1, 1);
	assert_false(subscriptions_ready(subscriptions));
	granted3(2, 1, 1, 1);
	assert_true(subscriptions_ready(subscriptions));
}

static void test_refused(void **state)
{
	(void)state;
	static const int codes[] = {0x87, 0x80, 0, 2};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		start();
		granted3(1, 1, codes[i], 1);
		assert_false(subscriptions_ready(subscriptions));
		assert_int_equal(subscriptions_granted_count(subscriptions), 2);
		assert_int_equal(subscriptions_due_ms(subscriptions), 5000 + SUBSCRIPTIONS_RETRY_MS);
		retry(5000 + SUBSCRIPTIONS_RETRY_MS - 1);
		sent("", "");
		retry(5000 + SUBSCRIPTIONS_RETRY_MS);
		/* Only that one, and once. */
		sent("+/b", "");
		assert_int_equal(broker.options, MQTT_SUB_OPT_SEND_RETAIN_NEVER);
		assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
		retry(1000000);
		sent("", "");
		assert_false(subscriptions_ready(subscriptions));
		granted(2, 1);
		assert_true(subscriptions_ready(subscriptions));
		retry(INT64_MAX - 1);
		sent("", "");
	}
	/* Those that are due together are asked for together. */
	start();
	granted3(1, 0x87, 1, 0);
	retry(5000 + SUBSCRIPTIONS_RETRY_MS);
	sent("+/a, +/c/#", "");
	answered(2, 2, (const int[]){1, 0x87}, 40000);
	assert_int_equal(subscriptions_granted_count(subscriptions), 2);
	retry(40000 + SUBSCRIPTIONS_RETRY_MS);
	sent("+/c/#", "");
	/* A refusal is forgotten with its connection, and so is what was under way. */
	start();
	granted3(1, 0x87, 0x87, 0x87);
	subscriptions_reset(subscriptions, false);
	assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
	start();
	subscriptions_reset(subscriptions, false);
	granted3(1, 1, 1, 1);
	assert_false(subscriptions_ready(subscriptions));
}

/* Nobody knows for which filters the codes are: none is granted. */
static void test_malformed(void **state)
{
	(void)state;
	static const int codes[] = {1, 1, 1, 1};
	for (int count = 0; count <= 4; count++) {
		if (count == 3)
			continue;
		start();
		assert_int_equal(
			subscriptions_granted(subscriptions, 1, count, codes, 5000), SUBSCRIPTIONS_E_COUNT);
		assert_int_equal(subscriptions_granted_count(subscriptions), 0);
		subscriptions_reset(subscriptions, false);
	}
	/* The next link asks for each by itself. */
	start();
	assert_int_equal(subscriptions_granted(subscriptions, 1, 1, codes, 5000), SUBSCRIPTIONS_E_COUNT);
	subscriptions_reset(subscriptions, true);
	subscriptions_start(subscriptions, mosquitto_instance(), true, 6000);
	sent("+/a +/b +/c/#", "");
	for (int mid = 2; mid <= 4; mid++)
		granted(mid, 1);
	assert_true(subscriptions_ready(subscriptions));
}

static void test_cannot_be_sent(void **state)
{
	(void)state;
	broker.answer = MOSQ_ERR_NOMEM;
	start();
	assert_int_equal(subscriptions_due_ms(subscriptions), 1000 + SUBSCRIPTIONS_RETRY_MS);
	/* There is no such SUBSCRIBE under way. */
	granted3(1, 1, 1, 1);
	assert_false(subscriptions_ready(subscriptions));
	retry(1000 + SUBSCRIPTIONS_RETRY_MS);
	sent("+/a, +/b, +/c/#", "");
	assert_int_equal(subscriptions_due_ms(subscriptions), 1000 + 2 * SUBSCRIPTIONS_RETRY_MS);
	broker.answer = MOSQ_ERR_SUCCESS;
	retry(1000 + 2 * SUBSCRIPTIONS_RETRY_MS);
	sent("+/a, +/b, +/c/#", "");
	granted3(3, 1, 1, 1);
	assert_true(subscriptions_ready(subscriptions));
}

/* A broker's Maximum Packet Size: as many as fit. One that does not fit alone never will, and is told. */
static void test_packet_too_large(void **state)
{
	(void)state;
	broker.room = 2;
	subscriptions_start(subscriptions, mosquitto_instance(), true, 1000);
	sent("+/a, +/b +/c/#", "");
	answered(1, 2, (const int[]){1, 1}, 5000);
	granted(2, 1);
	assert_true(subscriptions_ready(subscriptions));
	broker.room = 0;
	broker.answer = MOSQ_ERR_OVERSIZE_PACKET;
	subscriptions_start(subscriptions, mosquitto_instance(), true, 1000);
	assert_int_equal(subscriptions_due_ms(subscriptions), 1000 + SUBSCRIPTIONS_RETRY_MS);
	assert_int_equal(subscriptions_granted_count(subscriptions), 0);
}

/* ---- More than a broker may take at once ---- */

#define ALL_TEN	  "+/0, +/1, +/2, +/3, +/4, +/5, +/6, +/7, +/8, +/9"
#define IN_EIGHTS "+/0, +/1, +/2, +/3, +/4, +/5, +/6, +/7 +/8, +/9"

static void start_many(const char *expected)
{
	broker.mid = 0;
	subscriptions_start(subscriptions, mosquitto_instance(), true, 1000);
	sent(expected, "");
}

static void test_all_of_many_refused(void **state)
{
	(void)state;
	start_many(ALL_TEN);
	granted_all(1, 10, 0x80);
	/* At once, and nobody is blamed. */
	assert_int_equal(subscriptions_due_ms(subscriptions), 5000 + SUBSCRIPTIONS_SOON_MS);
	retry(5000 + SUBSCRIPTIONS_SOON_MS);
	sent(IN_EIGHTS, "");
	/* These are: a part of eight that is refused is not split again. */
	granted_all(2, 8, 0x87);
	assert_int_equal(subscriptions_due_ms(subscriptions), 5000 + SUBSCRIPTIONS_RETRY_MS);
	granted_all(3, 2, 1);
	retry(5000 + SUBSCRIPTIONS_RETRY_MS);
	sent("+/0, +/1, +/2, +/3, +/4, +/5, +/6, +/7", "");
	granted_all(4, 8, 1);
	assert_true(subscriptions_ready(subscriptions));
	/* It is known from now on. */
	subscriptions_reset(subscriptions, true);
	start_many(IN_EIGHTS);
}

static void test_one_of_many_granted(void **state)
{
	(void)state;
	start_many(ALL_TEN);
	answered(1, 10, (const int[]){0x87, 0x87, 0x87, 1, 0x87, 0x87, 0x87, 0x87, 0x87, 0x87}, 5000);
	assert_int_equal(subscriptions_due_ms(subscriptions), 5000 + SUBSCRIPTIONS_RETRY_MS);
	retry(5000 + SUBSCRIPTIONS_RETRY_MS);
	sent("+/0, +/1, +/2, +/4, +/5, +/6, +/7, +/8, +/9", "");
}

static void test_link_lost_over_many(void **state)
{
	(void)state;
	/* By our own will. */
	start_many(ALL_TEN);
	subscriptions_reset(subscriptions, false);
	/* When all was granted. */
	start_many(ALL_TEN);
	granted_all(1, 10, 1);
	subscriptions_reset(subscriptions, true);
	/* Once may be chance, and a SUBACK proves that it was. */
	start_many(ALL_TEN);
	subscriptions_reset(subscriptions, true);
	start_many(ALL_TEN);
	granted_all(1, 10, 1);
	subscriptions_reset(subscriptions, true);
	start_many(ALL_TEN);
	subscriptions_reset(subscriptions, true);
	start_many(ALL_TEN);
	subscriptions_reset(subscriptions, true);
	start_many(IN_EIGHTS);
	subscriptions_reset(subscriptions, true);
	start_many(IN_EIGHTS);
	subscriptions_reset(subscriptions, true);
	start_many("+/0 +/1 +/2 +/3 +/4 +/5 +/6 +/7 +/8 +/9");
	subscriptions_reset(subscriptions, true);
	start_many("+/0 +/1 +/2 +/3 +/4 +/5 +/6 +/7 +/8 +/9");
}

static void test_stale(void **state)
{
	(void)state;
	char long_topic[300] = "u/";
	memset(long_topic + 2, 'x', 290);
	static const struct {
		const char *topic, *unsubscribed;
	} cases[] = {
		{"u/old", "+/old"},
		/* Once is enough for all that the session holds. */
		{"u/old", ""},
		{"v/old", ""},
		{"u/older", "+/older"},
		{"u/old/one", "+/old/one"},
		{"nothing", ""},
	};
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		subscriptions_drop_stale(subscriptions, mosquitto_instance(), cases[i].topic);
		sent("", cases[i].unsubscribed);
	}
	subscriptions_drop_stale(subscriptions, mosquitto_instance(), long_topic);
	sent("", "");
	/* The next connection asks again. */
	subscriptions_drop_stale(subscriptions, mosquitto_instance(), "u/old");
	sent("", "+/old");
	subscriptions_reset(subscriptions, false);
	subscriptions_drop_stale(subscriptions, mosquitto_instance(), "u/old");
	sent("", "+/old");
	/* The longest that fits. */
	long_topic[2 + 253] = '\0';
	subscriptions_drop_stale(subscriptions, mosquitto_instance(), long_topic);
	assert_int_equal(strlen(broker.unsubscribed), 255);
}

#define WITH_FILTERS(test) cmocka_unit_test_setup_teardown(test, begin, end)

#define WITH_MANY(test) cmocka_unit_test_setup_teardown(test, begin_many, end)

/* A limit may pass: each filter has its own pause. */
static void test_limited(void **state)
{
	(void)state;
	static const int codes[] = {0x83, 0x91, 0x97};
	static const int64_t due_ms[] = {5100, 5300, 5700, 6500, 8100, 11300, 17700, 27700};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		int mid = 1;
		start();
		granted3(1, 0x87, codes[i], 1);
		for (size_t times = 0; times < sizeof(due_ms) / sizeof(due_ms[0]); times++) {
			assert_int_equal(subscriptions_due_ms(subscriptions), due_ms[times]);
			retry(due_ms[times] - 1);
			sent("", "");
			retry(due_ms[times]);
			sent("+/b", "");
			answered(++mid, 1, &codes[i], due_ms[times]);
		}
		assert_int_equal(subscriptions_due_ms(subscriptions), 5000 + SUBSCRIPTIONS_RETRY_MS);
		retry(5000 + SUBSCRIPTIONS_RETRY_MS);
		sent("+/a", "");
		granted(++mid, 1);
		assert_int_equal(subscriptions_due_ms(subscriptions), 37700);
		retry(37700);
		sent("+/b", "");
		granted(++mid, 1);
		assert_true(subscriptions_ready(subscriptions));
		assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILTERS(test_all_granted),
		WITH_FILTERS(test_refused),
		WITH_FILTERS(test_limited),
		WITH_FILTERS(test_malformed),
		WITH_FILTERS(test_cannot_be_sent),
		WITH_FILTERS(test_packet_too_large),
		WITH_MANY(test_all_of_many_refused),
		WITH_MANY(test_one_of_many_granted),
		WITH_MANY(test_link_lost_over_many),
		WITH_FILTERS(test_stale),
	};
	return cmocka_run_group_tests_name("host_subscriptions", tests, NULL, NULL);
}
