/*
 * cashewd_healthcheck.c - `cashewd healthcheck`: asks the cashewd of the same settings for /healthz, or with --ready for /readyz.
 *
 * Happy path: METRICS_ADDR is read from .env and the environment, the page comes with 200, its text is printed, exit 0. Failure modes: whatever is
 * not so is said in words on standard error, exit 1; engines take any other code than 0 and 1 amiss. Only a command line that is wrong is 64.
 */
#include "cashewd_healthcheck.h"

#include "exit_codes.h"
#include "health_ask.h"
#include "http_address.h"
#include "output.h"
#include "settings.h"
#include "settings_file.h"

#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
	bool help, ready;
	const char *env_file;
	bool env_file_given;
};

static void print_help(void)
{
	puts("Usage: cashewd healthcheck [OPTION]...\n"
	     "\n"
	     "Asks the cashewd that has the same settings whether it is well, at METRICS_ADDR:\n"
	     "for a container's HEALTHCHECK, or a probe that can only start a program.\n"
	     "\n"
	     "  --ready          whether it takes commands (/readyz), and not only whether the\n"
	     "                   supervisor lives (/healthz)\n"
	     "  --env-file FILE  read METRICS_ADDR from FILE, which must exist, not from .env\n"
	     "  --help\n"
	     "\n"
	     "What restarts a process asks without --ready: a broker or a database that is\n"
	     "away makes cashewd not ready, and a restart brings neither back. An answer is\n"
	     "waited for three seconds.\n"
	     "\n"
	     "Exit codes: 0 it is well, 1 it is not, or cannot be asked; 64 wrong option.");
}

static int read_options(int count, char **values, struct options *ret)
{
	enum { OPTION_READY = 256, OPTION_ENV_FILE };
	static const struct option options[] = {
		{"ready", no_argument, NULL, OPTION_READY},
		{"env-file", required_argument, NULL, OPTION_ENV_FILE},
		{"help", no_argument, NULL, 'h'},
		{NULL},
	};
	struct options found = {.env_file = ".env"};
	for (int option; (option = getopt_long(count, values, "h", options, NULL)) != -1;) {
		switch (option) {
		case 'h': found.help = true; break;
		case OPTION_READY: found.ready = true; break;
		case OPTION_ENV_FILE:
			found.env_file = optarg;
			found.env_file_given = true;
			break;
		default:
			fputs("cashewd healthcheck: see cashewd healthcheck --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < count) {
		fprintf(stderr,
			"cashewd healthcheck: unexpected argument '%s'; see cashewd healthcheck --help\n",
			values[optind]);
		return EXIT_USAGE;
	}
	*ret = found;
	return 0;
}

static int read_address(const struct options *options, struct http_address *ret)
{
	static const char *const names[] = {"METRICS_ADDR", NULL};
	struct settings settings;
	/* What is wrong with other settings a probe does not say again every few seconds. */
	FILE *nowhere = fopen("/dev/null", "we");
	if (!nowhere || (options->env_file_given && !settings_file_exists(options->env_file, stderr))) {
		if (nowhere)
			fclose(nowhere);
		return EXIT_FAILED;
	}
	const int error = settings_read_some(options->env_file, environ, names, stderr, nowhere, &settings);
	fclose(nowhere);
	if (error != 0) {
		fputs("cashewd healthcheck: METRICS_ADDR cannot be read\n", stderr);
		return EXIT_FAILED;
	}
	const char *wrong = NULL;
	if (http_address_read(settings.metrics_addr, ret) != 0)
		wrong = "expected an address of this machine and a port, like 127.0.0.1:9883";
	else if (ret->off)
		wrong = "the pages are switched off, so that nothing can be asked: set it to an address and a port";
	else if (((const struct sockaddr_in *)&ret->socket)->sin_port == 0)
		wrong = "that means any port that is free, and nobody knows which: set it to a fixed one";
	if (wrong)
		fprintf(stderr, "cashewd healthcheck: METRICS_ADDR=%s: %s\n", settings.metrics_addr, wrong);
	settings_free(&settings);
	return wrong ? EXIT_FAILED : EXIT_OK;
}

static int ask(const struct options *options)
{
	char text[HEALTH_TEXT_SIZE];
	struct http_address address;
	const int error = read_address(options, &address);
	if (error != 0)
		return error;
	if (health_ask(&address, options->ready ? "/readyz" : "/healthz", text)) {
		puts(text);
		return EXIT_OK;
	}
	fprintf(stderr, "cashewd healthcheck: %s\n", text);
	return EXIT_FAILED;
}

int cashewd_healthcheck(int count, char **values)
{
	struct options options;
	int code = read_options(count, values, &options);
	if (code != 0)
		return code;
	if (options.help)
		print_help();
	else
		code = ask(&options);
	return output_flush("cashewd", code);
}
