/*
 * cashew_loggly.c - the program cashew-loggly: stands in for Loggly where there is no account, and writes
 * down what it gets.
 *
 * Happy path: listen, write a file that says where, append every event to a file or standard output, until
 * SIGTERM or SIGINT; exit 0. Failure modes: wrong options (64), no certificate, port or file (1), told in
 * words.
 */
#include "bulk_server.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_WRONG_USAGE = 64, PORT_MAX = 65535 };

struct arguments {
	const char *certificate, *key, *events, *ready;
	unsigned port;
};

static void print_help(FILE *to)
{
	fputs("Usage: cashew-loggly --certificate FILE --key FILE [OPTION]...\n"
	      "Takes the log of cashewd on https://127.0.0.1:PORT as Loggly does, and writes its events down.\n"
	      "\n"
	      "  --certificate FILE, --key FILE  in PEM; examples/broker/certificates makes some\n"
	      "  --port N       (default: any free one)\n"
	      "  --events FILE  append the events to FILE, one a line (default: standard output)\n"
	      "  --ready FILE   write LOGGLY_URL=... into FILE once it listens\n"
	      "\n"
	      "It ends after SIGTERM or SIGINT.\n",
		to);
}

static int parse(int count, char **values, struct arguments *ret)
{
	enum { CERTIFICATE = 256, KEY, PORT, EVENTS, READY };
	static const struct option options[] = {
		{"certificate", required_argument, NULL, CERTIFICATE},
		{"key", required_argument, NULL, KEY},
		{"port", required_argument, NULL, PORT},
		{"events", required_argument, NULL, EVENTS},
		{"ready", required_argument, NULL, READY},
		{"help", no_argument, NULL, 'h'},
		{NULL},
	};
	for (int option; (option = getopt_long(count, values, "h", options, NULL)) != -1;) {
		char *end;
		switch (option) {
		case CERTIFICATE: ret->certificate = optarg; break;
		case KEY: ret->key = optarg; break;
		case EVENTS: ret->events = optarg; break;
		case READY: ret->ready = optarg; break;
		case PORT:
			ret->port = (unsigned)strtoul(optarg, &end, 10);
			if (*optarg == '\0' || *end != '\0' || ret->port > PORT_MAX) {
				fprintf(stderr, "cashew-loggly: --port %s: expected 0 to 65535\n", optarg);
				return EXIT_WRONG_USAGE;
			}
			break;
		case 'h': print_help(stdout); exit(0);
		default: return EXIT_WRONG_USAGE;
		}
	}
	if (optind < count || !ret->certificate || !ret->key) {
		print_help(stderr);
		return EXIT_WRONG_USAGE;
	}
	return 0;
}

/* Whole lines at once, so that who follows the file sees no halves. */
static void write_down(void *context, const char *lines, size_t size)
{
	const int *fd = context;
	for (size_t at = 0; at < size;) {
		const ssize_t written = write(*fd, lines + at, size - at);
		if (written <= 0) {
			fprintf(stderr, "cashew-loggly: the events cannot be written: %s\n", strerror(errno));
			return;
		}
		at += (size_t)written;
	}
}

/* Whoever waits for the file finds it whole. */
static int tell_ready(const char *path, unsigned port)
{
	char fresh[PATH_MAX];
	if (!path)
		return 0;
	if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	FILE *file = fopen(fresh, "we");
	if (!file || fprintf(file, "LOGGLY_URL=https://127.0.0.1:%u\n", port) < 0 || fclose(file) != 0 ||
		rename(fresh, path) != 0)
		return -errno;
	return 0;
}

int main(int count, char **values)
{
	struct arguments arguments = {.port = 0};
	int code = parse(count, values, &arguments);
	if (code != 0)
		return code;
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	int fd = arguments.events ? open(arguments.events, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)
				  : STDOUT_FILENO;
	if (fd < 0) {
		fprintf(stderr, "cashew-loggly: %s: %s\n", arguments.events, strerror(errno));
		return 1;
	}
	struct bulk_server *server;
	const int error = bulk_server_start(&(struct bulk_server_options){.port = arguments.port,
						    .certificate = arguments.certificate,
						    .key = arguments.key,
						    .take = write_down,
						    .context = &fd},
		&server);
	if (error != 0) {
		fprintf(stderr, "cashew-loggly: port %u, %s, %s: %s\n", arguments.port, arguments.certificate,
			arguments.key, error == -EINVAL ? "not a certificate and its key" : strerror(-error));
		return 1;
	}
	code = tell_ready(arguments.ready, bulk_server_port(server)) == 0 ? 0 : 1;
	if (code != 0)
		fprintf(stderr, "cashew-loggly: %s cannot be written\n", arguments.ready);
	int signal_number;
	if (code == 0)
		(void)sigwait(&ends, &signal_number);
	struct bulk_counts counts;
	bulk_server_counts(server, &counts);
	bulk_server_stop(server);
	fprintf(stderr, "%llu events in %u requests over %u connections\n", (unsigned long long)counts.events,
		counts.taken, counts.connections);
	return code;
}
