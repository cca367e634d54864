/*
 * test_bad_way.c - what stands between a host and its broker, and is not as it should be: names, addresses, certificates, a server that speaks
 * something else, a file system that takes nothing. The host says so, tries again for ever, and stops when it is told to.
 */
#include "account.h"
#include "copies.h"
#include "enclosure.h"
#include "port.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUIET_MS = 300, PROMPT_MS = 10000 };

/* ---- A server without TLS on the port for TLS ---- */

HARNESS_CASE(plain_server_on_the_tls_port)
{
	static const char greeting[] = "220 ready\r\n";
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_raw(broker);
	scripted_use(host, broker);
	host_set(host, "BROKER_TLS", "on");
	host_set(host, "BROKER_CA_FILE", broker_ca_file(harness_broker(h)));
	host_start(host);
	for (int i = 0; i < 3; i++) {
		host_expect_log(host, "broker_unreachable", "connection", "main", "reason", "*");
		if (scripted_newest(broker) && scripted_newest(broker)->fd >= 0)
			scripted_send_bytes((struct scripted_link *)(uintptr_t)scripted_newest(broker),
				greeting, sizeof(greeting) - 1);
	}
	assert_true(scripted_connections(broker) >= 3);
	for (const struct scripted_link *link = scripted_newest(broker); link; link = link->next) {
		/* Nobody who cannot show a certificate is told who asks, nor given a token. */
		assert_null(memmem(link->input, link->input_size, "MQTT", 4));
		assert_true(link->input_size == 0 || link->input[0] == 0x16); /* a TLS record: handshake */
	}
	assert_int_equal(host_count_log(host, "broker_connected"), 0);
}

/* ---- Certificate files ---- */

static void copy_file(struct harness *h, const char *from, const char *to)
{
	harness_write_file(h, to, harness_read_file(h, from));
}

static void make_rubbish(struct harness *h, const char *path)
{
	harness_write_file(h, path, "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n");
}

static void make_empty(struct harness *h, const char *path)
{
	harness_write_file(h, path, "");
}

static void make_missing(struct harness *h, const char *path)
{
	(void)h;
	assert_int_equal(unlink(path), 0);
}

/* Who opens that for reading waits for somebody who writes. */
static void make_fifo(struct harness *h, const char *path)
{
	make_missing(h, path);
	assert_int_equal(mkfifo(path, 0600), 0);
}

/* Between two connects: the first finds it as it was. */
static void replace_certificate(
	struct harness *h, const char *setting, void (*spoil)(struct harness *h, const char *path))
{
	struct broker *broker = broker_new(h, NULL);
	broker_start(broker);
	const char *authority = broker_ca_file(broker);
	const char *folder = harness_format(h, "%.*s", (int)(strrchr(authority, '/') - authority), authority);
	const char *certificate = harness_format(h, "%s/server.crt", folder),
		   *key = harness_format(h, "%s/server.key", folder);
	const char *good = strcmp(setting, "BROKER_CA_FILE") == 0     ? authority
			   : strcmp(setting, "BROKER_CERT_FILE") == 0 ? certificate
								      : key;
	const char *path = harness_path(h, "replaced.pem");
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_broker(host, broker);
	host_set(host, "BROKER_CERT_FILE", certificate);
	host_set(host, "BROKER_KEY_FILE", key);
	copy_file(h, good, path);
	host_set(host, setting, path);
	host_start(host);
	host_wait_ready(host);
	spoil(h, path);
	broker_stop(broker);
	/* While it is away the reason is another one. */
	broker_start(broker);
	const size_t connected = host_count_log(host, "broker_connected");
	/* More than once, and by its name; the first reason may be that the broker was away. */
	for (int named = 0; named < 3;) {
		const json_t *record =
			host_expect_log(host, "broker_unreachable", "connection", "main", "reason", "*");
		const char *reason = json_string_value(json_object_get(record, "reason"));
		named += strstr(reason, "replaced.pem") || strstr(reason, setting);
	}
	assert_int_equal(host_count_log(host, "broker_connected"), connected);
	(void)unlink(path);
	copy_file(h, good, path);
	host_wait_ready(host);
	spoil(h, path);
	broker_stop(broker);
	broker_start(broker);
	host_expect_log(host, "broker_lost", "connection", "main");
	const int64_t from_ms = harness_now_ms();
	host_stop(host);
	assert_in_range(harness_now_ms() - from_ms, 0, PROMPT_MS);
}

HARNESS_CASE(authority_becomes_rubbish)
{
	replace_certificate(h, "BROKER_CA_FILE", make_rubbish);
}

HARNESS_CASE(authority_becomes_empty)
{
	replace_certificate(h, "BROKER_CA_FILE", make_empty);
}

HARNESS_CASE(authority_goes_away)
{
	replace_certificate(h, "BROKER_CA_FILE", make_missing);
}

HARNESS_CASE(authority_becomes_a_fifo)
{
	replace_certificate(h, "BROKER_CA_FILE", make_fifo);
}

HARNESS_CASE(certificate_becomes_rubbish)
{
	replace_certificate(h, "BROKER_CERT_FILE", make_rubbish);
}

HARNESS_CASE(key_becomes_rubbish)
{
	replace_certificate(h, "BROKER_KEY_FILE", make_rubbish);
}

/* ---- Names ---- */

static bool may_enclose(void)
{
	if (enclosure_allowed())
		return true;
	print_message("skipped: this machine lets nobody make a mount namespace here\n");
	return false;
}

/* A socket at that address and the broker's port; `full`: one that listens, and whose queue is full, so that it takes no SYN any more. */
static void dead_address(struct harness *h, const char *text, unsigned port, bool full)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)h;
	inet_pton(AF_INET, text, &address.sin_addr);
	if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		(full && listen(listener, 0) != 0))
		harness_fail("nothing can be put at %s: %s", text, strerror(errno));
	/* These, the listener and what is in its queue end with the program. */
	for (int i = 0; full && i < 4; i++) {
		const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(client, (const struct sockaddr *)&address, sizeof(address));
	}
}

#define BROKER_NAME "broker.test"

static void name_with_a_dead_first_address(struct harness *h, const char *dead, bool full)
{
	if (!may_enclose())
		return;
	struct copies copies, *c = &copies;
	copies_new(h, false, c);
	dead_address(h, dead, scripted_port(c->broker), full);
	(void)enclosure_names(h, c->host,
		harness_format(h, "%s " BROKER_NAME "\n%s " BROKER_NAME "\n", dead, scripted_host(c->broker)),
		"");
	host_set(c->host, "BROKER_HOST", BROKER_NAME);
	copies_start(c);
	copies_send(c, (struct copy){.mid = 1, .user = "u", .n = "x"});
	copies_expect_pubacks(c, 1, 1);
	/* And again. */
	copies_cut(c, true);
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "b"});
	copies_expect_pubacks(c, 2, 2);
	effects_expect(h, c->host, "u", "x b");
}

HARNESS_CASE(name_whose_first_address_refuses)
{
	name_with_a_dead_first_address(h, "127.0.0.2", false);
}

HARNESS_CASE(name_whose_first_address_takes_no_syn)
{
	name_with_a_dead_first_address(h, "127.0.0.3", true);
}

/* Only that: nobody answers, and the stop does not wait for an answer. */
HARNESS_CASE(stop_while_the_only_address_takes_no_syn)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	const int port = port_reserve();
	assert_true(port > 0);
	dead_address(h, "127.0.0.4", (unsigned)port, true);
	host_set(host, "BROKER_HOST", "127.0.0.4");
	host_set(host, "BROKER_PORT", harness_format(h, "%d", port));
	host_set(host, "STOP_TIMEOUT", "60");
	host_start(host);
	host_expect_log(host, "broker_unreachable", "connection", "main", "reason", "*");
	const int64_t from_ms = harness_now_ms();
	host_stop(host);
	assert_in_range(harness_now_ms() - from_ms, 0, PROMPT_MS);
}

/* A name server that takes questions, and never answers. */
static const char *silent_name_server(struct harness *h, const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, text, &address.sin_addr);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return NULL;
	return harness_format(h, "nameserver %s\noptions timeout:30 attempts:5\n", text);
}

/* One lane's link is lost when its name cannot be found any more. The other lane goes on, and the stop does not wait for the name. */
HARNESS_CASE(resolver_that_does_not_answer)
{
	struct copies copies, *c = &copies;
	copies_new(h, false, c);
	const char *resolver = silent_name_server(h, "127.0.0.5");
	if (!may_enclose() || !resolver)
		return;
	const struct enclosure_names names = enclosure_names(
		h, c->host, harness_format(h, "%s " BROKER_NAME "\n", scripted_host(c->broker)), resolver);
	host_set(c->host, "BROKER_HOST", BROKER_NAME);
	host_set(c->host, "HANDLERS", "test_effect,test_gate_lane");
	host_set(c->host, "STOP_TIMEOUT", "60");
	host_start(c->host);
	struct scripted_link *slow = NULL;
	for (int i = 0; i < 3; i++) {
		struct scripted_link *link = scripted_welcome_one(c->broker, NULL);
		if (!scripted_is_ingress(link))
			c->links.egress = link;
		else if (strstr(link->connect->client_id, "slow"))
			slow = link;
		else
			c->links.ingress = link;
	}
	assert_non_null(slow);
	scripted_settle(c->links.egress, NULL);
	host_wait_ready(c->host);
	harness_write_file(h, names.hosts, "127.0.0.1 localhost\n");
	scripted_reset(slow);
	host_expect_log(c->host, "broker_lost", "connection", "slow");
	const size_t connections = scripted_connections(c->broker);
	for (uint16_t mid = 1; mid <= 50; mid++) {
		copies_send(c, (struct copy){.mid = mid, .user = "u", .n = harness_format(h, "%u", mid)});
		copies_expect_pubacks(c, mid, mid);
		harness_watch(h, 20);
	}
	assert_int_equal(scripted_connections(c->broker), connections);
	const int64_t from_ms = harness_now_ms();
	host_stop(c->host);
	assert_in_range(harness_now_ms() - from_ms, 0, PROMPT_MS);
}

/* ---- Nowhere to write ---- */

HARNESS_CASE(nothing_can_be_written_to)
{
	if (!may_enclose())
		return;
	struct host *host = host_new(h, HOST_PRODUCT);
	enclosure_read_only(h, host, CASHEWD_PATH);
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "get_apples", "{}");
	device_expect(phone, "got_apples");
	device_command(phone, "request_contact", "{\"contact_id\":\"23412\"}");
	database_wait_count(h, harness_database(h), "contact_requests", "{}", 1);
	host_stop(host);
}

HARNESS_MAIN(HARNESS_TEST(plain_server_on_the_tls_port), HARNESS_TEST(authority_becomes_rubbish),
	HARNESS_TEST(authority_becomes_empty), HARNESS_TEST(authority_goes_away),
	HARNESS_TEST(authority_becomes_a_fifo), HARNESS_TEST(certificate_becomes_rubbish),
	HARNESS_TEST(key_becomes_rubbish), HARNESS_TEST(name_whose_first_address_refuses),
	HARNESS_TEST(name_whose_first_address_takes_no_syn),
	HARNESS_TEST(stop_while_the_only_address_takes_no_syn), HARNESS_TEST(resolver_that_does_not_answer),
	HARNESS_TEST(nothing_can_be_written_to))
