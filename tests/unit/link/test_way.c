/*
 * Tests of way.c, and of what it is made of: resolver.c, tcp.c, tls.c. Real sockets, a real TLS server, real files.
 *
 * Only name lookups are stood in for (--wrap=getaddrinfo), for names that no name server knows, and for a lookup that hangs.
 */
#include "way.h"

#include "clock.h"
#include "resolver.h"
#include "settings.h"
#include "tls.h"
#include "tls_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000, MEBIBYTE = 1048576 };

#define HANGS "hangs.example"

static char folder[] = "/tmp/cashewd-test-XXXXXX";
static struct certificate authority;

/* ---- Names ---- */

static sem_t lookup_begun, lookup_goes_on, lookup_over;

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret);

/* Every name in "example" is this machine. */
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	if (strcmp(node, HANGS) == 0) {
		sem_post(&lookup_begun);
		sem_wait(&lookup_goes_on);
	}
	if (!strstr(node, ".example"))
		return __real_getaddrinfo(node, service, hints, ret);
	const int error = __real_getaddrinfo("127.0.0.1", service, hints, ret);
	if (strcmp(node, HANGS) == 0)
		sem_post(&lookup_over);
	return error;
}

/* ---- Help ---- */

static struct settings settings_for(const char *host, unsigned port, bool tls)
{
	return (struct settings){.broker_host = host,
		.broker_port = port,
		.broker_tls = tls,
		.broker_ca_file = authority.certificate_file,
		.broker_cert_file = "",
		.broker_key_file = "",
		.jwt_secret = "a secret of the tests, long enough for HS256",
		.handler_name = "apples",
		.handler_token_file = "",
		.token_lifetime_s = 60};
}

static struct way *start(const struct settings *settings, struct resolver *resolver)
{
	struct way *way = NULL;
	const struct way_options options = {.settings = settings, .resolver = resolver, .label = "test"};
	assert_int_equal(way_new(&options, clock_ms(), &way), 0);
	return way;
}

/* Waits as an owner does, and fails the test if that takes too long. */
static short await(struct way *way, bool read, bool write)
{
	struct pollfd entry;
	way_poll(way, read, write, &entry);
	const int64_t now_ms = clock_ms(), due_ms = way_due_ms(way);
	int64_t wait_ms = due_ms == INT64_MAX ? PATIENCE_MS : due_ms - now_ms;
	if (wait_ms < 0)
		wait_ms = 0;
	const int count = poll(&entry, 1, (int)wait_ms);
	assert_true(count > 0 || due_ms != INT64_MAX);
	return entry.revents;
}

static enum way_state open_way(struct way *way)
{
	const int64_t until_ms = clock_ms() + PATIENCE_MS;
	while (way_state(way) == WAY_OPENING) {
		const short revents = await(way, false, false);
		way_serve(way, revents, clock_ms());
		assert_true(clock_ms() < until_ms);
	}
	if (way_state(way) == WAY_OPEN)
		assert_true(way_socket(way) >= 0);
	else
		assert_true(way_reason(way)[0] != '\0');
	return way_state(way);
}

/* Opens a way of those settings with a resolver of its own, and says how that went: "" or the reason. */
static void try_settings(const struct settings *settings, char ret_reason[static TLS_REASON_SIZE])
{
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(settings, &resolver), 0);
	struct way *way = start(settings, resolver);
	snprintf(ret_reason, TLS_REASON_SIZE, "%s", open_way(way) == WAY_OPEN ? "" : way_reason(way));
	way_free(way);
	resolver_free(resolver);
}

static void assert_reason(const char *name, const char *reason, const char *expected)
{
	if (expected ? !strstr(reason, expected) : reason[0] != '\0')
		fail_msg("%s: \"%s\" where \"%s\" is expected", name, reason, expected ? expected : "");
}

/* Sends `size` bytes and reads them again, `piece` at a time. */
static void echo(struct way *way, size_t size, size_t piece)
{
	unsigned char *sent = malloc(size), *received = malloc(size);
	assert_non_null(sent);
	assert_non_null(received);
	for (size_t i = 0; i < size; i++)
		sent[i] = (unsigned char)(i * 31 + i / 251);
	size_t out = 0, in = 0;
	while (in < size) {
		const short revents = way_pending(way) ? POLLIN : await(way, true, out < size);
		assert_true(revents != 0);
		ssize_t count = out < size ? way_write(way, sent + out, size - out) : 0;
		assert_true(count >= 0 || count == -EAGAIN);
		out += count > 0 ? (size_t)count : 0;
		count = way_read(way, received + in, piece < size - in ? piece : size - in);
		assert_true(count > 0 || count == -EAGAIN);
		in += count > 0 ? (size_t)count : 0;
	}
	assert_memory_equal(sent, received, size);
	free(sent);
	free(received);
}

/* After the last byte: the server closes when the client has. */
static void farewell(struct way *way)
{
	char byte;
	way_shutdown(way);
	ssize_t count;
	while ((count = way_read(way, &byte, 1)) == -EAGAIN)
		(void)await(way, true, false);
	assert_int_equal(count, 0);
	assert_string_equal(way_reason(way), "the broker has closed the connection");
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void path_in_folder(const char *name, char ret[static 96])
{
	snprintf(ret, 96, "%s/%s", folder, name);
}

/* ---- Opening and bytes ---- */

static void test_plain(void **state)
{
	(void)state;
	struct server *server = server_start(SERVER_ECHO, NULL, NULL);
	const struct settings settings = settings_for("127.0.0.1", server_port(server), false);
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(&settings, &resolver), 0);
	struct way *way = start(&settings, resolver);
	assert_int_equal(way_socket(way), -1);
	assert_string_equal(way_token(way), "");
	assert_int_equal(open_way(way), WAY_OPEN);
	assert_true(strlen(way_token(way)) > 20);
	assert_false(way_pending(way));
	char byte;
	assert_int_equal(way_read(way, &byte, 1), -EAGAIN);
	echo(way, MEBIBYTE, 4096);
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
	const struct settings settings = settings_for("127.0.0.1", server_port(server), false);
	server_stop(server);
	char reason[TLS_REASON_SIZE];
	try_settings(&settings, reason);
	assert_string_equal(reason, "Connection refused");
}

static void test_no_such_name(void **state)
{
	(void)state;
	const struct settings settings = settings_for("no name at all", 1883, false);
	char reason[TLS_REASON_SIZE];
	try_settings(&settings, reason);
	assert_reason("no name", reason, "BROKER_HOST=no name at all cannot be resolved: ");
}

static void test_tls(void **state)
{
	(void)state;
	const struct certificate certificate = certificate_new(folder, "echo", "x", "IP:127.0.0.1", &authority, NULL);
	static const size_t pieces[] = {1000, 65536};
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct server *server = server_start(SERVER_TLS, &certificate, NULL);
		const struct settings settings = settings_for("127.0.0.1", server_port(server), true);
		struct resolver *resolver = NULL;
		assert_int_equal(resolver_new(&settings, &resolver), 0);
		struct way *way = start(&settings, resolver);
		assert_int_equal(open_way(way), WAY_OPEN);
		echo(way, MEBIBYTE, pieces[i]);
		assert_false(way_pending(way));
		farewell(way);
		way_free(way);
		resolver_free(resolver);
		server_stop(server);
	}
}

/* ---- Names in certificates ---- */

static void test_names(void **state)
{
	(void)state;
	static const char not_for[] = "the broker's certificate is not for ";
	static const struct {
		const char *name, *common_name, *san, *host, *expected;
		bool self_signed;
		const char *server_name; /* SNI */
	} cases[] = {
		{"address", "x", "IP:127.0.0.1", "127.0.0.1", NULL, false, ""},
		{"name", "x", "DNS:broker.example", "broker.example", NULL, false, "broker.example"},
		{"another case", "x", "DNS:broker.example", "Broker.example", NULL, false, "Broker.example"},
		{"root's dot", "x", "DNS:broker.example", "broker.example.", NULL, false, "broker.example"},
		{"wildcard", "x", "DNS:*.test.example", "broker.test.example", NULL, false, "broker.test.example"},
		{"partial wildcard", "x", "DNS:b*.test.example", "broker.test.example", not_for, false, NULL},
		{"wildcard of two labels", "x", "DNS:*.test.example", "a.b.test.example", not_for, false, NULL},
		{"wrong name", "x", "DNS:other.example", "broker.example", not_for, false, NULL},
		{"wrong address", "x", "IP:127.0.0.2", "127.0.0.1", not_for, false, NULL},
		{"address as a name", "x", "DNS:127.0.0.1", "127.0.0.1", not_for, false, NULL},
		{"common name only", "broker.example", NULL, "broker.example", not_for, false, NULL},
		{"common name besides", "broker.example", "email:a@b.example", "broker.example", not_for, false, NULL},
		{"self-signed", "x", "DNS:broker.example", "broker.example", "the broker's certificate is refused: self-signed certificate (checked against /",
			true, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct certificate certificate =
			certificate_new(folder, "named", cases[i].common_name, cases[i].san, cases[i].self_signed ? NULL : &authority, NULL);
		struct server *server = server_start(SERVER_TLS, &certificate, NULL);
		const struct settings settings = settings_for(cases[i].host, server_port(server), true);
		char reason[TLS_REASON_SIZE], server_name[256];
		try_settings(&settings, reason);
		server_stop_name(server, server_name);
		assert_reason(cases[i].name, reason, cases[i].expected);
		if (cases[i].server_name)
			assert_string_equal(server_name, cases[i].server_name);
	}
}

/* ---- Peers that do not speak TLS ---- */

static void test_no_tls(void **state)
{
	(void)state;
	static const struct {
		const char *name, *expected;
		enum server_kind kind;
	} cases[] = {
		{"greets", "does not speak TLS; if it speaks plain MQTT there, use its TLS port or set BROKER_TLS=off", SERVER_GREETS},
		{"closes", "does the broker speak TLS 1.2 or later on port", SERVER_CLOSES},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct server *server = server_start(cases[i].kind, NULL, NULL);
		const struct settings settings = settings_for("127.0.0.1", server_port(server), true);
		char reason[TLS_REASON_SIZE];
		try_settings(&settings, reason);
		server_stop(server);
		assert_reason(cases[i].name, reason, cases[i].expected);
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
	const struct settings settings = settings_for("127.0.0.1", ntohs(address.sin_port), true);
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(&settings, &resolver), 0);
	struct way *way = start(&settings, resolver);
	/* Nobody accepts: the kernel connects, and that is all. */
	struct pollfd entry = {.fd = listener, .events = POLLIN};
	while (poll(&entry, 1, 0) == 0) {
		const short revents = await(way, false, false);
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
	const struct certificate certificate = certificate_new(folder, "renewed", "x", "IP:127.0.0.1", &authority, NULL);
	struct server *server = server_start(SERVER_TLS, &certificate, NULL);
	char path[96];
	path_in_folder("ca.pem", path);
	struct settings settings = settings_for("127.0.0.1", server_port(server), true);
	settings.broker_ca_file = path;
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(&settings, &resolver), 0);
	static const struct {
		const char *name, *expected;
		bool good;
	} cases[] = {{"good", NULL, true}, {"rubbish", "ca.pem: expected certificates in PEM format: no start line", false}, {"good again", NULL, true}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)unlink(path);
		if (cases[i].good)
			assert_int_equal(link(authority.certificate_file, path), 0);
		else
			write_text(path, "rubbish\n");
		struct way *way = start(&settings, resolver);
		const bool open = open_way(way) == WAY_OPEN;
		assert_reason(cases[i].name, open ? "" : way_reason(way), cases[i].expected);
		way_free(way);
	}
	resolver_free(resolver);
	server_stop(server);
}

static void test_client_certificate(void **state)
{
	(void)state;
	const struct certificate certificate = certificate_new(folder, "strict", "x", "IP:127.0.0.1", &authority, NULL);
	const struct certificate client = certificate_new(folder, "client", "client", NULL, &authority, NULL);
	for (int with = 0; with <= 1; with++) {
		struct server *server = server_start(SERVER_TLS_CLIENTS, &certificate, &authority);
		struct settings settings = settings_for("127.0.0.1", server_port(server), true);
		settings.broker_cert_file = with ? client.certificate_file : "";
		settings.broker_key_file = with ? client.key_file : "";
		struct resolver *resolver = NULL;
		assert_int_equal(resolver_new(&settings, &resolver), 0);
		struct way *way = start(&settings, resolver);
		/* With TLS 1.3 the client has shaken hands before the server looks at its certificate. */
		assert_int_equal(open_way(way), WAY_OPEN);
		if (with)
			echo(way, 1000, 1000);
		else {
			char byte;
			ssize_t count;
			while ((count = way_read(way, &byte, 1)) == -EAGAIN)
				(void)await(way, true, false);
			assert_int_equal(count, -EPROTO);
			assert_int_equal(way_state(way), WAY_FAILED);
			assert_int_equal(way_write(way, "x", 1), -ENOTCONN);
			assert_reason("none", way_reason(way), "the broker wants a certificate of its clients: set BROKER_CERT_FILE");
		}
		way_free(way);
		resolver_free(resolver);
		server_stop(server);
	}
}

/* ---- Ends in the middle ---- */

static void test_freed_at_any_time(void **state)
{
	(void)state;
	const struct certificate certificate = certificate_new(folder, "left", "x", "IP:127.0.0.1", &authority, NULL);
	struct server *server = server_start(SERVER_TLS, &certificate, NULL);
	const struct settings settings = settings_for("127.0.0.1", server_port(server), true);
	for (unsigned steps = 0; steps < 8; steps++) {
		struct resolver *resolver = NULL;
		assert_int_equal(resolver_new(&settings, &resolver), 0);
		struct way *way = start(&settings, resolver), *other = start(&settings, resolver);
		for (unsigned step = 0; step < steps && way_state(way) == WAY_OPENING; step++) {
			const short revents = await(way, false, false);
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
	*settings = settings_for(HANGS, 1, true);
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(settings, &resolver), 0);
	/* One more than there are threads: it waits in the queue. */
	struct way *ways[RESOLVER_THREADS_MAX + 1];
	for (unsigned i = 0; i <= RESOLVER_THREADS_MAX; i++)
		ways[i] = start(settings, resolver);
	for (unsigned i = 0; i < RESOLVER_THREADS_MAX; i++)
		sem_wait(&lookup_begun);
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
		sem_post(&lookup_goes_on);
	for (unsigned i = 0; i < RESOLVER_THREADS_MAX; i++)
		sem_wait(&lookup_over);
	/* What nobody wanted any more was never looked up. */
	assert_int_equal(sem_trywait(&lookup_begun), -1);
}

/* ---- All of them ---- */

static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sem_init(&lookup_begun, 0, 0);
	sem_init(&lookup_goes_on, 0, 0);
	sem_init(&lookup_over, 0, 0);
	if (!mkdtemp(folder))
		return -1;
	authority = certificate_new(folder, "authority", "Authority of the tests", NULL, NULL, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	static const char *const names[] = {"authority.crt", "authority.key", "echo.crt", "echo.key", "named.crt", "named.key", "renewed.crt", "renewed.key",
		"strict.crt", "strict.key", "client.crt", "client.key", "left.crt", "left.key", "ca.pem"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[96];
		path_in_folder(names[i], path);
		(void)unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_such_name),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_handshake_in_time),
		cmocka_unit_test(test_files_are_read_anew),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_freed_at_any_time),
		cmocka_unit_test(test_lookup_hangs),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
