/* dead_letter_options.c - see dead_letter_options.h. */
#include "dead_letter_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMAND "cashewd dead-letters"

enum { LIMIT_MAX = 1000000 };

void dead_letter_help(FILE *out)
{
	fputs("Usage: cashewd dead-letters list   [FILTER]... [--limit N] [--json]\n"
	      "       cashewd dead-letters show   ID [--json]\n"
	      "       cashewd dead-letters replay ID... | FILTER... | --all [--payload FILE]\n"
	      "       cashewd dead-letters drop   ID... | FILTER... | --all [--yes]\n"
	      "\n"
	      "Dead letters are the commands that were given up. list shows them, the newest\n"
	      "first, replay gives them to the host once more, behind what waits of their\n"
	      "users, and drop forgets them. Of the settings it needs MONGO_DB_URL and\n"
	      "MONGO_DB_NAME, and for a replay CLIENT_ID, HANDLERS and PAYLOAD_MAX.\n"
	      "\n"
	      "  --handler NAME    of that handler; '' for commands that no handler wanted\n"
	      "  --user ID         of that user\n"
	      "  --since TIME      given up since 30m, 2h, 7d, 2026-11-23, 2026-11-23T10:00:00Z\n"
	      "  --all             all of them\n"
	      "  --limit N         list that many at most (default 50; 0: all)\n"
	      "  --json            as JSON: a payload that is no text is payload_base64\n"
	      "  --payload FILE    replay one ID with the payload in FILE (-: standard input)\n"
	      "  --yes             do not ask before dropping\n"
	      "  --env-file FILE   read settings from FILE instead of .env\n"
	      "  --help\n"
	      "\n"
	      "Exit codes: 0 done, 64 wrong option, 65 a letter cannot be replayed, 66 no such\n"
	      "letter or file, 69 database unusable, 70 internal, 74 output, 78 settings.\n",
		out);
}

/* ---- Times ---- */

static bool parse_age(const char *text, int64_t *ret_ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}, {'w', 604800000}};
	const size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 9 || text[digits] == '\0' || text[digits + 1] != '\0')
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].unit == text[digits]) {
			*ret_ms = strtoll(text, NULL, 10) * units[i].ms;
			return true;
		}
	}
	return false;
}

/* Whether the text has the form, where 9 stands for a digit. */
static bool has_form(const char *text, const char *form)
{
	for (; *form != '\0'; text++, form++) {
		const bool digit = *text >= '0' && *text <= '9';
		if (*form == '9' ? !digit : *text != *form)
			return false;
	}
	return *text == '\0';
}

static bool parse_date(const char *text, int64_t *ret_ms)
{
	struct tm tm = {.tm_isdst = 0};
	unsigned ms = 0;
	if (has_form(text, "9999-99-99")) {
		if (!strptime(text, "%Y-%m-%d", &tm))
			return false;
	} else if (has_form(text, "9999-99-99T99:99:99Z") || has_form(text, "9999-99-99T99:99:99.999Z")) {
		const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
		if (!end)
			return false;
		if (*end == '.')
			ms = (unsigned)strtoul(end + 1, NULL, 10);
	} else {
		return false;
	}
	/* The 31st of February would become the 3rd of March. */
	const int day = tm.tm_mday;
	const time_t seconds = timegm(&tm);
	*ret_ms = (int64_t)seconds * 1000 + ms;
	return tm.tm_mday == day;
}

bool dead_letter_since(const char *text, int64_t now_ms, int64_t *ret_ms)
{
	int64_t ms;
	if (parse_age(text, &ms))
		ms = now_ms - ms;
	else if (!parse_date(text, &ms))
		return false;
	/* 0 means any time. */
	*ret_ms = ms > 0 ? ms : 1;
	return true;
}

/* ---- Options ---- */

enum {
	OPTION_HANDLER = 256,
	OPTION_USER,
	OPTION_SINCE,
	OPTION_ALL,
	OPTION_LIMIT,
	OPTION_JSON,
	OPTION_PAYLOAD,
	OPTION_YES,
	OPTION_ENV_FILE,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"handler", required_argument, NULL, OPTION_HANDLER},
	{"user", required_argument, NULL, OPTION_USER},
	{"since", required_argument, NULL, OPTION_SINCE},
	{"all", no_argument, NULL, OPTION_ALL},
	{"limit", required_argument, NULL, OPTION_LIMIT},
	{"json", no_argument, NULL, OPTION_JSON},
	{"payload", required_argument, NULL, OPTION_PAYLOAD},
	{"yes", no_argument, NULL, OPTION_YES},
	{"env-file", required_argument, NULL, OPTION_ENV_FILE},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL},
};

#define BIT(option) (1u << ((option)-OPTION_HANDLER))
#define FILTERS	    (BIT(OPTION_HANDLER) | BIT(OPTION_USER) | BIT(OPTION_SINCE))
#define COMMON	    (BIT(OPTION_ENV_FILE) | BIT(OPTION_HELP))

static const struct {
	const char *name;
	unsigned options;
	bool ids;
} actions[] = {
	[DEAD_LETTER_LIST] = {"list",
		FILTERS | BIT(OPTION_ALL) | BIT(OPTION_LIMIT) | BIT(OPTION_JSON) | COMMON, false},
	[DEAD_LETTER_SHOW] = {"show", BIT(OPTION_JSON) | COMMON, true},
	[DEAD_LETTER_REPLAY] = {"replay", FILTERS | BIT(OPTION_ALL) | BIT(OPTION_PAYLOAD) | COMMON, true},
	[DEAD_LETTER_DROP] = {"drop", FILTERS | BIT(OPTION_ALL) | BIT(OPTION_YES) | COMMON, true},
	[DEAD_LETTER_HELP] = {"help", COMMON, false},
};
enum { ACTIONS = sizeof(actions) / sizeof(actions[0]) };

static const char *option_name(int option)
{
	for (const struct option *at = long_options; at->name; at++)
		if (at->val == option)
			return at->name;
	return "?";
}

static int read_limit(const char *text, FILE *problems, struct dead_letter_options *options)
{
	const size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 7 || text[digits] != '\0' || strtoul(text, NULL, 10) > LIMIT_MAX)
		return usage_wrong(
			problems, COMMAND, "--limit %s: expected a number from 0 to %d", text, LIMIT_MAX);
	options->limit = (unsigned)strtoul(text, NULL, 10);
	return 0;
}

static int read_option(int option, const char *value, FILE *problems, struct dead_letter_options *options)
{
	int64_t ms;
	switch (option) {
	case OPTION_HANDLER: options->handler = value; break;
	case OPTION_USER: options->user = value; break;
	case OPTION_SINCE:
		/* Whether it is one does not hang on what time it is. */
		if (!dead_letter_since(value, 0, &ms))
			return usage_wrong(problems, COMMAND,
				"--since %s: expected an age like 30m, 2h or 7d, or a date like 2026-11-23 or 2026-11-23T10:00:00Z",
				value);
		options->since = value;
		break;
	case OPTION_ALL: options->all = true; break;
	case OPTION_LIMIT: return read_limit(value, problems, options);
	case OPTION_JSON: options->json = true; break;
	case OPTION_PAYLOAD: options->payload_file = value; break;
	case OPTION_YES: options->yes = true; break;
	case OPTION_ENV_FILE:
		options->env_file = value;
		options->env_file_given = true;
		break;
	default: abort(); /* not in long_options */
	}
	options->filtered = options->handler || options->user || options->since;
	return 0;
}

/* 24 hexadecimal digits. */
static bool parse_id(const char *text, struct store_id *ret_id)
{
	if (strlen(text) != 24 || text[strspn(text, "0123456789abcdefABCDEF")] != '\0')
		return false;
	for (size_t i = 0; i < sizeof(ret_id->bytes); i++) {
		const char pair[] = {text[2 * i], text[2 * i + 1], '\0'};
		ret_id->bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return true;
}

static int read_ids(int count, char **values, FILE *problems, struct dead_letter_options *options)
{
	if (count > 0 && !actions[options->action].ids)
		return usage_wrong(problems, COMMAND, "%s: unexpected argument '%s'",
			actions[options->action].name, values[0]);
	options->ids = calloc((size_t)count + 1, sizeof(*options->ids));
	if (!options->ids)
		return -ENOMEM;
	for (int i = 0; i < count; i++) {
		if (!parse_id(values[i], &options->ids[options->id_count++]))
			return usage_wrong(problems, COMMAND,
				"'%s' is no id: expected 24 hexadecimal digits, as list shows", values[i]);
	}
	return 0;
}

/* What must be said, and what cannot be said together. */
static int check(const struct dead_letter_options *options, FILE *problems)
{
	const char *name = actions[options->action].name;
	const bool query = options->filtered || options->all;
	const bool changes = options->action == DEAD_LETTER_REPLAY || options->action == DEAD_LETTER_DROP;
	if (options->action == DEAD_LETTER_SHOW && options->id_count != 1)
		return usage_wrong(problems, COMMAND, "show: expected one id");
	if (changes && options->id_count == 0 && !query)
		return usage_wrong(problems, COMMAND, "%s: expected ids, a filter or --all", name);
	if (options->id_count > 0 && query)
		return usage_wrong(problems, COMMAND, "%s: ids and filters cannot be combined", name);
	if (options->payload_file && options->id_count != 1)
		return usage_wrong(problems, COMMAND, "replay --payload: expected one id");
	return 0;
}

static int read_all(int count, char **values, FILE *problems, struct dead_letter_options *options)
{
	optind = 0; /* GNU: from the start, also the second time */
	opterr = 0;
	for (int option; (option = getopt_long(count, values, ":h", long_options, NULL)) != -1;) {
		if (option == '?')
			return usage_wrong(problems, COMMAND, "unknown option %s", values[optind - 1]);
		if (option == ':')
			return usage_wrong(problems, COMMAND, "%s needs a value", values[optind - 1]);
		if (option == 'h' || option == OPTION_HELP) {
			options->action = DEAD_LETTER_HELP;
			return 0;
		}
		if ((actions[options->action].options & BIT(option)) == 0)
			return usage_wrong(problems, COMMAND, "%s has no option --%s",
				actions[options->action].name, option_name(option));
		const int error = read_option(option, optarg, problems, options);
		if (error != 0)
			return error;
	}
	const int error = read_ids(count - optind, values + optind, problems, options);
	return error != 0 ? error : check(options, problems);
}

int dead_letter_options_read(int count, char **values, FILE *problems, struct dead_letter_options *ret)
{
	struct dead_letter_options options = {.env_file = ".env", .limit = DEAD_LETTER_LIMIT};
	if (count < 2)
		return usage_wrong(problems, COMMAND, "expected list, show, replay or drop");
	if (strcmp(values[1], "--help") == 0 || strcmp(values[1], "-h") == 0) {
		options.action = DEAD_LETTER_HELP;
		*ret = options;
		return 0;
	}
	size_t action = 0;
	while (action < ACTIONS && strcmp(values[1], actions[action].name) != 0)
		action++;
	if (action == ACTIONS)
		return usage_wrong(problems, COMMAND, "'%s': expected list, show, replay or drop", values[1]);
	options.action = (enum dead_letter_action)action;
	const int error = read_all(count - 1, values + 1, problems, &options);
	if (error != 0) {
		dead_letter_options_free(&options);
		return error;
	}
	*ret = options;
	return 0;
}

void dead_letter_options_free(struct dead_letter_options *options)
{
	free(options->ids);
	options->ids = NULL;
}
