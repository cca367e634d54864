/* way_parts.c - see way_parts.h. */
#include "way_parts.h"

#include "clock.h"
#include "resolver.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WRITE_MAX = 40000 };

char parts_folder[] = "/tmp/cashewd-test-XXXXXX";
struct certificate parts_authority;
sem_t parts_lookup_begun, parts_lookup_goes_on, parts_lookup_over;

/* ---- Names ---- */

int __real_getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret);
int __wrap_getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret);

/* Every name in "example" is this machine. */
int __wrap_getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	if (strcmp(node, HANGS) == 0) {
		sem_post(&parts_lookup_begun);
		sem_wait(&parts_lookup_goes_on);
	}
	if (!strstr(node, ".example"))
		return __real_getaddrinfo(node, service, hints, ret);
	const int error = __real_getaddrinfo("127.0.0.1", service, hints, ret);
	if (strcmp(node, HANGS) == 0)
		sem_post(&parts_lookup_over);
	return error;
}

/* ---- Help ---- */

struct settings parts_settings(const char *host, unsigned port, bool tls)
{
	return (struct settings){.broker_host = host,
		.broker_port = port,
		.broker_tls = tls,
		.broker_path = "/mqtt",
		.broker_proxy = "",
		.broker_ca_file = parts_authority.certificate_file,
		.broker_cert_file = "",
		.broker_key_file = "",
		.jwt_secret = "a secret of the tests, long enough for HS256",
		.handler_name = "apples",
		.handler_token_file = "",
		.token_lifetime_s = 60};
}

struct way *parts_start(const struct settings *settings, struct resolver *resolver)
{
	struct way *way = NULL;
	const struct way_options options = {.settings = settings, .resolver = resolver, .label = "test"};
	assert_int_equal(way_new(&options, clock_ms(), &way), 0);
	return way;
}

/* Waits as an owner does, and fails the test if that takes too long. */
short parts_await(struct way *way, bool read, bool write)
{
	struct pollfd entry;
	way_poll(way, read, write, &entry);
	const int64_t now_ms = clock_ms(), due_ms = way_due_ms(way);
	int64_t wait_ms = due_ms == INT64_MAX ? PARTS_PATIENCE_MS : due_ms - now_ms;
	if (wait_ms < 0)
		wait_ms = 0;
	const int count = poll(&entry, 1, (int)wait_ms);
	assert_true(count > 0 || due_ms != INT64_MAX);
	return entry.revents;
}

enum way_state parts_open(struct way *way)
{
	const int64_t until_ms = clock_ms() + PARTS_PATIENCE_MS;
	while (way_state(way) == WAY_OPENING) {
		const short revents = parts_await(way, false, false);
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
void parts_try(const struct settings *settings, char ret_reason[static TLS_REASON_SIZE])
{
	struct resolver *resolver = NULL;
	assert_int_equal(resolver_new(settings, &resolver), 0);
	struct way *way = parts_start(settings, resolver);
	snprintf(ret_reason, TLS_REASON_SIZE, "%s", parts_open(way) == WAY_OPEN ? "" : way_reason(way));
	way_free(way);
	resolver_free(resolver);
}

void parts_assert_reason(const char *name, const char *reason, const char *expected)
{
	if (expected ? !strstr(reason, expected) : reason[0] != '\0')
		fail_msg("%s: \"%s\" where \"%s\" is expected", name, reason, expected ? expected : "");
}

/* As much as is taken, by turns from two places in memory. */
static size_t write_some(struct way *way, const unsigned char *bytes, size_t size)
{
	static unsigned char places[2][WRITE_MAX];
	static unsigned turn = 0;
	size_t taken = 0;
	ssize_t count = 1;
	while (count > 0 && taken < size) {
		const size_t rest = size - taken < WRITE_MAX ? size - taken : WRITE_MAX;
		turn = !turn;
		memcpy(places[turn], bytes + taken, rest);
		memset(places[!turn], 0, WRITE_MAX);
		count = way_write(way, places[turn], rest);
		assert_true(count > 0 || count == -EAGAIN);
		taken += count > 0 ? (size_t)count : 0;
	}
	return taken;
}

void parts_echo(struct way *way, size_t size, size_t piece)
{
	unsigned char *sent = malloc(size), *received = malloc(size);
	assert_non_null(sent);
	assert_non_null(received);
	for (size_t i = 0; i < size; i++)
		sent[i] = (unsigned char)(i * 31 + i / 251);
	/* So that it is full now and then. */
	const int buffer = 1;
	assert_int_equal(setsockopt(way_socket(way), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
	size_t out = 0, in = 0;
	while (in < size) {
		const short revents = way_pending(way) ? POLLIN : parts_await(way, true, out < size);
		assert_true(revents != 0);
		out += write_some(way, sent + out, size - out);
		const ssize_t count = way_read(way, received + in, piece < size - in ? piece : size - in);
		assert_true(count > 0 || count == -EAGAIN);
		in += count > 0 ? (size_t)count : 0;
	}
	assert_memory_equal(sent, received, size);
	free(sent);
	free(received);
}

void parts_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* ---- Around the tests ---- */

int parts_set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sem_init(&parts_lookup_begun, 0, 0);
	sem_init(&parts_lookup_goes_on, 0, 0);
	sem_init(&parts_lookup_over, 0, 0);
	if (!mkdtemp(parts_folder))
		return -1;
	parts_authority =
		certificate_new(parts_folder, "authority", "Authority of the tests", NULL, NULL, NULL);
	return 0;
}

int parts_tear_down(void **state)
{
	(void)state;
	DIR *folder = opendir(parts_folder);
	if (!folder)
		return -1;
	for (const struct dirent *entry; (entry = readdir(folder));)
		(void)unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
	return rmdir(parts_folder);
}
