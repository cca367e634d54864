/*
 * scale_load - very many devices at once: sends get_apples on a schedule over all of them, step by step, and measures.
 *
 * Happy path: connects a device for each line of the tokens file, with its subscriptions, and prints a line of JSON. Then a line "RATE WARMUP
 * SECONDS" on standard input is a step, and is answered with a line of JSON: how many commands were due, their latencies from the time when they were
 * due to the event, the events that came meanwhile, and the CPU seconds of the processes named by --watch. The end of the input is the end.
 *
 * Failure: a message on standard error and exit code 1; 2 for bad arguments. Commands without an event are a figure, and no failure.
 */
#include "scale_load.h"
#include "number.h"
#include "packet.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum { READ_AHEAD = 16 * 1024, BUFFER_SIZE = 4 * 1024, CONNECT_LIMIT_S = 60, TOKEN_SIZE = 4096 };

static const char usage[] =
	"usage: bench-scale-load --port N --ca FILE --tokens FILE [options]\n"
	"  --tokens FILE        lines of USER TOKEN: a device each\n"
	"  --each N             subscriptions of a device (5)\n"
	"  --connect-rate R     devices that connect in a second, at most (2000)\n"
	"  --drain S            a step's last events are waited for until none has come for so long (10)\n"
	"  --watch NAME=PID[+PID..]  report the CPU seconds of these processes; can be repeated\n"
	"  --host HOST          the broker (127.0.0.1)\n"
	"Standard input: a line \"RATE WARMUP SECONDS\" for each step.\n";

static int bad(const char *what, const char *value)
{
	(void)fprintf(stderr, "scale-load: %s: %s\n%s", what, value, usage);
	return 2;
}

/* ---- Options ---- */

static const struct option long_options[] = {{"host", required_argument, NULL, 'h'},
	{"port", required_argument, NULL, 'p'}, {"ca", required_argument, NULL, 'a'},
	{"tokens", required_argument, NULL, 't'}, {"each", required_argument, NULL, 'n'},
	{"connect-rate", required_argument, NULL, 'c'}, {"drain", required_argument, NULL, 'd'},
	{"watch", required_argument, NULL, 'w'}, {"help", no_argument, NULL, 'H'}, {0}};

static bool take_option(int option, const char *value, struct scale_options *options)
{
	double number = 0;

	switch (option) {
	case 'h': options->host = value; return true;
	case 'a': options->ca_file = value; return true;
	case 't': options->tokens_file = value; return true;
	case 'w': return watch_parse(value, &options->watches);
	case 'c': return parse_number(value, 1, 1e6, &options->connect_rate);
	case 'd': return parse_number(value, 0.1, 3600, &options->drain_s);
	default: break;
	}
	if (!parse_number(value, 1, option == 'n' ? SCALE_EACH_MAX : 65535, &number))
		return false;
	*(option == 'n' ? &options->each : &options->port) = (unsigned)number;
	return true;
}

/* ---- Devices ---- */

static int add_device(struct scale *scale, const char *user, const char *token)
{
	struct scale_device *const devices =
		reallocarray(scale->devices, scale->device_count + 1, sizeof(*scale->devices));

	if (!devices)
		return scale_fail("devices", "out of memory");
	scale->devices = devices;
	struct scale_device *const device = &devices[scale->device_count];
	*device = (struct scale_device){
		.stream.fd = -1, .index = scale->device_count++, .token = strdup(token)};
	(void)snprintf(device->user, sizeof(device->user), "%s", user);
	return device->token ? 0 : scale_fail("devices", "out of memory");
}

static int read_tokens(struct scale *scale)
{
	FILE *const file = fopen(scale->options.tokens_file, "re");
	char user[SCALE_USER_SIZE], token[TOKEN_SIZE];
	int error = 0;

	if (!file)
		return scale_fail(scale->options.tokens_file, strerror(errno));
	while (!error && fscanf(file, "%64s %4095s", user, token) == 2)
		error = add_device(scale, user, token);
	(void)fclose(file);
	if (!error && scale->device_count == 0)
		error = scale_fail(scale->options.tokens_file, "no line of USER TOKEN");
	if (error)
		return error;
	scale->slots = calloc((size_t)scale->device_count * scale->options.each, sizeof(*scale->slots));
	scale->dirty = calloc(scale->device_count, sizeof(*scale->dirty));
	return scale->slots && scale->dirty ? 0 : scale_fail("devices", "out of memory");
}

static void write_hello(struct scale *scale, struct scale_device *device)
{
	char client_id[SCALE_USER_SIZE + 8], filter[SCALE_USER_SIZE + 24];
	size_t size = 0;

	(void)snprintf(client_id, sizeof(client_id), "%s/phone", device->user);
	const struct packet_connect connect = {
		.client_id = client_id, .keepalive_s = SCALE_KEEPALIVE_S, .token = device->token};
	stream_wrote(&device->stream,
		packet_connect(stream_room(&device->stream,
				       PACKET_OVERHEAD + sizeof(client_id) + strlen(device->token)),
			&connect));
	/* Twice over the same filters: first for their size, then to write them. */
	for (unsigned at = 0; at < 2 * scale->options.each; at++) {
		(void)snprintf(
			filter, sizeof(filter), "%s/apples/%u", device->user, at % scale->options.each);
		if (at < scale->options.each) {
			size += packet_filter_size(filter);
			continue;
		}
		if (at == scale->options.each)
			stream_wrote(&device->stream,
				packet_subscribe_begin(
					stream_room(&device->stream, PACKET_OVERHEAD), 1, size));
		stream_wrote(&device->stream,
			packet_filter(stream_room(&device->stream, packet_filter_size(filter)), filter, 1));
	}
	scale_mark(scale, device);
}

static int open_device(struct scale *scale, struct scale_device *device, SSL_CTX *tls)
{
	struct epoll_event event = {.data.ptr = device, .events = EPOLLIN};
	char source[16];

	/* One address has 28,000 ports, and those of connections that were closed are not free for a minute. */
	(void)snprintf(source, sizeof(source), "127.0.0.%u", 1 + device->index % SCALE_SOURCES);
	const struct stream_way way = {.host = scale->options.host,
		.port = scale->options.port,
		.tls = tls,
		/* All but the first ones resume its TLS session, as that saves half of the time. */
		.resume = device->index > 0 ? SSL_get0_session(scale->devices[0].stream.ssl) : NULL,
		.source = source,
		.buffer_size = BUFFER_SIZE,
		.once = true};
	if (stream_open_way(&device->stream, &way) != 0)
		return scale_fail("cannot connect", device->user);
	if (epoll_ctl(scale->epoll, EPOLL_CTL_ADD, device->stream.fd, &event) != 0)
		return scale_fail("epoll_ctl", strerror(errno));
	write_hello(scale, device);
	return 0;
}

static int open_devices(struct scale *scale, SSL_CTX *tls)
{
	const uint64_t began = nanoseconds(CLOCK_MONOTONIC);

	for (uint32_t at = 0; at < scale->device_count; at++) {
		const uint64_t due = began + (uint64_t)(at * 1e9 / scale->options.connect_rate);
		do {
			if (scale_turn(scale, due) != 0)
				return -1;
		} while (scale->now < due);
		if (open_device(scale, &scale->devices[at], tls) != 0)
			return -1;
	}
	const uint64_t limit = nanoseconds(CLOCK_MONOTONIC) + CONNECT_LIMIT_S * NANOSECONDS;
	for (uint32_t at = 0; at < scale->device_count;) {
		if (scale->devices[at].subscribed) {
			at++;
			continue;
		}
		if (scale_turn(scale, limit) != 0)
			return -1;
		if (scale->now >= limit)
			return scale_fail("the broker did not answer", scale->devices[at].user);
	}
	printf("{\"connections\":%u,\"subscriptions\":%u,\"connect_s\":%.3f}\n", scale->device_count,
		scale->device_count * scale->options.each,
		(double)(nanoseconds(CLOCK_MONOTONIC) - began) / 1e9);
	return fflush(stdout) == 0 ? 0 : scale_fail("standard output", strerror(errno));
}

/* ---- Steps ---- */

static int print_step(const struct scale *scale, const struct scale_step *step)
{
	const struct scale_result *const result = &scale->result;
	const struct histogram *const latency = &result->latency;

	printf("{\"rate\":%g,\"seconds\":%.3f,\"due\":%llu,\"answered\":%llu,\"per_second\":%.1f,"
	       "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"lost\":%llu,\"extra\":%llu,\"late\":%llu,"
	       "\"waiting\":%llu,\"load_cpu_s\":%.6f,\"machine_s\":%.2f,\"cpu_s\":",
		step->rate, result->seconds, (unsigned long long)result->due,
		(unsigned long long)result->answered, (double)result->answered / result->seconds,
		(double)histogram_quantile(latency, 0.50) / 1e6,
		(double)histogram_quantile(latency, 0.99) / 1e6, (double)latency->max / 1e6,
		(unsigned long long)result->lost, (unsigned long long)result->extra,
		(unsigned long long)result->late, (unsigned long long)result->waiting, result->load_cpu_s,
		scale->options.watches.machine_s);
	watch_print(&scale->options.watches);
	printf("}\n");
	return fflush(stdout) == 0 ? 0 : scale_fail("standard output", strerror(errno));
}

static int run_steps(struct scale *scale)
{
	char line[128];

	/* Nothing is under way between two steps. */
	while (fgets(line, sizeof(line), stdin)) {
		struct scale_step step;
		if (sscanf(line, "%lf %lf %lf", &step.rate, &step.warmup_s, &step.seconds) != 3 ||
			!(step.rate > 0 && step.rate <= 1e6) || !(step.warmup_s >= 0) || !(step.seconds > 0))
			return scale_fail("expected RATE WARMUP SECONDS", line);
		if (scale_run_step(scale, &step) != 0 || print_step(scale, &step) != 0)
			return -1;
	}
	return 0;
}

static void close_devices(struct scale *scale)
{
	stream_silent = true;
	for (uint32_t at = 0; at < scale->device_count; at++) {
		struct stream *const stream = &scale->devices[at].stream;
		stream_wrote(stream, packet_disconnect(stream_room(stream, PACKET_OVERHEAD)));
		(void)stream_flush(stream);
		stream_close(stream);
		free(scale->devices[at].token);
	}
	free(scale->devices);
	free(scale->slots);
	free(scale->dirty);
	free(scale->flights);
}

static int run(struct scale *scale)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (read_tokens(scale) != 0)
		return -1;
	SSL_CTX *const tls = stream_tls(scale->options.ca_file, READ_AHEAD);
	if (!tls)
		return -1;
	scale->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (scale->epoll < 0)
		return scale_fail("epoll_create1", strerror(errno));
	if (open_devices(scale, tls) != 0 || run_steps(scale) != 0)
		return -1; /* the process ends with its memory */
	close_devices(scale);
	SSL_CTX_free(tls);
	return 0;
}

int main(int argc, char **argv)
{
	static struct scale scale = {
		.options = {.host = "127.0.0.1", .each = 5, .connect_rate = 2000, .drain_s = 10}};

	for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		if (option == 'H')
			return fputs(usage, stdout) < 0;
		if (option == '?')
			return 2;
		if (!take_option(option, optarg, &scale.options))
			return bad("bad value", optarg);
	}
	if (optind < argc)
		return bad("unexpected argument", argv[optind]);
	if (!scale.options.port || !scale.options.ca_file || !scale.options.tokens_file)
		return bad("needed", "--port, --ca and --tokens");
	/* A broker that goes away is an error to tell, also where OpenSSL writes to it. */
	(void)signal(SIGPIPE, SIG_IGN);
	return run(&scale) == 0 ? 0 : 1;
}
