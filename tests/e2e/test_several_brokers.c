/*
 * test_several_brokers.c - BROKER_HOST with several names: where one cannot serve, the next is tried; who serves is taken again first.
 */
#include "broker_parts.h"
#include "doctor_parts.h"
#include "harness.h"
#include "scripted_broker.h"
#include <string.h>

/* MQTT 5.0 section 2.4 */
enum { SERVER_UNAVAILABLE = 0x88 };

/* A host that knows both, the first one first. */
static struct host *start_with(
	struct harness *h, const struct scripted_broker *first, const struct scripted_broker *second)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_use(host, first);
	host_set(
		host, "BROKER_HOST", harness_format(h, "%s,%s", scripted_host(first), scripted_host(second)));
	host_start(host);
	return host;
}

HARNESS_CASE(first_name_whose_port_is_closed)
{
	struct scripted_broker *first = scripted_new(h), *second = scripted_new_beside(h, first);
	scripted_close_port(first);
	scripted_open_port(second);
	struct host *host = start_with(h, first, second);
	scripted_welcome(second, NULL);
	host_expect_log(host, "broker_unreachable", "connection", "main", "broker", scripted_host(first));
	host_expect_log(host, "broker_connected", "connection", "main", "broker", scripted_host(second));
	host_wait_ready(host);
}

/* The first is there, but lets nobody in for now, or says nothing. */
HARNESS_CASE(first_name_that_refuses_for_now)
{
	struct scripted_broker *first = scripted_new(h), *second = scripted_new_beside(h, first);
	scripted_open_port(second);
	struct host *host = start_with(h, first, second);
	for (int i = 0; i < 2; i++)
		scripted_connack(scripted_accept(first), false, SERVER_UNAVAILABLE);
	scripted_welcome(second, NULL);
	host_wait_ready(host);
	assert_int_equal(scripted_connections(first), 2);
}

HARNESS_CASE(first_name_that_says_nothing)
{
	struct scripted_broker *first = scripted_new(h), *second = scripted_new_beside(h, first);
	scripted_open_port(second);
	struct host *host = start_with(h, first, second);
	for (int i = 0; i < 2; i++)
		(void)scripted_accept(first);
	scripted_welcome(second, NULL);
	host_wait_ready(host);
}

/* Killed, it is tried first once more, then it is the other's turn; and the same way back. */
HARNESS_CASE(serving_broker_is_killed_and_the_other_serves)
{
	struct scripted_broker *brokers[2];
	brokers[0] = scripted_new(h);
	brokers[1] = scripted_new_beside(h, brokers[0]);
	struct host *host = start_with(h, brokers[0], brokers[1]);
	struct scripted_pair links = scripted_welcome(brokers[0], NULL);
	host_wait_ready(host);
	for (int round = 0; round < 3; round++) {
		struct scripted_broker *dead = brokers[round % 2], *alive = brokers[(round + 1) % 2];
		scripted_open_port(alive);
		scripted_close_port(dead);
		scripted_close(links.ingress);
		scripted_close(links.egress);
		links = scripted_welcome(alive, NULL);
		host_expect_log(host, "broker_lost", "connection", "main", "broker", scripted_host(dead));
		host_expect_log(
			host, "broker_unreachable", "connection", "main", "broker", scripted_host(dead));
		/* The other one does not know the session. */
		host_expect_log(host, "session_lost", "connection", "main");
		scripted_publish(links.ingress,
			&(struct scripted_publish){.mid = 7, .topic = "68946/ping", .payload = "{}"});
		scripted_settle(links.egress, NULL);
		scripted_expect_puback(links.ingress, 7);
	}
}

/* Each link goes on its own, and the one that is lost comes back where it was. */
HARNESS_CASE(lost_link_comes_back_to_the_same_name)
{
	struct scripted_broker *first = scripted_new(h), *second = scripted_new_beside(h, first);
	scripted_open_port(second);
	struct host *host = start_with(h, first, second);
	struct scripted_pair links = scripted_welcome(first, NULL);
	host_wait_ready(host);
	for (int i = 0; i < 3; i++) {
		scripted_close(links.egress);
		links.egress = scripted_welcome_one(first, NULL);
		assert_false(scripted_is_ingress(links.egress));
	}
	assert_int_equal(scripted_connections(second), 0);
	assert_true(links.ingress->fd >= 0);
}

/* The certificate names localhost and 127.0.0.1, by which the same broker is found. */
HARNESS_CASE(certificate_that_fits_the_second_name_only)
{
	struct host *host = new_host(h, harness_broker(h));
	host_set(host, "BROKER_HOST", "127.1,localhost");
	host_start(host);
	const json_t *record =
		host_expect_log(host, "broker_unreachable", "connection", "main", "broker", "127.1");
	assert_non_null(
		strstr(json_string_value(json_object_get(record, "reason")), "certificate is not for 127.1"));
	host_expect_log(host, "broker_connected", "connection", "main", "broker", "localhost");
	host_wait_ready(host);
	assert_serves(h, harness_broker(h));
}

/* The doctor goes to the first that answers. */
HARNESS_CASE(doctor_says_it_of_each)
{
	struct host *doctor = doctor_new(h);
	harness_broker(h);
	host_set(doctor, "BROKER_HOST", "nowhere.invalid,127.99.99.99,localhost");
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_name", "warn", "BROKER_HOST=nowhere.invalid");
	expect_line(&visit, "broker_name", "ok", "BROKER_HOST=127.99.99.99 is an address");
	expect_line(&visit, "broker_name", "ok", "localhost is ");
	expect_line(&visit, "broker_tcp", "warn", "127.99.99.99 port ");
	expect_line(&visit, "broker_tcp", "ok", "localhost, 127.0.0.1 port ");
	expect_line(&visit, "broker_login", "ok", "is accepted");
	expect_line(&visit, "access", "ok", "commands arrive");
	assert_int_equal(visit.code, 0);
	forget(&visit);

	host_set(doctor, "BROKER_HOST", "nowhere.invalid,127.99.99.99");
	visit = examine(h, doctor);
	expect_failure(&visit, "broker_tcp", "127.99.99.99 port ");
	expect_line(&visit, "broker_login", "skip", "needs");
	forget(&visit);
}

HARNESS_MAIN(HARNESS_TEST(first_name_whose_port_is_closed), HARNESS_TEST(first_name_that_refuses_for_now),
	HARNESS_TEST(first_name_that_says_nothing),
	HARNESS_TEST(serving_broker_is_killed_and_the_other_serves),
	HARNESS_TEST(lost_link_comes_back_to_the_same_name),
	HARNESS_TEST(certificate_that_fits_the_second_name_only), HARNESS_TEST(doctor_says_it_of_each))
