/* schedule_options.c - see schedule_options.h. */
#include "schedule_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "cashewd schedules"

enum { WAIT_S = 60, WAIT_MAX_S = 86400 };

void schedule_help(FILE *out)
{
	fputs("Usage: cashewd schedules list [--json]\n"
	      "       cashewd schedules run NAME [--wait S]\n"
	      "\n"
	      "Schedules are handlers that run by the clock. list shows when each has run last\n"
	      "and when it is due next, in UTC, by the database's clock. run has the active\n"
	      "host run one now: what is due of it, or, where nothing is, its last run again,\n"
	      "from the same time to the same time. It says what that came to.\n"
	      "\n"
	      "  --json           as JSON\n"
	      "  --wait S         how long to wait for the run's end (default 60); a run that\n"
	      "                   has begun by then goes on\n"
	      "  --env-file FILE  read settings from FILE instead of .env\n"
	      "  --help\n"
	      "\n"
	      "Of the settings it needs MONGO_DB_URL and MONGO_DB_NAME.\n"
	      "\n"
	      "Exit codes: 0 done, 1 the run was given up, 64 wrong option or name, 69 no host\n"
	      "or no database, 70 internal, 74 output, 75 the run has not ended, 78 settings.\n",
		out);
}

static int read_wait(const char *text, FILE *problems, struct schedule_options *options)
{
	const size_t digits = strspn(text, "0123456789");
	const unsigned long wait_s =
		digits > 0 && digits < 7 && text[digits] == '\0' ? strtoul(text, NULL, 10) : 0;
	if (wait_s == 0 || wait_s > WAIT_MAX_S)
		return usage_wrong(
			problems, COMMAND, "--wait %s: expected 1 to %d seconds", text, WAIT_MAX_S);
	options->wait_s = (unsigned)wait_s;
	return 0;
}

static int read_action(int count, char **values, FILE *problems, struct schedule_options *options)
{
	if (options->action == SCHEDULE_HELP)
		return 0;
	if (count == 0)
		return usage_wrong(problems, COMMAND, "expected list or run NAME");
	if (strcmp(values[0], "list") == 0) {
		options->action = SCHEDULE_LIST;
		return count > 1 ? usage_wrong(problems, COMMAND, "list: unexpected argument '%s'", values[1])
				 : 0;
	}
	if (strcmp(values[0], "help") == 0) {
		options->action = SCHEDULE_HELP;
		return 0;
	}
	if (strcmp(values[0], "run") != 0)
		return usage_wrong(problems, COMMAND, "'%s': expected list or run NAME", values[0]);
	if (count != 2)
		return usage_wrong(
			problems, COMMAND, "run: expected the name of one schedule, as list shows it");
	options->action = SCHEDULE_RUN;
	options->name = values[1];
	return 0;
}

int schedule_options_read(int count, char **values, FILE *problems, struct schedule_options *ret)
{
	enum { ENV_FILE = 256, JSON, WAIT, HELP };
	static const struct option long_options[] = {
		{"env-file", required_argument, NULL, ENV_FILE},
		{"json", no_argument, NULL, JSON},
		{"wait", required_argument, NULL, WAIT},
		{"help", no_argument, NULL, HELP},
		{NULL},
	};
	struct schedule_options options = {.env_file = ".env", .wait_s = WAIT_S};
	bool waits = false;
	int error = 0;
	optind = 0;
	opterr = 0;
	for (int option;
		error == 0 && (option = getopt_long(count, values, ":h", long_options, NULL)) != -1;) {
		switch (option) {
		case ENV_FILE:
			options.env_file = optarg;
			options.env_file_given = true;
			break;
		case JSON: options.json = true; break;
		case WAIT:
			waits = true;
			error = read_wait(optarg, problems, &options);
			break;
		case 'h':
		case HELP: options.action = SCHEDULE_HELP; break;
		case ':':
			return usage_wrong(problems, COMMAND, "%s: its value is missing", values[optind - 1]);
		default: return usage_wrong(problems, COMMAND, "%s: no such option", values[optind - 1]);
		}
	}
	if (error == 0)
		error = read_action(count - optind, values + optind, problems, &options);
	if (error == 0 && options.action == SCHEDULE_LIST && waits)
		error = usage_wrong(problems, COMMAND, "list: --wait is for run");
	if (error == 0 && options.action == SCHEDULE_RUN && options.json)
		error = usage_wrong(problems, COMMAND, "run: --json is for list");
	if (error == 0)
		*ret = options;
	return error;
}
