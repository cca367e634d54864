/* Tests of loggly_http.c against a real HTTPS server: every answer, and what is made of it. */
#include "loggly_http.h"

#include "loggly_parts.h"

#include <curl/curl.h>
#include <time.h>

enum { SIX_HOURS_MS = 6 * 60 * 60 * 1000 };
/* Of 159 bytes: what follows is cut within a reason. */
#define PAGE                                                                                           \
	"<html><head><title>404 Not Found</title></head><body><center><h1>404 Not Found</h1></center>" \
	"<hr><center>nginx/1.22.1</center><p>There is nothing here by the name:"

static struct loggly_http *open_http_at(
	const char *host, unsigned port, unsigned total_ms, const char *authorities)
{
	char url[64];
	struct loggly_http *http = NULL;
	snprintf(url, sizeof(url), "https://%s:%u/", host, port);
	assert_int_equal(loggly_http_open(&(struct loggly_http_options){.url = url,
						  .token = PARTS_TOKEN,
						  .tags = "a,b",
						  .ca_file = parts_path(authorities),
						  .connect_ms = total_ms,
						  .total_ms = total_ms},
				 &http),
		0);
	return http;
}

static struct loggly_http *open_http_with(unsigned port, unsigned total_ms, const char *authorities)
{
	return open_http_at("127.0.0.1", port, total_ms, authorities);
}

static struct loggly_http *open_http(unsigned port, unsigned total_ms)
{
	return open_http_with(port, total_ms, "ca.crt");
}

static struct loggly_answer request(struct loggly_http *http, const char *lines)
{
	struct loggly_answer answer;
	assert_int_equal(loggly_http_start(http, lines, strlen(lines)), 0);
	while (!loggly_http_answer(http, &answer))
		loggly_http_wait(http, 1000);
	for (size_t i = 0; i + 8 <= strlen(PARTS_TOKEN); i++) {
		char piece[9];
		snprintf(piece, sizeof(piece), "%.8s", &PARTS_TOKEN[i]);
		if (strcasestr(answer.reason, piece))
			fail_msg("%s", answer.reason);
	}
	return answer;
}

static void date_header(char *buffer, size_t size, int seconds)
{
	const time_t then = time(NULL) + seconds;
	struct tm tm;
	strftime(buffer, size, "Retry-After: %a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
}

static void test_answers(void **state)
{
	(void)state;
	char date[64], tomorrow[64];
	date_header(date, sizeof(date), 100);
	date_header(tomorrow, sizeof(tomorrow), 24 * 60 * 60);
	const struct {
		const char *name;
		struct bulk_answer answer;
		enum loggly_answer_kind kind;
		long status;
		int64_t retry_least_ms, retry_most_ms;
		const char *reason;
	} cases[] = {
		{"200", {.status = 200}, LOGGLY_TAKEN, 200, .reason = "HTTP 200"},
		{"as Loggly writes it", {.status = 200, .body = "{\"response\" : \"ok\"}\r\n"}, LOGGLY_TAKEN,
			200},
		{"a captive portal", {.status = 200, .body = "<!DOCTYPE html><title>Log in</title>"},
			LOGGLY_LATER, 200,
			.reason = "HTTP 200, which is not Loggly's answer: <!DOCTYPE html>"},
		{"an empty 200", {.status = 200, .body = ""}, LOGGLY_LATER, 200},
		{"ok and more", {.status = 200, .body = "{\"response\":\"ok\"}<html>"}, LOGGLY_LATER, 200},
		{"less than ok", {.status = 200, .body = "{\"response\":\"o"}, LOGGLY_LATER, 200},
		{"200 with other words", {.status = 200, .body = "{\"response\":\"not ok\"}"}, LOGGLY_LATER,
			200},
		{"204", {.status = 204, .body = ""}, LOGGLY_LATER, 204},
		{"slow 200", {.status = 200, .delay_ms = 300}, LOGGLY_TAKEN, 200},
		{"400", {.status = 400}, LOGGLY_BAD, 400},
		{"401", {.status = 401}, LOGGLY_FORBIDDEN, 401},
		{"403", {.status = 403, .body = "no " PARTS_TOKEN ", no"}, LOGGLY_FORBIDDEN, 403,
			.reason = "HTTP 403: no ********, no"},
		{"the token behind 159 bytes", {.status = 404, .body = PAGE "/bulk/" PARTS_TOKEN "/tag/"},
			LOGGLY_FORBIDDEN, 404, .reason = "/bulk/********/tag/"},
		{"the token, decorated",
			{.status = 404,
				.body = "0123CANARY%2dof%2Dthe-tests4567 0123canary-of\r\n -the-tests4567 0123canary-of"},
			LOGGLY_FORBIDDEN, 404, .reason = "HTTP 404: ********"},
		{"404", {.status = 404}, LOGGLY_FORBIDDEN, 404},
		{"redirect", {.status = 301, .header = "Location: /bulk/elsewhere/tag/x/"}, LOGGLY_FORBIDDEN,
			301},
		{"redirect of a POST", {.status = 307, .header = "Location: /bulk/elsewhere/tag/x/"},
			LOGGLY_FORBIDDEN, 307},
		{"408", {.status = 408}, LOGGLY_LATER, 408},
		{"413", {.status = 413}, LOGGLY_TOO_LARGE, 413},
		{"429", {.status = 429}, LOGGLY_LATER, 429},
		{"429 with seconds", {.status = 429, .header = "Retry-After: 7"}, LOGGLY_LATER, 429, 7000,
			7000},
		{"429 with a date", {.status = 429, .header = date}, LOGGLY_LATER, 429, 60000, 100000},
		{"429 with a date gone by",
			{.status = 429, .header = "Retry-After: Mon, 01 Jan 2024 00:00:00 GMT"}, LOGGLY_LATER,
			429},
		{"429 with nonsense", {.status = 429, .header = "Retry-After: soon"}, LOGGLY_LATER, 429},
		{"429 with six hours", {.status = 429, .header = "Retry-After: 21600"}, LOGGLY_LATER, 429,
			SIX_HOURS_MS, SIX_HOURS_MS},
		{"429 with more", {.status = 429, .header = "Retry-After: 21601"}, LOGGLY_LATER, 429,
			SIX_HOURS_MS, SIX_HOURS_MS},
		{"429 without end", {.status = 429, .header = "Retry-After: 99999999999"}, LOGGLY_LATER, 429,
			SIX_HOURS_MS, SIX_HOURS_MS},
		{"429 with a date in a day", {.status = 429, .header = tomorrow}, LOGGLY_LATER, 429,
			SIX_HOURS_MS, SIX_HOURS_MS},
		{"500", {.status = 500}, LOGGLY_LATER, 500},
		{"503 with seconds", {.status = 503, .header = "Retry-After: 2"}, LOGGLY_LATER, 503, 2000,
			2000},
		{"silent", {.manner = BULK_SILENT}, LOGGLY_LATER, 0, .reason = "timed out"},
		{"dead before the answer", {.manner = BULK_CUTS_REQUEST}, LOGGLY_LATER, 0},
		{"dead in the status", {.manner = BULK_CUTS_STATUS}, LOGGLY_LATER, 0},
		{"dead in the answer", {.manner = BULK_CUTS_ANSWER}, LOGGLY_LATER, 0},
	};
	struct bulk_server *server = server_start(0, "server.crt", false, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].name);
		struct loggly_http *http = open_http(
			bulk_server_port(server), cases[i].answer.manner == BULK_SILENT ? 500 : 20000);
		struct bulk_counts before, after;
		bulk_server_counts(server, &before);
		bulk_server_answer(server, &cases[i].answer);
		const struct loggly_answer answer = request(http, "{}\n");
		assert_int_equal(answer.kind, cases[i].kind);
		assert_int_equal(answer.status, cases[i].status);
		assert_in_range(answer.retry_after_ms, cases[i].retry_least_ms, cases[i].retry_most_ms);
		assert_true(answer.reason[0] != '\0');
		if (cases[i].reason && !strstr(answer.reason, cases[i].reason))
			fail_msg("%s", answer.reason);
		bulk_server_counts(server, &after);
		assert_string_equal(after.path, "/bulk/" PARTS_TOKEN "/tag/a,b/");
		assert_int_equal(after.requests, before.requests + 1);
		/* And the next one is served, over the same connection where there still is one. */
		assert_int_equal(request(http, "{}\n").kind, LOGGLY_TAKEN);
		bulk_server_counts(server, &after);
		assert_int_equal(
			after.connections, before.connections + 1 + (cases[i].answer.manner != BULK_ANSWERS));
		loggly_http_close(http);
	}
	bulk_server_stop(server);
}

static void test_kept_connection(void **state)
{
	(void)state;
	struct taken taken = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct bulk_server *server = server_start(0, "server.crt", false, &taken);
	struct loggly_http *http = open_http(bulk_server_port(server), 20000);
	for (unsigned i = 0; i < 50; i++) {
		struct bulk_counts counts;
		bulk_server_answer(server, &(struct bulk_answer){.status = i % 3 == 0 ? 503 : 200});
		assert_int_equal(request(http, "{}\n").kind, i % 3 == 0 ? LOGGLY_LATER : LOGGLY_TAKEN);
		bulk_server_counts(server, &counts);
		assert_int_equal(counts.connections, 1);
	}
	assert_int_equal(taken.size, 33 * strlen("{}\n"));
	loggly_http_close(http);
	bulk_server_stop(server);
	free(taken.lines);
}

static void test_certificates(void **state)
{
	(void)state;
	static const struct {
		const char *name, *host, *certificate, *reason; /* NULL: it is taken */
		bool old_tls;
	} cases[] = {
		{"good", "localhost", "server.crt", NULL},
		{"expired", "127.0.0.1", "expired.crt", "expired"},
		{"of another host", "127.0.0.1", "wrong-name.crt", "127.0.0.1"},
		{"of a common name alone", "localhost", "unnamed.crt", "mismatch"},
		{"of another authority", "127.0.0.1", "other-ca.crt", "certificate"},
		{"an old TLS", "127.0.0.1", "server.crt", "", true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].name);
		struct bulk_server *server = server_start(0, cases[i].certificate, cases[i].old_tls, NULL);
		struct loggly_http *http =
			open_http_at(cases[i].host, bulk_server_port(server), 20000, "ca.crt");
		struct bulk_counts counts;
		const struct loggly_answer answer = request(http, "{}\n");
		assert_int_equal(answer.kind, cases[i].reason ? LOGGLY_LATER : LOGGLY_TAKEN);
		assert_int_equal(answer.status, cases[i].reason ? 0 : 200);
		if (cases[i].reason && !strstr(answer.reason, cases[i].reason))
			fail_msg("%s", answer.reason);
		bulk_server_counts(server, &counts);
		assert_int_equal(counts.requests, cases[i].reason ? 0 : 1);
		loggly_http_close(http);
		bulk_server_stop(server);
	}
}

static void copy(const char *from, const char *to)
{
	char bytes[8192];
	FILE *file = fopen(parts_path(from), "re");
	assert_non_null(file);
	const size_t size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	file = fopen(parts_path(to), "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

/* Authorities are read anew for each connection: also those that are withdrawn. */
static void test_renewed_authorities(void **state)
{
	(void)state;
	copy("ca.crt", "renewed.crt");
	struct bulk_server *server = server_start(0, "server.crt", false, NULL);
	const unsigned port = bulk_server_port(server);
	struct loggly_http *http = open_http_with(port, 20000, "renewed.crt");
	assert_int_equal(request(http, "{}\n").kind, LOGGLY_TAKEN);
	bulk_server_stop(server);
	server = server_start(port, "other-ca.crt", false, NULL);
	assert_int_equal(request(http, "{}\n").kind, LOGGLY_LATER);
	copy("other-authority.crt", "renewed.crt");
	assert_int_equal(request(http, "{}\n").kind, LOGGLY_TAKEN);
	bulk_server_stop(server);
	server = server_start(port, "server.crt", false, NULL);
	assert_int_equal(request(http, "{}\n").kind, LOGGLY_LATER);
	loggly_http_close(http);
	bulk_server_stop(server);
}

static void test_nobody_there(void **state)
{
	(void)state;
	struct bulk_server *server = server_start(0, "server.crt", false, NULL);
	const unsigned port = bulk_server_port(server);
	struct loggly_http *http = open_http(port, 20000);
	assert_int_equal(request(http, "{}\n").kind, LOGGLY_TAKEN);
	bulk_server_stop(server);
	struct loggly_answer answer = request(http, "{}\n");
	assert_int_equal(answer.kind, LOGGLY_LATER);
	assert_int_equal(answer.status, 0);
	server = server_start(port, "server.crt", false, NULL);
	assert_int_equal(request(http, "{}\n").kind, LOGGLY_TAKEN);
	loggly_http_close(http);
	bulk_server_stop(server);
	/* Nothing but HTTPS. */
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	assert_int_equal(loggly_http_open(&(struct loggly_http_options){.url = url,
						  .token = PARTS_TOKEN,
						  .tags = "a",
						  .connect_ms = 1000,
						  .total_ms = 1000},
				 &http),
		0);
	answer = request(http, "{}\n");
	assert_int_equal(answer.kind, LOGGLY_LATER);
	assert_non_null(strcasestr(answer.reason, "protocol"));
	loggly_http_close(http);
}

/* A request that is dropped is forgotten, and the next one is its own. */
static void test_dropped(void **state)
{
	(void)state;
	struct bulk_server *server = server_start(0, "server.crt", false, NULL);
	struct loggly_http *http = open_http(bulk_server_port(server), 20000);
	struct loggly_answer answer;
	bulk_server_answer(server, &(struct bulk_answer){.manner = BULK_SILENT});
	assert_int_equal(loggly_http_start(http, "{}\n", 3), 0);
	for (unsigned came = 0; came == 0;) {
		struct bulk_counts counts;
		loggly_http_wait(http, 10);
		bulk_server_counts(server, &counts);
		came = counts.requests;
	}
	loggly_http_drop(http);
	assert_false(loggly_http_answer(http, &answer));
	/* A wake-up before the wait ends it, too. */
	loggly_http_wake(http);
	loggly_http_wait(http, 600000);
	assert_int_equal(request(http, "{}\n").kind, LOGGLY_TAKEN);
	loggly_http_close(http);
	loggly_http_close(NULL);
	bulk_server_stop(server);
}

static int setup(void **state)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? parts_setup(state) : -1;
}

static int teardown(void **state)
{
	curl_global_cleanup();
	return parts_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_kept_connection),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_renewed_authorities),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_dropped),
	};
	return cmocka_run_group_tests_name("loggly_http", tests, setup, teardown);
}
