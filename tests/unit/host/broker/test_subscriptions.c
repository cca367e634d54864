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

/* What was sent: "+/a +/b", and the last SUBSCRIBE's options; what the next one answers. */
static struct {
	char subscribed[512], unsubscribed[512];
	int options, mid, answer;
} broker;

static void note(char text[static 512], const char *filter)
{
	snprintf(text + strlen(text), 512 - strlen(text), "%s%s", text[0] != '\0' ? " " : "", filter);
}

int mosquitto_subscribe_v5(struct mosquitto *mosquitto, int *mid, const char *filter, int qos, int options,
	const mosquitto_property *properties)
{
	assert_ptr_equal(mosquitto, instance);
	assert_int_equal(qos, 1);
	assert_null(properties);
	broker.options = options;
	*mid = ++broker.mid;
	note(broker.subscribed, filter);
	return broker.answer;
}

int mosquitto_unsubscribe_v5(
	struct mosquitto *mosquitto, int *mid, const char *filter, const mosquitto_property *properties)
{
	(void)mid;
	assert_ptr_equal(mosquitto, instance);
	assert_null(properties);
	note(broker.unsubscribed, filter);
	return broker.answer;
}

static void sent(const char *subscribed, const char *unsubscribed)
{
	assert_string_equal(broker.subscribed, subscribed);
	assert_string_equal(broker.unsubscribed, unsubscribed);
	broker.subscribed[0] = broker.unsubscribed[0] = '\0';
}

/* ---- The lane's filters: identifiers 1, 2, 3 ---- */

static struct route three[] = {{.filter = "+/a"}, {.filter = "+/b"}, {.filter = "+/c/#"}};
static const struct route_lane routes = {.name = "main", .routes = three, .route_count = 3};
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
	return subscriptions == NULL;
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
	sent("+/a +/b +/c/#", "");
}

static void granted(int mid, int code)
{
	subscriptions_granted(subscriptions, mid, 1, &code, 5000);
}

static void test_all_granted(void **state)
{
	(void)state;
	assert_false(subscriptions_ready(subscriptions));
	assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
	start();
	/* Under MQTT 5 what is retained stays away. */
	assert_int_equal(broker.options, MQTT_SUB_OPT_SEND_RETAIN_NEVER);
	granted(3, 1);
	granted(1, 1);
	assert_false(subscriptions_ready(subscriptions));
	/* One twice, and one of which nobody knows. */
	granted(1, 1);
	granted(99, 1);
	assert_false(subscriptions_ready(subscriptions));
	granted(2, 1);
	assert_true(subscriptions_ready(subscriptions));
	assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
	subscriptions_retry(subscriptions, mosquitto_instance(), INT64_MAX - 1);
	sent("", "");

	/* The next connection begins anew. */
	subscriptions_reset(subscriptions);
	assert_false(subscriptions_ready(subscriptions));
	subscriptions_start(subscriptions, mosquitto_instance(), false, 1000);
	assert_int_equal(broker.options, 0);
	sent("+/a +/b +/c/#", "");
	granted(2, 1);
	granted(1, 1);
	granted(3, 1);
	assert_false(subscriptions_ready(subscriptions));
	for (int mid = 4; mid <= 6; mid++)
		granted(mid, 1);
	assert_true(subscriptions_ready(subscriptions));
}

static void test_refused(void **state)
{
	(void)state;
	static const int codes[] = {0x87, 0x80, 0, 2};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		start();
		granted(1, 1);
		granted(2, codes[i]);
		granted(3, 1);
		assert_false(subscriptions_ready(subscriptions));
		assert_int_equal(subscriptions_due_ms(subscriptions), 5000 + SUBSCRIPTIONS_RETRY_MS);
		subscriptions_retry(subscriptions, mosquitto_instance(), 5000 + SUBSCRIPTIONS_RETRY_MS - 1);
		sent("", "");
		subscriptions_retry(subscriptions, mosquitto_instance(), 5000 + SUBSCRIPTIONS_RETRY_MS);
		/* Only that one, and once. */
		sent("+/b", "");
		assert_int_equal(broker.options, MQTT_SUB_OPT_SEND_RETAIN_NEVER);
		assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
		subscriptions_retry(subscriptions, mosquitto_instance(), 1000000);
		sent("", "");
		assert_false(subscriptions_ready(subscriptions));
		granted(4, 1);
		assert_true(subscriptions_ready(subscriptions));
		subscriptions_retry(subscriptions, mosquitto_instance(), INT64_MAX - 1);
		sent("", "");
	}
	/* A refusal is forgotten with its connection, and so is what was under way. */
	start();
	granted(1, 0x87);
	subscriptions_reset(subscriptions);
	assert_int_equal(subscriptions_due_ms(subscriptions), INT64_MAX);
	start();
	subscriptions_reset(subscriptions);
	for (int mid = 1; mid <= 3; mid++)
		granted(mid, 1);
	assert_false(subscriptions_ready(subscriptions));
}

/* An answer for two filters is none for ours. */
static void test_malformed(void **state)
{
	(void)state;
	start();
	static const int two[] = {1, 1};
	subscriptions_granted(subscriptions, 1, 2, two, 5000);
	subscriptions_granted(subscriptions, 2, 0, two, 5000);
	granted(3, 1);
	assert_false(subscriptions_ready(subscriptions));
	subscriptions_retry(subscriptions, mosquitto_instance(), 5000 + SUBSCRIPTIONS_RETRY_MS);
	sent("+/a +/b", "");
}

static void test_cannot_be_sent(void **state)
{
	(void)state;
	broker.answer = MOSQ_ERR_OVERSIZE_PACKET;
	start();
	assert_int_equal(subscriptions_due_ms(subscriptions), 1000 + SUBSCRIPTIONS_RETRY_MS);
	/* There is no such SUBSCRIBE under way. */
	granted(1, 1);
	granted(2, 1);
	granted(3, 1);
	assert_false(subscriptions_ready(subscriptions));
	subscriptions_retry(subscriptions, mosquitto_instance(), 1000 + SUBSCRIPTIONS_RETRY_MS);
	sent("+/a +/b +/c/#", "");
	assert_int_equal(subscriptions_due_ms(subscriptions), 1000 + 2 * SUBSCRIPTIONS_RETRY_MS);
	broker.answer = MOSQ_ERR_SUCCESS;
	subscriptions_retry(subscriptions, mosquitto_instance(), 1000 + 2 * SUBSCRIPTIONS_RETRY_MS);
	sent("+/a +/b +/c/#", "");
	for (int mid = 7; mid <= 9; mid++)
		granted(mid, 1);
	assert_true(subscriptions_ready(subscriptions));
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
	subscriptions_reset(subscriptions);
	subscriptions_drop_stale(subscriptions, mosquitto_instance(), "u/old");
	sent("", "+/old");
	/* The longest that fits. */
	long_topic[2 + 253] = '\0';
	subscriptions_drop_stale(subscriptions, mosquitto_instance(), long_topic);
	assert_int_equal(strlen(broker.unsubscribed), 255);
}

#define WITH_FILTERS(test) cmocka_unit_test_setup_teardown(test, begin, end)

/* A limit may pass: each filter has its own pause. */
static void test_limited(void **state)
{
	(void)state;
	static const int codes[] = {0x83, 0x91, 0x97};
	static const int64_t due_ms[] = {5100, 5300, 5700, 6500, 8100, 11300, 17700, 27700};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		int mid = 3;
		start();
		granted(1, 0x87);
		granted(2, codes[i]);
		granted(3, 1);
		for (size_t times = 0; times < sizeof(due_ms) / sizeof(due_ms[0]); times++) {
			assert_int_equal(subscriptions_due_ms(subscriptions), due_ms[times]);
			subscriptions_retry(subscriptions, mosquitto_instance(), due_ms[times] - 1);
			sent("", "");
			subscriptions_retry(subscriptions, mosquitto_instance(), due_ms[times]);
			sent("+/b", "");
			subscriptions_granted(subscriptions, ++mid, 1, &codes[i], due_ms[times]);
		}
		assert_int_equal(subscriptions_due_ms(subscriptions), 5000 + SUBSCRIPTIONS_RETRY_MS);
		subscriptions_retry(subscriptions, mosquitto_instance(), 5000 + SUBSCRIPTIONS_RETRY_MS);
		sent("+/a", "");
		granted(++mid, 1);
		assert_int_equal(subscriptions_due_ms(subscriptions), 37700);
		subscriptions_retry(subscriptions, mosquitto_instance(), 37700);
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
		WITH_FILTERS(test_stale),
	};
	return cmocka_run_group_tests_name("host_subscriptions", tests, NULL, NULL);
}
