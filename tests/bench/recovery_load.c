/*
 * recovery_load - phones that send on a schedule, whatever happens to the broker, and write down what became of each command.
 *
 * Happy path: connects a device per token, sends commands at QoS 1 on the schedule (or keeps so many outstanding), and writes into
 * --out, as they happen, lines of
 *	B started				CLOCK_MONOTONIC in nanoseconds, as all times here; the schedule begins
 *	S user number command due sent		a publish: its number, which command of the user it is, from 1
 *	A user command due answered		an event
 *	X user event				an event that tells of a refused or dead command
 *	E commands answered repeated		the end
 * A connection that is lost is opened again, for ever. Failure: a message on standard error and exit code 1 for what cannot be; 2 for
 * bad arguments. A command without an event is no failure here: who reads the file judges it.
 */
#include "recovery_load.h"
#include "number.h"
#include "packet.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { READ_AHEAD = 16 * 1024 };

static const char usage[] =
	"usage: bench-recovery-load --port N --ca FILE --tokens FILE --out FILE (--schedule S | --outstanding N) [options]\n"
	"  --tokens FILE        lines of USER TOKEN: a device each\n"
	"  --schedule S         10x700,60x1400: so many seconds, so many commands a second, one after the other; a latency counts from\n"
	"                       the time that a command was due\n"
	"  --outstanding N      or so many of each device outstanding, for --seconds S (20)\n"
	"  --command NAME       (append)     --event NAME  that answers it, with the same \"n\" (appended)\n"
	"  --list NAME          \"list\" of the payload (r)\n"
	"  --repeat S           a command without an event is repeated after so long, then after twice that .. (10)\n"
	"  --drain S            the last events are waited for so long (60)\n"
	"  --host HOST          the broker (localhost)\n";

static int bad(const char *what, const char *value)
{
	(void)fprintf(stderr, "recovery-load: %s: %s\n%s", what, value, usage);
	return 2;
}

/* ---- Options ---- */

static bool parse_schedule(const char *text, struct recovery_options *options)
{
	while (options->segment_count < RECOVERY_SEGMENTS) {
		struct recovery_segment *const segment = &options->segments[options->segment_count++];
		int used = 0;
		if (sscanf(text, "%lfx%lf%n", &segment->seconds, &segment->rate, &used) != 2 ||
			!(segment->seconds > 0) || !(segment->rate > 0) || segment->seconds > 3600 ||
			segment->rate > 1e6)
			return false;
		text += used;
		if (*text == '\0')
			return true;
		if (*text++ != ',')
			return false;
	}
	return false;
}

static const struct option long_options[] = {{"host", required_argument, NULL, 'h'},
	{"port", required_argument, NULL, 'p'}, {"ca", required_argument, NULL, 'a'},
	{"tokens", required_argument, NULL, 't'}, {"out", required_argument, NULL, 'f'},
	{"schedule", required_argument, NULL, 's'}, {"outstanding", required_argument, NULL, 'o'},
	{"seconds", required_argument, NULL, 'e'}, {"command", required_argument, NULL, 'c'},
	{"event", required_argument, NULL, 'v'}, {"list", required_argument, NULL, 'l'},
	{"repeat", required_argument, NULL, 'r'}, {"drain", required_argument, NULL, 'd'},
	{"help", no_argument, NULL, 'H'}, {0}};

static bool take_option(int option, const char *value, struct recovery_options *options)
{
	double number = 0;

	switch (option) {
	case 'h': options->host = value; return true;
	case 'a': options->ca_file = value; return true;
	case 't': options->tokens_file = value; return true;
	case 'f': options->out_file = value; return true;
	case 'c': options->command = value; return strlen(value) <= 64;
	case 'v': options->event = value; return strlen(value) <= 64;
	case 'l': options->list = value; return strlen(value) <= 64;
	case 's': return parse_schedule(value, options);
	case 'e': return parse_number(value, 0.1, 3600, &options->seconds);
	case 'r': return parse_number(value, 0.1, 3600, &options->repeat_s);
	case 'd': return parse_number(value, 0, 3600, &options->drain_s);
	case 'p':
		if (!parse_number(value, 1, 65535, &number))
			return false;
		options->port = (unsigned)number;
		return true;
	case 'o':
		if (!parse_number(value, 1, 10000, &number))
			return false;
		options->outstanding = (unsigned)number;
		return true;
	default: return false;
	}
}

/* ---- Devices ---- */

static int fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "recovery-load: %s: %s\n", what, why);
	return -1;
}

static int add_device(struct recovery *recovery, const char *user, const char *token)
{
	struct recovery_device *const devices =
		reallocarray(recovery->devices, recovery->device_count + 1, sizeof(*recovery->devices));

	if (!devices)
		return fail("devices", "out of memory");
	recovery->devices = devices;
	struct recovery_device *const device = &devices[recovery->device_count++];
	*device = (struct recovery_device){
		.stream.fd = -1, .token = strdup(token), .number_of_id = calloc(65536, sizeof(uint32_t))};
	(void)snprintf(device->user, sizeof(device->user), "%s", user);
	return device->token && device->number_of_id ? 0 : fail("devices", "out of memory");
}

static int read_tokens(struct recovery *recovery)
{
	FILE *const file = fopen(recovery->options->tokens_file, "re");
	char user[RECOVERY_USER_SIZE], token[4096];
	int error = 0;

	if (!file)
		return fail(recovery->options->tokens_file, strerror(errno));
	while (!error && fscanf(file, "%64s %4095s", user, token) == 2)
		error = add_device(recovery, user, token);
	(void)fclose(file);
	return error || recovery->device_count > 0
		       ? error
		       : fail(recovery->options->tokens_file, "no line of USER TOKEN");
}

int recovery_connect(struct recovery *recovery, struct recovery_device *device)
{
	const struct recovery_options *const options = recovery->options;
	struct epoll_event event = {.data.ptr = device, .events = EPOLLIN};
	char client_id[RECOVERY_USER_SIZE + 16], filter[RECOVERY_USER_SIZE + 8];

	if (stream_open(&device->stream, options->host, options->port, recovery->tls) != 0) {
		stream_close(&device->stream);
		return -1;
	}
	(void)snprintf(client_id, sizeof(client_id), "%s/phone", device->user);
	(void)snprintf(filter, sizeof(filter), "%s/#", device->user);
	const struct packet_connect connect = {.client_id = client_id,
		.keepalive_s = RECOVERY_KEEPALIVE_S,
		.token = device->token,
		.session_expiry_s = RECOVERY_SESSION_S};
	unsigned char *out =
		stream_room(&device->stream, PACKET_OVERHEAD + sizeof(client_id) + strlen(device->token));
	stream_wrote(&device->stream, packet_connect(out, &connect));
	out = stream_room(&device->stream, PACKET_OVERHEAD + packet_filter_size(filter));
	stream_wrote(&device->stream, packet_subscribe_begin(out, 65535, packet_filter_size(filter)));
	out = stream_room(&device->stream, packet_filter_size(filter));
	stream_wrote(&device->stream,
		packet_filter(out, filter, 1 | 4)); /* QoS 1, No Local: not the device's own commands */
	if (epoll_ctl(recovery->epoll, EPOLL_CTL_ADD, device->stream.fd, &event) != 0) {
		stream_close(&device->stream);
		return -1;
	}
	device->connected = true;
	device->watching_output = false;
	device->receive_maximum = 0; /* CONNACK says */
	return 0;
}

static int await_all(struct recovery *recovery)
{
	const uint64_t limit = recovery_clock() + 20 * RECOVERY_SECOND;

	for (unsigned at = 0; at < recovery->device_count; at++)
		if (recovery_connect(recovery, &recovery->devices[at]) != 0)
			return fail("cannot connect", recovery->devices[at].user);
	for (unsigned at = 0; at < recovery->device_count;) {
		if (recovery->devices[at].ready) {
			at++;
			continue;
		}
		if (recovery_turn(recovery, limit) != 0)
			return -1;
		if (recovery->now >= limit || !recovery->devices[at].connected)
			return fail("the broker did not accept", recovery->devices[at].user);
	}
	return 0;
}

static int run(struct recovery *recovery)
{
	int error = read_tokens(recovery);

	if (error)
		return error;
	recovery->tls = stream_tls(recovery->options->ca_file, READ_AHEAD);
	if (!recovery->tls)
		return -1;
	recovery->epoll = epoll_create1(EPOLL_CLOEXEC);
	recovery->out = fopen(recovery->options->out_file, "we");
	if (recovery->epoll < 0 || !recovery->out)
		return fail(recovery->options->out_file, strerror(errno));
	(void)setvbuf(recovery->out, NULL, _IOFBF, 1 << 16);
	error = await_all(recovery);
	if (error)
		return error;
	stream_silent = true;
	error = recovery_traffic(recovery);
	if (fclose(recovery->out) != 0)
		return fail(recovery->options->out_file, strerror(errno));
	return error;
}

int main(int argc, char **argv)
{
	struct recovery_options options = {.host = "localhost",
		.command = "append",
		.event = "appended",
		.list = "r",
		.seconds = 20,
		.drain_s = 60,
		.repeat_s = 10};
	struct recovery recovery = {.options = &options};

	for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		if (option == 'H')
			return fputs(usage, stdout) < 0;
		if (option == '?')
			return 2;
		if (!take_option(option, optarg, &options))
			return bad("bad value", optarg);
	}
	if (!options.port || !options.ca_file || !options.tokens_file || !options.out_file)
		return bad("needed", "--port, --ca, --tokens and --out");
	if ((options.segment_count > 0) == (options.outstanding > 0))
		return bad("needed", "one of --schedule and --outstanding");
	(void)signal(SIGPIPE, SIG_IGN);
	/* The process ends with its memory: nothing is freed. */
	return run(&recovery) == 0 ? 0 : 1;
}
