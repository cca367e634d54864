/*
 * cashew-device - the demo's devices, and a phone to play by hand.
 *
 *	cashew-device apples      asks for apples, then for more, and shows them
 *	cashew-device contacts    two users: a contact is requested and accepted, and on both lists
 *	cashew-device send        sends one command and shows what comes back
 *	cashew-device listen      shows what comes
 *
 * The environment says where the broker is, as it does for cashewd. Users' tokens are read from files, so that no list of processes shows them.
 * Exit: 0 when everything awaited has come; 1 when it has not; 64 when it was called wrongly.
 */
#include "device.h"
#include "story.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* What the command line says. */
struct request {
	const char *token_files[STORY_DEVICES_MAX];
	size_t users;
	bool afresh, once;
	const char *event, *log_file;
	long deadline_s, pause_ms;
	const char *words[3]; /* what to play, and for send the command and its payload */
	size_t word_count;
};

static void usage(void)
{
	fputs("Usage: cashew-device [OPTION].. apples|contacts|listen\n"
	      "       cashew-device [OPTION].. send COMMAND [PAYLOAD]    (PAYLOAD: JSON, {} unless given)\n"
	      "Plays the part of a phone, beside a broker that cashewd is connected to.\n"
	      "  --token-file FILE  the user's token, as cashew-token makes it; twice for contacts, which has two users\n"
	      "  --afresh           contacts: first end the contact that an earlier run may have left\n"
	      "  --event NAME       send: wait for this event, not just for any\n"
	      "  --once             send: do not repeat it where nothing comes, as a phone should\n"
	      "  --deadline S       give up after so many seconds (30)\n"
	      "  --pause MS         wait so many milliseconds before each command, for show (0)\n"
	      "  --log FILE         write what is shown into FILE, too\n"
	      "The environment says where the broker is: BROKER_HOST (127.0.0.1), BROKER_PORT (8883), BROKER_CA_FILE (the\n"
	      "system's authorities), BROKER_TLS (on; off for a broker without TLS). NO_COLOR: no colours.\n",
		stdout);
}

static int wrong(const char *what, const char *value)
{
	fprintf(stderr, "cashew-device: %s%s (--help tells more)\n", what, value);
	return EX_USAGE;
}

static bool parse_number(const char *text, long max, long *ret)
{
	char *end;
	errno = 0;
	const long value = strtol(text, &end, 10);
	if (errno || end == text || *end != '\0' || value < 0 || value > max)
		return false;
	*ret = value;
	return true;
}

static int parse_options(int argc, char **argv, struct request *request)
{
	enum { TOKEN_FILE, AFRESH, ONCE, EVENT, DEADLINE, PAUSE, LOG, HELP };
	static const struct option options[] = {{"token-file", required_argument, NULL, TOKEN_FILE},
		{"afresh", no_argument, NULL, AFRESH}, {"once", no_argument, NULL, ONCE},
		{"event", required_argument, NULL, EVENT}, {"deadline", required_argument, NULL, DEADLINE},
		{"pause", required_argument, NULL, PAUSE}, {"log", required_argument, NULL, LOG},
		{"help", no_argument, NULL, HELP}, {0}};

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case TOKEN_FILE:
			if (request->users == STORY_DEVICES_MAX)
				return wrong("more than two users: --token-file ", optarg);
			request->token_files[request->users++] = optarg;
			break;
		case AFRESH: request->afresh = true; break;
		case ONCE: request->once = true; break;
		case EVENT: request->event = optarg; break;
		case DEADLINE:
			if (!parse_number(optarg, 86400, &request->deadline_s))
				return wrong("--deadline: expected 0 to 86400 seconds, found ", optarg);
			break;
		case PAUSE:
			if (!parse_number(optarg, 60000, &request->pause_ms))
				return wrong("--pause: expected 0 to 60000 milliseconds, found ", optarg);
			break;
		case LOG: request->log_file = optarg; break;
		case HELP: usage(); exit(EXIT_SUCCESS);
		default: return EX_USAGE; /* getopt has said what is wrong */
		}
	}
	return 0;
}

static int parse_words(int count, char **words, struct request *request)
{
	const char *what = count > 0 ? words[0] : "nothing";
	const bool send = strcmp(what, "send") == 0, contacts = strcmp(what, "contacts") == 0;
	const int count_max = send ? 3 : 1;

	if (!send && !contacts && strcmp(what, "apples") != 0 && strcmp(what, "listen") != 0)
		return wrong("expected apples, contacts, listen or send, found ", what);
	if (count > count_max)
		return wrong("unexpected argument ", words[count_max]);
	if (send && count < 2)
		return wrong("send needs a command", "");
	if (request->users != (contacts ? 2 : 1))
		return wrong(
			contacts ? "contacts needs --token-file twice" : "--token-file is needed, once", "");
	for (int i = 0; i < count; i++)
		request->words[request->word_count++] = words[i];
	return 0;
}

static int read_environment(struct device_options *options)
{
	const char *host = getenv("BROKER_HOST"), *port = getenv("BROKER_PORT"),
		   *ca_file = getenv("BROKER_CA_FILE"), *tls = getenv("BROKER_TLS");
	long number = 8883;

	if (port && *port && (!parse_number(port, 65535, &number) || number == 0))
		return wrong("BROKER_PORT: expected 1 to 65535, found ", port);
	if (tls && *tls && strcmp(tls, "on") != 0 && strcmp(tls, "off") != 0)
		return wrong("BROKER_TLS: expected on or off, found ", tls);
	options->host = host && *host ? host : "127.0.0.1";
	options->port = (int)number;
	options->ca_file = ca_file && *ca_file ? ca_file : NULL;
	options->tls = !tls || strcmp(tls, "off") != 0;
	return 0;
}

/* Reads the token and opens its device; NULL after a word on standard error. */
static struct device *open_device(struct device_options options, const char *token_file)
{
	char token[8192];
	FILE *file = fopen(token_file, "re");
	if (!file) {
		fprintf(stderr, "cashew-device: %s: %s\n", token_file, strerror(errno));
		return NULL;
	}
	size_t size = fread(token, 1, sizeof(token) - 1, file);
	fclose(file);
	while (size > 0 && isspace((unsigned char)token[size - 1]))
		size--;
	token[size] = '\0';
	options.token = token;
	struct device *device = device_open(&options);
	explicit_bzero(token, sizeof(token));
	return device;
}

static bool play(struct story *story, const struct request *request)
{
	const char *what = request->words[0];
	if (strcmp(what, "apples") == 0)
		return story_apples(story);
	if (strcmp(what, "contacts") == 0)
		return story_contacts(story, request->afresh);
	if (strcmp(what, "listen") == 0)
		return story_listen(story);
	return story_send(
		story, request->words[1], request->word_count > 2 ? request->words[2] : "{}", request->event);
}

int main(int argc, char **argv)
{
	static struct story story;
	struct request request = {.deadline_s = 30};
	struct device_options options = {.on_event = story_event, .context = &story};
	bool all_came = false;

	setlocale(LC_CTYPE, "");
	/* A broker that is gone is an error to tell, not the end. Older libmosquittos did this themselves. */
	signal(SIGPIPE, SIG_IGN);
	int error = parse_options(argc, argv, &request);
	if (error || (error = parse_words(argc - optind, argv + optind, &request)) ||
		(error = read_environment(&options)))
		return error;
	if (request.log_file && !(story.log = fopen(request.log_file, "we")))
		return wrong("cannot write --log ", request.log_file);
	story.pause_ms = request.pause_ms;
	story.once = request.once;
	story.deadline_at = device_clock_ms() + request.deadline_s * 1000;
	story.colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	story.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;

	while (story.count < request.users &&
		(story.devices[story.count] = open_device(options, request.token_files[story.count])))
		story.count++;
	if (story.count == request.users)
		all_came = play(&story, &request);
	while (story.count > 0)
		device_close(story.devices[--story.count]);
	if (story.log)
		fclose(story.log);
	return all_came ? EXIT_SUCCESS : EXIT_FAILURE;
}
