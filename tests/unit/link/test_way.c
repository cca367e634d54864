/* Tests of way.c on top of resolver.c, tcp.c and tls.c: real sockets, a real TLS server, real files. */
#include "way.h"

#include "clock.h"
#include "resolver.h"
#include "tls_server.h"
#include "way_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MEBIBYTE = 1048576 };

/* After the last byte: the server closes when the client has. */
static void farewell(struct way *way)
{
	char byte;
	way_shutdown(way);
	ssize_t count;
	while ((count = way_read(way, &byte, 1)) == -EAGAIN)
		(void)parts_await(way, true, false);
	assert_int_equal(count, 0);
	assert_string_equal(way_reason(way), "the broker has closed the connection");
}

/* ---- Opening and bytes ---- */

static void test_plain(void **state)
{
	(void)state;
	struct server *server = server_start(SERVER_ECHO, NULL, NULL);
	const struct settings settings = parts_settings("127.0.0.1", server_port(server), false);
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(&settings, &resolver), 0);
	struct way *way = parts_start(&settings, resolver);
	assert_int_equal(way_socket(way), -1);
	assert_string_equal(way_token(way), "");
	assert_int_equal(parts_open(way), WAY_OPEN);
	assert_true(strlen(way_token(way)) > 20);
	assert_false(way_pending(way));
	char byte;
	assert_int_equal(way_read(way, &byte, 1), -EAGAIN);
	parts_echo(way, MEBIBYTE, 4096);
	farewell(way);
	way_free(way);
	way_free(NULL);
	resolver_free(resolver);
	server_stop(server);
}

static void test_refused(void **state)
{
	(void)state;
	struct server *server = server_start(SERVER_ECHO, NULL, NULL);
	const struct settings settings = parts_settings("127.0.0.1", server_port(server), false);
	server_stop(server);
	char reason[TLS_REASON_SIZE];
	parts_try(&settings, reason);
	assert_string_equal(reason, "Connection refused");
}

static void test_no_such_name(void **state)
{
	(void)state;
	const struct settings settings = parts_settings("no name at all", 1883, false);
	char reason[TLS_REASON_SIZE];
	parts_try(&settings, reason);
	parts_assert_reason("no name", reason, "BROKER_HOST=no name at all cannot be resolved: ");
}

static void test_tls(void **state)
{
	(void)state;
	const struct certificate certificate =
		certificate_new(parts_folder, "echo", "x", "IP:127.0.0.1", &parts_authority, NULL);
	static const size_t pieces[] = {1000, 65536};
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct server *server = server_start(SERVER_TLS, &certificate, NULL);
		const struct settings settings = parts_settings("127.0.0.1", server_port(server), true);
		struct resolver *resolver = NULL;
		assert_int_equal(resolver_new(&settings, &resolver), 0);
		struct way *way = parts_start(&settings, resolver);
		assert_int_equal(parts_open(way), WAY_OPEN);
		parts_echo(way, MEBIBYTE, pieces[i]);
		assert_false(way_pending(way));
		farewell(way);
		way_free(way);
		resolver_free(resolver);
		server_stop(server);
	}
}

/* A server that never answers, and a clock that has gone on. */
static void test_handshake_in_time(void **state)
{
	(void)state;
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	const struct settings settings = parts_settings("127.0.0.1", ntohs(address.sin_port), true);
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(&settings, &resolver), 0);
	struct way *way = parts_start(&settings, resolver);
	/* Nobody accepts: the kernel connects, and that is all. */
	struct pollfd entry = {.fd = listener, .events = POLLIN};
	while (poll(&entry, 1, 0) == 0) {
		const short revents = parts_await(way, false, false);
		way_serve(way, revents, clock_ms());
	}
	const int64_t now_ms = clock_ms();
	way_serve(way, 0, now_ms);
	way_serve(way, 0, now_ms + WAY_SHAKE_MS - 1000);
	assert_int_equal(way_state(way), WAY_OPENING);
	way_serve(way, 0, way_due_ms(way));
	assert_int_equal(way_state(way), WAY_FAILED);
	assert_string_equal(way_reason(way), "the broker did not go on with the TLS handshake in time");
	way_poll(way, true, true, &entry);
	assert_int_equal(entry.fd, -1);
	way_free(way);
	resolver_free(resolver);
	close(listener);
}

/* ---- Files ---- */

/* A certificate is renewed, badly and then well, while the process goes on. */
static void test_files_are_read_anew(void **state)
{
	(void)state;
	const struct certificate certificate =
		certificate_new(parts_folder, "renewed", "x", "IP:127.0.0.1", &parts_authority, NULL);
	struct server *server = server_start(SERVER_TLS, &certificate, NULL);
	char path[96];
	snprintf(path, sizeof(path), "%s/ca.pem", parts_folder);
	struct settings settings = parts_settings("127.0.0.1", server_port(server), true);
	settings.broker_ca_file = path;
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(&settings, &resolver), 0);
	static const struct {
		const char *name, *expected;
		bool good;
	} cases[] = {{"good", NULL, true},
		{"rubbish", "ca.pem: expected certificates in PEM format: no start line", false},
		{"good again", NULL, true}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)unlink(path);
		if (cases[i].good)
			assert_int_equal(link(parts_authority.certificate_file, path), 0);
		else
			parts_write(path, "rubbish\n");
		struct way *way = parts_start(&settings, resolver);
		const bool open = parts_open(way) == WAY_OPEN;
		parts_assert_reason(cases[i].name, open ? "" : way_reason(way), cases[i].expected);
		way_free(way);
	}
	resolver_free(resolver);
	server_stop(server);
}

/* ---- Ends in the middle ---- */

static void test_freed_at_any_time(void **state)
{
	(void)state;
	const struct certificate certificate =
		certificate_new(parts_folder, "left", "x", "IP:127.0.0.1", &parts_authority, NULL);
	struct server *server = server_start(SERVER_TLS, &certificate, NULL);
	const struct settings settings = parts_settings("127.0.0.1", server_port(server), true);
	for (unsigned steps = 0; steps < 8; steps++) {
		struct resolver *resolver = NULL;
		assert_int_equal(resolver_new(&settings, &resolver), 0);
		struct way *way = parts_start(&settings, resolver), *other = parts_start(&settings, resolver);
		for (unsigned step = 0; step < steps && way_state(way) == WAY_OPENING; step++) {
			const short revents = parts_await(way, false, false);
			way_serve(way, revents, clock_ms());
		}
		way_free(other);
		if (steps % 2 == 0) {
			resolver_free(resolver);
			way_free(way);
		} else {
			way_free(way);
			resolver_free(resolver);
		}
	}
	server_stop(server);
}

/* A name server that does not answer holds nobody up: neither who gives up nor other names' lookups. */
static void test_lookup_hangs(void **state)
{
	(void)state;
	struct settings *settings = malloc(sizeof(*settings));
	assert_non_null(settings);
	*settings = parts_settings(HANGS, 1, true);
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(settings, &resolver), 0);
	/* One more than there are threads: it waits in the queue. */
	struct way *ways[RESOLVER_THREADS_MAX + 1];
	for (unsigned i = 0; i <= RESOLVER_THREADS_MAX; i++)
		ways[i] = parts_start(settings, resolver);
	for (unsigned i = 0; i < RESOLVER_THREADS_MAX; i++)
		sem_wait(&parts_lookup_begun);
	for (unsigned i = 0; i <= RESOLVER_THREADS_MAX; i++) {
		struct pollfd entry;
		way_poll(ways[i], true, true, &entry);
		assert_int_equal(poll(&entry, 1, 0), 0);
		way_serve(ways[i], 0, clock_ms());
		assert_int_equal(way_state(ways[i]), WAY_OPENING);
	}
	way_serve(ways[0], 0, way_due_ms(ways[0]));
	assert_int_equal(way_state(ways[0]), WAY_FAILED);
	assert_string_equal(way_reason(ways[0]), "BROKER_HOST was not resolved in time");
	for (unsigned i = 0; i <= RESOLVER_THREADS_MAX; i++)
		way_free(ways[i]);
	resolver_free(resolver);
	/* The threads have copies of what they need. */
	memset(settings, 0xff, sizeof(*settings));
	free(settings);
	for (unsigned i = 0; i < RESOLVER_THREADS_MAX; i++)
		sem_post(&parts_lookup_goes_on);
	for (unsigned i = 0; i < RESOLVER_THREADS_MAX; i++)
		sem_wait(&parts_lookup_over);
	/* What nobody wanted any more was never looked up. */
	assert_int_equal(sem_trywait(&parts_lookup_begun), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_such_name),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_handshake_in_time),
		cmocka_unit_test(test_files_are_read_anew),
		cmocka_unit_test(test_freed_at_any_time),
		cmocka_unit_test(test_lookup_hangs),
	};
	return cmocka_run_group_tests(tests, parts_set_up, parts_tear_down);
}
