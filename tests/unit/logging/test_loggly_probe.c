/* Tests of loggly_probe.c against a real HTTPS server: what it sends, what it keeps to itself, what is made
 * of the answer. */
#include "loggly_probe.h"

#include "loggly_parts.h"

static struct loggly_answer probe(unsigned port, const char *message)
{
	char url[64];
	struct loggly_answer answer;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
	assert_int_equal(loggly_probe(&(struct loggly_probe){.url = url,
					      .token = PARTS_TOKEN,
					      .tags = "a,b",
					      .ca_file = parts_path("ca.crt"),
					      .timeout_ms = 20000,
					      .message = message},
				 &answer),
		0);
	assert_null(strstr(answer.reason, PARTS_TOKEN));
	return answer;
}

static void test_only_looks(void **state)
{
	(void)state;
	struct taken taken = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct bulk_server *server = server_start(0, "server.crt", false, &taken);
	struct bulk_counts counts;
	assert_int_not_equal(probe(bulk_server_port(server), NULL).status, 0);
	bulk_server_counts(server, &counts);
	assert_int_equal(counts.requests, 1);
	assert_null(strstr(counts.path, PARTS_TOKEN));
	assert_int_equal(taken.size, 0);
	bulk_server_stop(server);
}

static void test_sends_an_event(void **state)
{
	(void)state;
	struct taken taken = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct bulk_server *server = server_start(0, "server.crt", false, &taken);
	assert_int_equal(probe(bulk_server_port(server), "hello there").kind, LOGGLY_TAKEN);
	bulk_server_answer(server, &(struct bulk_answer){.status = 403, .body = "no " PARTS_TOKEN});
	assert_int_equal(probe(bulk_server_port(server), "not taken").kind, LOGGLY_FORBIDDEN);
	bulk_server_stop(server);
	assert_non_null(strstr(taken.lines, "\"event\":\"doctor\""));
	assert_non_null(strstr(taken.lines, "\"message\":\"hello there\""));
	assert_non_null(strstr(taken.lines, "\"event_id\":"));
	assert_null(strstr(taken.lines, "not taken"));
	free(taken.lines);
}

static void test_nobody_there(void **state)
{
	(void)state;
	struct bulk_server *server = server_start(0, "server.crt", false, NULL);
	const unsigned port = bulk_server_port(server);
	bulk_server_stop(server);
	const struct loggly_answer answer = probe(port, NULL);
	assert_int_equal(answer.status, 0);
	assert_string_not_equal(answer.reason, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_looks),
		cmocka_unit_test(test_sends_an_event),
		cmocka_unit_test(test_nobody_there),
	};
	return cmocka_run_group_tests_name("loggly_probe", tests, parts_setup, parts_teardown);
}
