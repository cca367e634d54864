/*
 * test_broker_strangers.c - examples/broker and what comes to it byte by byte, before or beside a valid token: CONNECTs that never end, tokens at the
 * wrong place, passwords that hold more than a token, keepalives of any length.
 *
 * The packets are made here: a client library would not send some of them. The listener is the one without TLS, so that a connection costs little.
 */
#include "harness.h"
#include "process.h"
#include "token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BROKER_RSS_MAX_KIB = 200 * 1024 };

static void start_broker(struct harness *h)
{
	harness_broker_with(h, &(struct broker_options){.example_limits = true, .plain = true});
}

static int dial(struct harness *h)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)broker_port(harness_broker(h))),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

static const char *user_token(struct harness *h, const char *user)
{
	char *token = NULL;
	assert_int_equal(token_sign_user(HARNESS_SECRET, user, (int64_t)time(NULL), 3600, &token), 0);
	const char *copy = harness_format(h, "%s", token);
	free(token);
	return copy;
}

/* ---- CONNECT, as bytes ---- */

struct login {
	unsigned keepalive_s;
	const char *client_id, *password;
	size_t password_size; /* 0: up to its NUL */
};

static void put_bytes(unsigned char **at, const void *bytes, size_t size)
{
	*(*at)++ = (unsigned char)(size >> 8);
	*(*at)++ = (unsigned char)size;
	memcpy(*at, bytes, size);
	*at += size;
}

/* MQTT 5.0, section 3.1: a user name and a password, a clean start. */
static size_t connect_packet(unsigned char packet[static 4096], const struct login *login)
{
	unsigned char body[2048], *at = body;
	put_bytes(&at, "MQTT", 4);
	*at++ = 5;
	*at++ = 0xc2;
	*at++ = (unsigned char)(login->keepalive_s >> 8);
	*at++ = (unsigned char)login->keepalive_s;
	*at++ = 0;
	put_bytes(&at, login->client_id, strlen(login->client_id));
	put_bytes(&at, "JWT", 3);
	put_bytes(&at, login->password,
		login->password_size > 0 ? login->password_size : strlen(login->password));
	const size_t size = (size_t)(at - body);
	packet[0] = 0x10;
	packet[1] = (unsigned char)(0x80 | (size & 127));
	packet[2] = (unsigned char)(size >> 7);
	memcpy(packet + 3, body, size);
	return size + 3;
}

/* Among a CONNACK's properties (MQTT 5.0, 3.2.2.3): those with a fixed size, and texts. */
static unsigned keepalive_in(const unsigned char *properties, size_t size)
{
	for (size_t at = 0; at + 2 < size;) {
		const unsigned char *value = properties + at + 1;
		switch (properties[at]) {
		case MQTT_PROP_SERVER_KEEP_ALIVE: return (unsigned)value[0] << 8 | value[1];
		case MQTT_PROP_RECEIVE_MAXIMUM:
		case MQTT_PROP_TOPIC_ALIAS_MAXIMUM: at += 3; break;
		case MQTT_PROP_SESSION_EXPIRY_INTERVAL:
		case MQTT_PROP_MAXIMUM_PACKET_SIZE: at += 5; break;
		case MQTT_PROP_MAXIMUM_QOS:
		case MQTT_PROP_RETAIN_AVAILABLE:
		case MQTT_PROP_WILDCARD_SUB_AVAILABLE:
		case MQTT_PROP_SUBSCRIPTION_ID_AVAILABLE:
		case MQTT_PROP_SHARED_SUB_AVAILABLE: at += 2; break;
		default: at += 3 + ((size_t)value[0] << 8 | value[1]);
		}
	}
	return 0;
}

/* The reason in the CONNACK, and the keepalive that the broker asks for; 0: none. -1: the connection was closed without one. The connection stays. */
static int log_in_at(int fd, const struct login *login, unsigned *ret_keepalive_s)
{
	unsigned char packet[4096], answer[1024];
	const size_t size = connect_packet(packet, login);
	assert_int_equal(send(fd, packet, size, MSG_NOSIGNAL), size);
	size_t got = 0;
	while (got < 2 || got < 2U + answer[1]) {
		const ssize_t more = recv(fd, answer + got, sizeof(answer) - got, 0);
		if (more <= 0)
			break;
		got += (size_t)more;
	}
	if (got < 5)
		return -1;
	assert_int_equal(answer[0], 0x20);
	*ret_keepalive_s = keepalive_in(answer + 5, answer[4]);
	return answer[3];
}

static int log_in(struct harness *h, const struct login *login, unsigned *ret_keepalive_s)
{
	const int fd = dial(h);
	const int reason = log_in_at(fd, login, ret_keepalive_s);
	close(fd);
	return reason;
}

/* ---- CONNECTs that do not end ---- */

/* For a packet of that size, of which all but a few bytes are sent: as many as the broker takes. */
static void begin_connect(int fd, size_t size)
{
	static unsigned char bytes[1024 * 1024 + 16];
	const unsigned char head[] = {0x10, (unsigned char)(0x80 | (size & 127)),
		(unsigned char)(0x80 | (size >> 7 & 127)), (unsigned char)(size >> 14), 0, 4, 'M', 'Q', 'T',
		'T', 5};
	memcpy(bytes, head, sizeof(head));
	for (size_t sent = 0; sent < size - 100;) {
		const ssize_t now = send(fd, bytes + sent, size - 100 - sent, MSG_NOSIGNAL);
		if (now <= 0)
			return;
		sent += (size_t)now;
	}
}

/* Nobody needs a token for them. Those of a megabyte are closed at their first bytes; those that the broker reads are what it has room for. */
HARNESS_CASE(five_hundred_unfinished_connects_cost_less_than_200_megabytes)
{
	enum { STRANGERS = 500 };
	static const size_t sizes[] = {1024 * 1024, 262000};
	start_broker(h);
	struct rlimit files;
	assert_return_code(getrlimit(RLIMIT_NOFILE, &files), errno);
	files.rlim_cur = files.rlim_max;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &files), errno);
	struct device *device = device_new(h, "1");
	device_connect(device);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int strangers[STRANGERS];
		for (size_t k = 0; k < STRANGERS; k++) {
			strangers[k] = dial(h);
			begin_connect(strangers[k], sizes[i]);
		}
		/* The broker serves all that have something to read in turns: after two of them all have been read. */
		device_command(device, "ping", "1");
		device_command(device, "ping", "1");
		const size_t rss_kib = process_rss_kib(broker_pid(harness_broker(h)));
		print_message("  %zu bytes each: %zu KiB\n", sizes[i], rss_kib);
		assert_in_range(rss_kib, 1, BROKER_RSS_MAX_KIB);
		assert_true(device->connected);
		for (size_t k = 0; k < STRANGERS; k++)
			close(strangers[k]);
	}
}

/* ---- Readers that do not read ---- */

/* Messages of 100 KB at QoS 0, until all are on their way or the broker has heard enough. */
static void publish_flood(int fd, size_t count)
{
	enum { PAYLOAD = 100000, REST = 2 + 3 + 1 + PAYLOAD };
	static unsigned char packet[4 + REST] = {
		0x30, 0x80 | (REST & 127), 0x80 | (REST >> 7 & 127), REST >> 14, 0, 3, '1', '/', 'x', 0};
	for (size_t i = 0; i < count; i++)
		for (size_t sent = 0; sent < sizeof(packet);) {
			const ssize_t now = send(fd, packet + sent, sizeof(packet) - sent, MSG_NOSIGNAL);
			if (now <= 0)
				return;
			sent += (size_t)now;
		}
}

/* A user's quota bounds what one connection of his can leave behind in the broker for another one that does not read. */
HARNESS_CASE(a_slow_reader_costs_the_broker_what_its_quota_lets_through)
{
	enum { FLOOD = 1000, GROWTH_MAX_KIB = 16 * 1024 };
	static const unsigned char subscribe[] = {0x82, 9, 0, 1, 0, 0, 3, '1', '/', '#', 0};
	start_broker(h);
	struct device *honest = device_new(h, "2");
	device_connect(honest);
	const char *token = user_token(h, "1");
	const struct login reads = {.client_id = "1/reads", .password = token},
			   writes = {.client_id = "1/writes", .password = token};
	const int reader = dial(h), writer = dial(h);
	unsigned keepalive_s;
	assert_int_equal(log_in_at(reader, &reads, &keepalive_s), 0);
	assert_int_equal(log_in_at(writer, &writes, &keepalive_s), 0);
	assert_int_equal(send(reader, subscribe, sizeof(subscribe), MSG_NOSIGNAL), sizeof(subscribe));
	device_command(honest, "ping", "1");
	const size_t before_kib = process_rss_kib(broker_pid(harness_broker(h)));
	publish_flood(writer, FLOOD);
	device_command(honest, "ping", "1");
	const size_t after_kib = process_rss_kib(broker_pid(harness_broker(h)));
	print_message("  %zu KiB, %zu KiB\n", before_kib, after_kib);
	assert_in_range(after_kib, 1, before_kib + GROWTH_MAX_KIB);
	close(reader);
	close(writer);
}

/* ---- Tokens at the wrong place ---- */

/* Whoever reads the log could come in with them. */
HARNESS_CASE(a_token_in_a_client_id_or_a_topic_is_not_logged)
{
	start_broker(h);
	const char *token = user_token(h, "1");
	unsigned keepalive_s;
	const struct login mistaken = {.client_id = token, .password = "x.y.z"},
			   another = {.client_id = token, .password = token},
			   own = {.client_id = harness_format(h, "1/%s", token), .password = token};
	assert_int_equal(log_in(h, &mistaken, &keepalive_s), MQTT_RC_NOT_AUTHORIZED);
	assert_int_equal(log_in(h, &another, &keepalive_s), MQTT_RC_NOT_AUTHORIZED);
	assert_int_equal(log_in(h, &own, &keepalive_s), 0);
	struct device *device = device_new(h, "1");
	device_connect(device);
	assert_int_equal(device_wait_puback(device, device_publish_with(device, NULL,
							    &(struct device_publish_options){
								    .topic = harness_format(h, "2/%s", token),
								    .payload = "x",
								    .payload_size = 1,
								    .qos = 1})),
		MQTT_RC_NOT_AUTHORIZED);
	broker_wait_log(h, harness_broker(h), "refused client ******** from", 1);
	broker_wait_log(h, harness_broker(h), "client 1/******** of user:1 has connected", 1);
	broker_wait_log(h, harness_broker(h), "may not publish to 2/********", 1);
	assert_int_equal(broker_count_log(harness_broker(h), strrchr(token, '.') + 1), 0);
	assert_int_equal(broker_count_log(harness_broker(h), "eyJ"), 0);
}

/*
 * mosquitto gives plugins the password as a text: what stands behind a NUL byte is seen by nobody. It proves nothing and changes nothing: the token
 * before it decides alone.
 */
HARNESS_CASE(a_password_counts_up_to_its_nul_byte)
{
	start_broker(h);
	const char *token = user_token(h, "1");
	const size_t size = strlen(token);
	unsigned keepalive_s;
	char password[1024];
	memcpy(password, token, size + 1);
	memcpy(password + size + 1, "anything", 8);
	const struct login more = {.client_id = "1/x", .password = password, .password_size = size + 9},
			   anothers = {.client_id = "2/x", .password = password, .password_size = size + 9},
			   nothing = {.client_id = "1/x", .password = "\0anything", .password_size = 9};
	assert_int_equal(log_in(h, &more, &keepalive_s), 0);
	assert_int_equal(log_in(h, &anothers, &keepalive_s), MQTT_RC_NOT_AUTHORIZED);
	assert_int_equal(log_in(h, &nothing, &keepalive_s), MQTT_RC_NOT_AUTHORIZED);
}

/* ---- Keepalive ---- */

/* mosquitto 2.0.21 closes and refuses devices that are well where the configuration has a greatest keepalive. */
HARNESS_CASE(a_devices_keepalive_is_its_own)
{
	static const unsigned asked_s[] = {60, 300, 301, 65534};
	start_broker(h);
	for (size_t i = 0; i < sizeof(asked_s) / sizeof(asked_s[0]); i++) {
		const struct login login = {
			.keepalive_s = asked_s[i], .client_id = "1/x", .password = user_token(h, "1")};
		unsigned told_s = 0;
		assert_int_equal(log_in(h, &login, &told_s), 0);
		assert_int_equal(told_s, 0);
	}
}

/* ---- Whose the broker is ---- */

struct becoming {
	struct process *process;
	char env[64]; /* the file that is there once it listens */
};

static bool listens_or_has_ended(void *context)
{
	const struct becoming *becoming = context;
	return access(becoming->env, F_OK) == 0 || process_reap(becoming->process, 0);
}

/* What reads strangers' packets is not root: neither its effective user nor the one that it could go back to. */
static unsigned users_of(pid_t pid, unsigned ret_users[static 3])
{
	char path[64], line[256];
	unsigned found = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Uid: %u %u %u", &ret_users[0], &ret_users[1], &ret_users[2]) == 3)
			found = 3;
	fclose(file);
	return found;
}

HARNESS_CASE(a_broker_that_root_starts_becomes_another_user)
{
	if (geteuid() != 0)
		skip();
	/* That user has to get there, and to the plugin. */
	char folder[] = "/tmp/cashewd-test-XXXXXX", plugin[64];
	assert_non_null(mkdtemp(folder));
	assert_return_code(chmod(folder, 0755), errno);
	snprintf(plugin, sizeof(plugin), "%s/plugin.so", folder);
	const char *const copy[] = {"install", "-m", "644", BINARY_DIR "/cashew_broker_plugin.so", plugin,
		NULL},
			  *const clean[] = {"rm", "-rf", "--", folder, NULL};
	const char *state = harness_format(h, "%s/state", folder),
		   *environment[32] = {NULL}, *const *common = process_environment();
	size_t count = 0;
	for (; common[count]; count++)
		environment[count] = common[count];
	environment[count] = "JWT_SECRET=" HARNESS_SECRET;
	const char *const argv[] = {SOURCE_DIR "/examples/broker/run", "--plugin", plugin, "--state", state,
		"--port", "0", "--user", "nobody", NULL};
	struct process process = {.pidfd = -1}, other = {.pidfd = -1};
	const struct process_options options = {.argv = argv,
		.environment = environment,
		.folder = harness_folder(h),
		.output = harness_path(h, "becoming.log"),
		.death_signal = SIGKILL};
	struct process_options helper = options;
	helper.argv = copy;
	assert_int_equal(process_start(&other, &helper), 0);
	assert_true(process_reap(&other, HARNESS_TIMEOUT_MS));
	assert_int_equal(process_start(&process, &options), 0);
	struct becoming becoming = {.process = &process};
	snprintf(becoming.env, sizeof(becoming.env), "%s/env", state);
	harness_wait(h, listens_or_has_ended, &becoming, "the broker to listen");
	assert_false(process_reap(&process, 0));
	unsigned users[3] = {0};
	assert_int_equal(users_of(process.pid, users), 3);
	process_signal(&process, SIGTERM);
	assert_true(process_reap(&process, HARNESS_TIMEOUT_MS));
	/* What it has kept it can write. */
	assert_return_code(access(harness_format(h, "%s/data/mosquitto.db", state), F_OK), errno);
	helper.argv = clean;
	assert_int_equal(process_start(&other, &helper), 0);
	assert_true(process_reap(&other, HARNESS_TIMEOUT_MS));
	for (size_t i = 0; i < 3; i++)
		assert_int_not_equal(users[i], 0);
}

HARNESS_MAIN(HARNESS_TEST(five_hundred_unfinished_connects_cost_less_than_200_megabytes),
	HARNESS_TEST(a_slow_reader_costs_the_broker_what_its_quota_lets_through),
	HARNESS_TEST(a_token_in_a_client_id_or_a_topic_is_not_logged),
	HARNESS_TEST(a_password_counts_up_to_its_nul_byte), HARNESS_TEST(a_devices_keepalive_is_its_own),
	HARNESS_TEST(a_broker_that_root_starts_becomes_another_user))
