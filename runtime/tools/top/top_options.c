/* top_options.c - see top_options.h. */
#include "top_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "cashewd top"

enum { INTERVAL_MIN_MS = 100, INTERVAL_MAX_MS = 3600 * 1000 };

enum { OPTION_ADDR = 256, OPTION_INTERVAL, OPTION_ONCE, OPTION_JSON, OPTION_ENV_FILE, OPTION_HELP };

void top_help(FILE *out)
{
	fputs("Usage: cashewd top [OPTION]...\n"
	      "\n"
	      "Shows what a running cashewd does: its host, store and connections; the lanes\n"
	      "and what they hold; for each handler how often and for how long it runs, and\n"
	      "what fails; and the commands that have been running for the longest. q or Ctrl-C\n"
	      "leaves. Where standard output is no terminal: once, as with --once.\n"
	      "\n"
	      "  --addr HOST:PORT    ask there; default: METRICS_ADDR. It answers only its own\n"
	      "                      machine, over the loopback (or an SSH tunnel)\n"
	      "  --interval SECONDS  time between two looks, 0.1 to 3600 (default 1)\n"
	      "  --once              show it once, with the figures since the start, and exit\n"
	      "  --json              the same as JSON, as GET /status has it\n"
	      "  --env-file FILE     read METRICS_ADDR from FILE instead of .env\n"
	      "  --help\n"
	      "\n"
	      "Rates and times (p50: the median; p99: what one in a hundred exceeds) are those\n"
	      "of the last interval; times of all time where nothing ran in it. NO_COLOR in the\n"
	      "environment: no colours.\n"
	      "\n"
	      "Exit codes: 0 left as told, 64 wrong option, 69 cashewd does not answer, 70\n"
	      "internal failure, 74 output failed, 78 wrong settings.\n",
		out);
}

static bool read_interval(const char *text, unsigned *ret_ms)
{
	char *end;
	const size_t size = strlen(text);
	/* Neither a sign, nor blanks, nor "inf". */
	if (size == 0 || size > 10 || text[strspn(text, "0123456789.")] != '\0')
		return false;
	const double seconds = strtod(text, &end);
	if (*end != '\0' || !(seconds * 1000 >= INTERVAL_MIN_MS) || !(seconds * 1000 <= INTERVAL_MAX_MS))
		return false;
	*ret_ms = (unsigned)(seconds * 1000 + 0.5);
	return true;
}

static bool is_port(const char *text)
{
	return text[0] != '\0' && strlen(text) <= 5 && text[strspn(text, "0123456789")] == '\0' &&
	       strtoul(text, NULL, 10) >= 1 && strtoul(text, NULL, 10) <= 65535;
}

bool top_address(const char *text, char ret[static TOP_ADDRESS_SIZE])
{
	static const char host_characters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *colon = strrchr(text, ':');
	if (!colon || !is_port(colon + 1) || colon - text > 255)
		return false;
	const size_t size = (size_t)(colon - text);
	char host[256];
	snprintf(host, sizeof(host), "%.*s", (int)size, text);
	const bool v6 = size > 2 && host[0] == '[' && host[size - 1] == ']';
	if (v6 ? host[1 + strspn(host + 1, "0123456789abcdefABCDEF:.")] != ']' ||
				strchr(host, ']') != host + size - 1
	       : host[strspn(host, host_characters)] != '\0')
		return false;
	const char *shown = host;
	if (host[0] == '\0' || strcmp(host, "0.0.0.0") == 0)
		shown = "127.0.0.1";
	else if (strcmp(host, "[::]") == 0)
		shown = "[::1]";
	snprintf(ret, TOP_ADDRESS_SIZE, "%s:%s", shown, colon + 1);
	return true;
}

static int read_option(int option, const char *value, FILE *problems, struct top_options *options)
{
	char address[TOP_ADDRESS_SIZE];
	switch (option) {
	case OPTION_ADDR:
		if (!top_address(value, address))
			return usage_wrong(problems, COMMAND,
				"--addr %s: expected HOST:PORT, like 127.0.0.1:9883", value);
		options->address = value;
		break;
	case OPTION_INTERVAL:
		if (!read_interval(value, &options->interval_ms))
			return usage_wrong(
				problems, COMMAND, "--interval %s: expected seconds from 0.1 to 3600", value);
		break;
	case OPTION_ONCE: options->once = true; break;
	case OPTION_JSON: options->json = true; break;
	case OPTION_ENV_FILE:
		options->env_file = value;
		options->env_file_given = true;
		break;
	case OPTION_HELP: options->help = true; break;
	default: abort(); /* not in the table */
	}
	return 0;
}

int top_options_read(int count, char **values, FILE *problems, struct top_options *ret)
{
	static const struct option long_options[] = {
		{"addr", required_argument, NULL, OPTION_ADDR},
		{"interval", required_argument, NULL, OPTION_INTERVAL},
		{"once", no_argument, NULL, OPTION_ONCE},
		{"json", no_argument, NULL, OPTION_JSON},
		{"env-file", required_argument, NULL, OPTION_ENV_FILE},
		{"help", no_argument, NULL, OPTION_HELP},
		{NULL},
	};
	struct top_options options = {.env_file = ".env", .interval_ms = 1000};
	optind = 0; /* GNU: from the start, also the second time */
	opterr = 0;
	for (int option;
		!options.help && (option = getopt_long(count, values, ":h", long_options, NULL)) != -1;) {
		if (option == '?')
			return usage_wrong(problems, COMMAND, "unknown option %s", values[optind - 1]);
		if (option == ':')
			return usage_wrong(problems, COMMAND, "%s needs a value", values[optind - 1]);
		const int error =
			read_option(option == 'h' ? OPTION_HELP : option, optarg, problems, &options);
		if (error != 0)
			return error;
	}
	if (!options.help && optind < count)
		return usage_wrong(problems, COMMAND, "unexpected argument '%s'", values[optind]);
	*ret = options;
	return 0;
}
