/*
 * load - many MQTT devices over a few connections: sends commands at QoS 1, receives their events at QoS 1,
 * and measures.
 *
 * Happy path: connects, subscribes to the events of its devices, keeps so many commands of each device
 * outstanding (or sends on a fixed schedule with --rate), and prints one line of JSON: commands a second,
 * latency from command to event, and the CPU seconds of the processes named by --watch and its own. A command
 * is outstanding until its event has come. With --rate a latency counts from the time on the schedule, so a
 * stall is not hidden by sending less. Failure: a message on standard error and exit code 1 for a broker that
 * refuses or goes away, a rejected command, no event for LOAD_STALL_S; 2 for bad arguments.
 */
#include "load.h"
#include "number.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAP_DEFAULT = 65536 };

static const struct load_mode modes[] = {
	{"get_apples", "got_apples", "{}", LOAD_MATCH_ORDER},
	{"get_apples_worker", "got_apples", "{}", LOAD_MATCH_ORDER},
	{"ping", "pong", "{\"n\":1}", LOAD_MATCH_ORDER},
	{"sleep5", "slept", "{}", LOAD_MATCH_ORDER},
	{"nap", "napped", "{}", LOAD_MATCH_ORDER},
	{"request_contact", "contact_requested", NULL, LOAD_MATCH_CONTACT},
	{"get_contact_list", "contact_list", "{\"limit\":100}", LOAD_MATCH_ORDER},
	/* The broker alone: the load generator is subscribed to what it sends. */
	{"loopback", "loopback", "{}", LOAD_MATCH_ORDER},
};

static const char usage[] =
	"usage: bench-load --port N --mode MODE [options]\n"
	"  --mode MODE          get_apples, get_apples_worker, ping, sleep5, nap, request_contact, "
	"get_contact_list,\n"
	"                       loopback (the broker alone)\n"
	"  --host HOST          the broker (127.0.0.1)\n"
	"  --ca FILE            connect with TLS and trust this certificate authority\n"
	"  --devices N          (200)      --outstanding N  commands per device that wait for their event "
	"(4)\n"
	"  --connections N      that carry all devices (4)\n"
	"  --rate R             commands a second on a fixed schedule; without it as fast as events come\n"
	"  --seconds S          measured (5)      --warmup S  before that (1)\n"
	"  --commands N         stop after so many measured commands, --seconds at most\n"
	"  --nap US             pause before each look for input, so that a system call takes many packets "
	"(500; none with\n"
	"                       --rate)\n"
	"  --prefix X           first letter of the devices' user ids (b)\n"
	"  --run TEXT           part of the contacts' user ids in request_contact (process id and time)\n"
	"  --watch NAME=PID[+PID..]  report the CPU seconds of these processes; can be repeated\n"
	"The environment's MQTT_TOKEN, where it is set, is a handler's token, with which the broker lets one connection act for all.\n";

static int bad(const char *what, const char *value)
{
	(void)fprintf(stderr, "load: %s: %s\n%s", what, value, usage);
	return 2;
}

static const struct load_mode *find_mode(const char *name)
{
	for (size_t at = 0; at < sizeof(modes) / sizeof(modes[0]); at++)
		if (strcmp(modes[at].name, name) == 0)
			return &modes[at];
	return NULL;
}

static const struct option long_options[] = {
	{"mode", required_argument, NULL, 'm'},
	{"host", required_argument, NULL, 'h'},
	{"port", required_argument, NULL, 'p'},
	{"ca", required_argument, NULL, 'a'},
	{"devices", required_argument, NULL, 'd'},
	{"outstanding", required_argument, NULL, 'o'},
	{"connections", required_argument, NULL, 'c'},
	{"rate", required_argument, NULL, 'r'},
	{"seconds", required_argument, NULL, 's'},
	{"warmup", required_argument, NULL, 'w'},
	{"commands", required_argument, NULL, 'n'},
	{"nap", required_argument, NULL, 'x'},
	{"run", required_argument, NULL, 'u'},
	{"prefix", required_argument, NULL, 'f'},
	{"watch", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'e'},
	{NULL, 0, NULL, 0},
};

/* One option whose value is a number, or one of the texts; false where the value is bad. */
static bool take_option(int option, const char *value, struct load_options *options)
{
	double number = 0;

	switch (option) {
	case 'm': return (options->mode = find_mode(value));
	case 'h': options->host = value; return true;
	case 'a': options->ca_file = value; return true;
	case 'u':
		options->run = value;
		return strlen(value) <= 24 &&
		       strspn(value, "0123456789abcdefghijklmnopqrstuvwxyz") == strlen(value);
	case 't': return watch_parse(value, &options->watches);
	case 'f': options->prefix = *value; return *value >= 'a' && *value <= 'z' && value[1] == '\0';
	case 'r': return parse_number(value, 0.1, 1e6, &options->rate);
	case 's': return parse_number(value, 0.1, 3600, &options->seconds);
	case 'w': return parse_number(value, 0, 3600, &options->warmup_s);
	default: break;
	}
	if (!parse_number(value, 1, option == 'n' ? 1e9 : 65535, &number))
		return false;
	switch (option) {
	case 'p': options->port = (unsigned)number; return true;
	case 'x': options->nap_us = (unsigned)number; return true;
	case 'd': options->devices = (unsigned)number; return true;
	case 'o': options->outstanding = (unsigned)number; return true;
	case 'c': options->connections = (unsigned)number; return true;
	case 'n': options->commands = (uint64_t)number; return true;
	default: return false;
	}
}

static void print_result(const struct load_options *options, const struct load_result *result)
{
	const struct histogram *const latency = &result->latency;

	printf("{\"mode\":\"%s\",\"tls\":%s,\"rate\":%g,\"seconds\":%.3f,\"commands\":%llu,\"per_second\":%."
	       "1f,"
	       "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"extra\":%llu,\"lost\":%llu,\"late\":%llu,"
	       "\"load_cpu_s\":%.6f,\"machine_s\":%.2f,\"cpu_s\":",
		options->mode->name, options->ca_file ? "true" : "false", options->rate, result->seconds,
		(unsigned long long)result->commands, (double)result->commands / result->seconds,
		(double)histogram_quantile(latency, 0.50) / 1e6,
		(double)histogram_quantile(latency, 0.99) / 1e6, (double)latency->max / 1e6,
		(unsigned long long)result->extra, (unsigned long long)result->lost,
		(unsigned long long)result->late, result->load_cpu_s, options->watches.machine_s);
	watch_print(&options->watches);
	printf("}\n");
}

int main(int argc, char **argv)
{
	static struct load_result result;
	char run[32];
	struct load_options options = {.host = "127.0.0.1",
		.devices = 200,
		.outstanding = 4,
		.connections = 4,
		.warmup_s = 1,
		.seconds = 5,
		.nap_us = NAP_DEFAULT,
		.run = run,
		.prefix = 'b',
		.token = getenv("MQTT_TOKEN")};
	int option, which;

	(void)snprintf(run, sizeof(run), "%ld", (long)getpid());
	while ((option = getopt_long(argc, argv, "", long_options, &which)) != -1) {
		if (option == 'e')
			return fputs(usage, stdout) < 0;
		if (option == '?')
			return 2;
		if (!take_option(option, optarg, &options))
			return bad("bad value", optarg);
	}
	if (optind < argc)
		return bad("unexpected argument", argv[optind]);
	if (options.nap_us == NAP_DEFAULT)
		options.nap_us = options.rate > 0 ? 0 : 500;
	if (!options.mode || options.port == 0)
		return bad("needed", "--mode and --port");
	if (options.connections > options.devices)
		return bad("too many", "more connections than devices");
	/* A broker that goes away is an error to tell, also where OpenSSL writes to it. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (load_run(&options, &result) != 0)
		return 1;
	print_result(&options, &result);
	if (result.lost == 0)
		return 0;
	(void)fprintf(stderr, "load: %llu commands got no event\n", (unsigned long long)result.lost);
	return 1;
}
