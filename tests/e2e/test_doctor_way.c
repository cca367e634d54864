/* test_doctor_way.c - `cashewd doctor`: the way to the broker, where all is well, and where one thing of it is wrong. */
#include "doctor_parts.h"
#include "harness_private.h"
#include "scripted_broker.h"
#include "wall_clock.h"
#include <string.h>

/* ---- The way to the broker ---- */

HARNESS_CASE(way_to_the_broker_is_good)
{
	struct visit visit = examine(h, doctor_new(h));
	expect_line(&visit, "settings", "ok", "CLIENT_ID=cashewd");
	expect_line(&visit, "broker_name", "ok", "localhost is ");
	expect_line(&visit, "broker_tcp", "ok", "answers");
	expect_line(&visit, "broker_tls", "ok", "TLSv1.");
	forget(&visit);
}

HARNESS_CASE(certificates_that_are_wrong)
{
	static const struct {
		enum broker_certificate certificate;
		const char *told;
	} cases[] = {{BROKER_EXPIRED, "ended on "}, {BROKER_WRONG_NAME, "not for localhost"},
		{BROKER_OTHER_CA, "does not vouch for"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct broker *broker =
			broker_new(h, &(struct broker_options){.certificate = cases[i].certificate});
		broker_start(broker);
		struct host *doctor = doctor_new(h);
		host_use_broker(doctor, broker);
		struct visit visit = examine(h, doctor);
		expect_failure(&visit, "broker_tls", cases[i].told);
		forget(&visit);
		broker_kill(broker);
	}
}

HARNESS_CASE(broker_speaks_plain_mqtt_on_the_port)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.plain = true});
	broker_start(broker);
	struct host *doctor = doctor_new(h);
	host_set(doctor, "BROKER_PORT", harness_format(h, "%u", broker_port(broker)));
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "broker_tls", "without TLS");
	forget(&visit);
}

HARNESS_CASE(broker_is_away)
{
	struct host *doctor = doctor_new(h);
	broker_stop(harness_broker(h));
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "broker_tcp", "Connection refused");
	expect_line(&visit, "broker_tls", "skip", "needs broker_tcp");
	forget(&visit);
}

HARNESS_CASE(broker_is_silent)
{
	static const char *const arguments[] = {"doctor", "--json", "--timeout", "3", NULL};
	struct host *doctor = doctor_new(h);
	host_set_arguments(doctor, arguments);
	broker_pause(harness_broker(h));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_tcp", "ok", "answers");
	expect_failure(&visit, "broker_tls", "no answer in time");
	forget(&visit);
	broker_resume(harness_broker(h));
}

HARNESS_CASE(broker_insists_on_a_certificate)
{
	const char *ca = broker_ca_file(harness_broker(h));
	struct broker *broker = broker_new(
		h, &(struct broker_options){
			   .extra = harness_format(h, "cafile %s\nrequire_certificate true\n", ca)});
	broker_start(broker);
	struct host *doctor = doctor_new(h);
	host_use_broker(doctor, broker);
	/* The listener that these lines are about. */
	host_set(doctor, "BROKER_PORT", harness_format(h, "%u", broker_port(broker)));
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_tls", "warn", "asks for a certificate");
	expect_failure(&visit, "broker_login", "");
	forget(&visit);
}

/* As Debian's mosquitto is set up: the broker waits for the acknowledgement of TCP. */
HARNESS_CASE(broker_holds_small_packets_back)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.extra = "set_tcp_nodelay false\n"});
	broker_start(broker);
	struct host *doctor = doctor_new(h);
	host_use_broker(doctor, broker);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "round_trip", "warn", "holds a small packet back");
	const json_t *line = line_of(&visit, "round_trip", "warn", "");
	assert_non_null(strstr(json_string_value(json_object_get(line, "advice")), "set_tcp_nodelay true"));
	forget(&visit);
}

HARNESS_CASE(broker_name_is_unknown)
{
	struct host *doctor = doctor_new(h);
	host_set(doctor, "BROKER_HOST", "broker.invalid");
	struct visit visit = examine(h, doctor);
	expect_failure(&visit, "broker_name", "broker.invalid");
	forget(&visit);
}

HARNESS_MAIN(HARNESS_TEST(way_to_the_broker_is_good), HARNESS_TEST(certificates_that_are_wrong),
	HARNESS_TEST(broker_speaks_plain_mqtt_on_the_port), HARNESS_TEST(broker_is_away),
	HARNESS_TEST(broker_is_silent), HARNESS_TEST(broker_insists_on_a_certificate),
	HARNESS_TEST(broker_holds_small_packets_back), HARNESS_TEST(broker_name_is_unknown))
