/*
 * cashewd_top.c - `cashewd top`: asks a running cashewd how things stand, again and again, and shows it.
 *
 * Happy path: read the options and the one setting that is needed, take the terminal, then one loop over the
 * answer under way, keys, signals and the clock; each answer is drawn beside the one before it. Where nothing
 * answers the loop goes on, and shows since when and why. Without a terminal, or with --once: one answer, one
 * plain text; where there is none, EX_UNAVAILABLE. The terminal is as it was however this ends.
 */
#include "cashewd_top.h"

#include "clock.h"
#include "exit_codes.h"
#include "output.h"
#include "settings.h"
#include "settings_file.h"
#include "top_fetch.h"
#include "top_options.h"
#include "top_terminal.h"
#include "top_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_SIGNALS, POLL_KEYS, POLLS };

struct top {
	struct top_options options;
	char address[TOP_ADDRESS_SIZE];
	const char *source; /* of the address */
	struct fetch *fetch;
	json_t *now, *before;
	bool under_way;
	int64_t next_at_ms;    /* when to ask again */
	int64_t away_since_ms; /* Unix time; 0: it answered the last time */
	char reason[FETCH_REASON_SIZE];
};

static bool colours(void)
{
	const char *no_colour = getenv("NO_COLOR");
	return isatty(STDOUT_FILENO) && (!no_colour || no_colour[0] == '\0');
}

static void top_free(struct top *top)
{
	if (top->fetch)
		fetch_close(top->fetch);
	json_decref(top->now);
	json_decref(top->before);
}

/* ---- The address ---- */

static int address_of_settings(struct top *top)
{
	static const char *const names[] = {"METRICS_ADDR", NULL};
	const struct top_options *options = &top->options;
	struct settings settings;
	if (options->env_file_given && !settings_file_exists(options->env_file, stderr))
		return EXIT_CONFIG;
	const int error = settings_read_some(options->env_file, environ, names, stderr, stderr, &settings);
	if (error != 0)
		return error == SETTINGS_E_INVALID ? EXIT_CONFIG : output_no_memory("cashewd");
	const bool good = top_address(settings.metrics_addr, top->address);
	if (!good)
		fprintf(stderr,
			"cashewd top: METRICS_ADDR=%s: nothing to ask there: set it to HOST:PORT for cashewd, or use --addr\n",
			settings.metrics_addr);
	settings_free(&settings);
	top->source = "METRICS_ADDR";
	return good ? 0 : EXIT_CONFIG;
}

static int find_address(struct top *top)
{
	if (!top->options.address)
		return address_of_settings(top);
	/* It was checked as it was read. */
	if (!top_address(top->options.address, top->address))
		abort();
	top->source = "--addr";
	return 0;
}

/* ---- Once ---- */

static int print_view(const struct top *top, const json_t *document)
{
	struct top_view_options options = {.address = top->address, .colours = colours()};
	unsigned height;
	char *text;
	if (isatty(STDOUT_FILENO))
		terminal_size(&options.width, &height);
	if (top_view(document, NULL, &options, &text) != 0)
		return output_no_memory("cashewd");
	fputs(text, stdout);
	free(text);
	return 0;
}

static int once(struct top *top)
{
	if (fetch_start(top->fetch) != 0)
		return output_no_memory("cashewd");
	while (!fetch_wait(top->fetch, NULL, 0, FETCH_MS))
		;
	json_t *document = fetch_take(top->fetch, top->reason);
	int code = 0;
	if (!document) {
		fprintf(stderr,
			"cashewd top: no answer from cashewd at %s (%s): %s\n"
			"METRICS_ADDR, in .env or the environment, says where it listens; --addr asks elsewhere\n",
			top->address, top->source, top->reason);
		return EXIT_UNAVAILABLE;
	}
	if (!top->options.json)
		code = print_view(top, document);
	else if (json_dumpf(document, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF)
		code = EXIT_IO;
	json_decref(document);
	return code;
}

/* ---- The live view ---- */

static void draw(const struct top *top)
{
	struct top_view_options options = {.address = top->address, .keys = "q leaves", .colours = colours()};
	char *text;
	if (!terminal_show())
		return;
	terminal_size(&options.width, &options.height);
	/* In the last column, what clears the rest of a line would clear its last character. */
	if (options.width > 1)
		options.width--;
	int error;
	if (top->away_since_ms != 0)
		error = top_view_away(&(const struct top_away){.source = top->source,
					      .reason = top->reason,
					      .since_ms = top->away_since_ms,
					      .now_ms = clock_unix_ms(),
					      .interval_ms = top->options.interval_ms},
			&options, &text);
	else if (top->now)
		error = top_view(top->now, top->before, &options, &text);
	else
		return; /* the first answer is under way */
	if (error != 0)
		return; /* the next one may fit into memory */
	terminal_draw(text);
	free(text);
}

static void take_answer(struct top *top)
{
	json_t *document = fetch_take(top->fetch, top->reason);
	top->under_way = false;
	if (!document) {
		if (top->away_since_ms == 0)
			top->away_since_ms = clock_unix_ms();
		return;
	}
	top->away_since_ms = 0;
	json_decref(top->before);
	top->before = top->now;
	top->now = document;
}

static void ask(struct top *top)
{
	const int64_t now_ms = clock_ms();
	if (top->under_way || now_ms < top->next_at_ms)
		return;
	top->under_way = fetch_start(top->fetch) == 0;
	top->next_at_ms = now_ms + top->options.interval_ms;
}

/* False: to be left. */
static bool serve(const struct pollfd *polls)
{
	enum terminal_event event = polls[POLL_SIGNALS].revents != 0 ? terminal_signals() : TERMINAL_NOTHING;
	if (event != TERMINAL_LEAVE && polls[POLL_KEYS].revents != 0 && terminal_keys() == TERMINAL_LEAVE)
		event = TERMINAL_LEAVE;
	while (event == TERMINAL_SUSPEND) {
		terminal_suspend();
		/* It may go on only to be ended. */
		event = terminal_signals();
	}
	return event != TERMINAL_LEAVE;
}

static int live(struct top *top)
{
	int signal_fd;
	const int error = terminal_open(&signal_fd);
	if (error != 0) {
		fprintf(stderr, "cashewd top: the terminal cannot be used: %s\n", strerror(-error));
		return EXIT_SOFTWARE;
	}
	(void)terminal_show();
	for (bool on = true; on;) {
		ask(top);
		const int64_t wait_ms = top->next_at_ms - clock_ms();
		struct pollfd polls[POLLS] = {[POLL_SIGNALS] = {.fd = signal_fd}, [POLL_KEYS] = {.fd = -1}};
		const int keys_fd = terminal_keys_fd();
		polls[POLL_KEYS].fd = keys_fd;
		/* An answer that takes longer than the interval is waited for. */
		const bool ended = fetch_wait(top->fetch, polls, keys_fd >= 0 ? POLLS : POLLS - 1,
			top->under_way && wait_ms <= 0 ? FETCH_MS : wait_ms);
		if (ended)
			take_answer(top);
		on = serve(polls);
		if (on && (ended || polls[POLL_SIGNALS].revents != 0 || polls[POLL_KEYS].revents != 0))
			draw(top);
	}
	terminal_close();
	return 0;
}

/* ---- The whole ---- */

int cashewd_top(int count, char **values, void (*forget_secrets)(void))
{
	__attribute__((cleanup(top_free))) struct top top = {.now = NULL};
	if (top_options_read(count, values, stderr, &top.options) != 0)
		return EXIT_USAGE;
	int code = 0;
	if (top.options.help) {
		top_help(stdout);
	} else {
		code = find_address(&top);
		forget_secrets();
		if (code == 0 && fetch_open(top.address, &top.fetch) != 0)
			code = output_no_memory("cashewd");
		if (code == 0)
			code = top.options.once || top.options.json || !terminal_usable() ? once(&top)
											  : live(&top);
	}
	return output_flush("cashewd", code);
}
