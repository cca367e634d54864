/*
 * cashewd_dead_letters.c - looks at dead letters, replays and drops them: see dead_letter_help().
 *
 * Happy path: read the options, then the few settings that are needed, open the store, do it letter by
 * letter, say how many. It needs no broker and no running host. Failure: what cannot be done with one letter
 * is told on standard error, and the next one is tried; a database that fails ends the work. A letter that is
 * not dropped or replayed is still there.
 */
#include "cashewd_dead_letters.h"

#include "dead_letter_options.h"
#include "dead_letter_print.h"
#include "exit_codes.h"
#include "output.h"
#include "replays.h"
#include "routes.h"
#include "select.h"
#include "timetable.h"
#include "tool_store.h"
#include "topic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct work {
	const struct dead_letter_options *options;
	struct tool_store database;
	const struct cashew_handler **handlers; /* for a replay */
	struct routes routes;
	struct dead_letter_query query;
	int64_t last_position;
	uint64_t done;
	int code; /* of what went wrong last */
};

static void work_free(struct work *work)
{
	routes_free(&work->routes);
	free(work->handlers);
	tool_store_close(&work->database);
}

/* About one letter; the work goes on. */
__attribute__((format(printf, 4, 5))) static void complain(
	struct work *work, const struct store_id *id, int code, const char *format, ...)
{
	char text[DEAD_LETTER_ID_SIZE];
	va_list arguments;
	dead_letter_id_text(id, text);
	fprintf(stderr, "cashewd: dead letter %s: ", text);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	work->code = code;
}

static const char *letters(uint64_t count)
{
	return count == 1 ? "dead letter" : "dead letters";
}

/* ---- Which letters ---- */

/* Those that are asked for. Letters are dated by the database's clock, so that is asked first: this machine's may say anything. */
static int make_query(struct work *work)
{
	const struct dead_letter_options *options = work->options;
	if (store_ping(work->database.client) != 0)
		return tool_store_failed(&work->database);
	work->query = (struct dead_letter_query){.handler = options->handler, .user = options->user};
	if (options->since &&
		!dead_letter_since(options->since, store_now_ms(work->database.store), &work->query.since_ms))
		abort(); /* was read before */
	return 0;
}

/* ---- List and show ---- */

struct listing {
	struct dead_letter_table table;
	uint64_t count;
	bool json, failed;
};

static bool list_one(const struct dead_letter *letter, void *context)
{
	struct listing *listing = context;
	if (!listing->json) {
		listing->failed = dead_letter_table_add(&listing->table, letter) != 0;
	} else {
		json_t *json = dead_letter_json(letter);
		fputs(listing->count > 0 ? ",\n" : "", stdout);
		listing->failed = !json || json_dumpf(json, stdout, JSON_COMPACT) != 0;
		json_decref(json);
	}
	listing->count++;
	return !listing->failed && !ferror(stdout);
}

static unsigned terminal_width(void)
{
	struct winsize size;
	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}

static int print_table(struct work *work, const struct listing *listing)
{
	const bool terminal = isatty(STDOUT_FILENO);
	uint64_t all = listing->count;
	if (listing->count > 0)
		dead_letter_table_print(
			&listing->table, terminal_width(), terminal && !getenv("NO_COLOR"), stdout);
	if (work->options->limit > 0 && listing->count == work->options->limit &&
		dead_letter_count(work->database.client, &work->query, &all) != 0)
		return tool_store_failed(&work->database);
	/* For people: a program counts the lines. */
	if (terminal || listing->count == 0)
		fprintf(terminal ? stdout : stderr, "%" PRIu64 " %s\n", all, letters(all));
	if (all > listing->count)
		fprintf(stderr, "The newest %" PRIu64 " of %" PRIu64 " are shown: --limit 0 shows all.\n",
			listing->count, all);
	return 0;
}

static int list(struct work *work)
{
	struct listing listing = {.json = work->options->json};
	int code = make_query(work);
	if (code != 0)
		return code;
	work->query.no_payload = !listing.json;
	work->query.limit = work->options->limit;
	if (listing.json)
		fputs("[", stdout);
	const int error = dead_letter_list(work->database.client, &work->query, list_one, &listing);
	if (error != 0)
		code = tool_store_failed(&work->database);
	else if (listing.failed)
		code = output_no_memory("cashewd");
	if (listing.json)
		fputs(code == 0 ? "]\n" : "\n", stdout);
	else if (code == 0)
		code = print_table(work, &listing);
	dead_letter_table_free(&listing.table);
	return code;
}

static int show(struct work *work)
{
	const struct store_id *id = &work->options->ids[0];
	struct dead_letter *letter;
	const int error = dead_letter_get(work->database.client, id, &letter);
	if (error == STORE_E_NOT_FOUND) {
		complain(work, id, EXIT_NO_INPUT, "there is none");
		return 0;
	}
	if (error != 0)
		return tool_store_failed(&work->database);
	if (work->options->json) {
		json_t *json = dead_letter_json(letter);
		if (!json || json_dumpf(json, stdout, JSON_INDENT(2)) != 0)
			work->code = output_no_memory("cashewd");
		fputc('\n', stdout);
		json_decref(json);
	} else {
		dead_letter_show(letter, stdout);
	}
	dead_letter_free(letter);
	return 0;
}

/* ---- Each letter ---- */

struct ids {
	struct store_id *items;
	size_t count, room;
	bool failed;
};

static bool note_id(const struct dead_letter *letter, void *context)
{
	struct ids *ids = context;
	if (ids->count == ids->room) {
		const size_t room = ids->room > 0 ? 2 * ids->room : 64;
		void *items = realloc(ids->items, room * sizeof(*ids->items));
		ids->failed = !items;
		if (ids->failed)
			return false;
		ids->items = items;
		ids->room = room;
	}
	ids->items[ids->count++] = letter->id;
	return true;
}

/* Does it with every letter that was asked for, the oldest first. */
static int each(struct work *work, int (*one)(struct work *work, const struct store_id *id))
{
	const struct dead_letter_options *options = work->options;
	struct ids ids = {.items = NULL};
	int code = 0;
	if (options->id_count == 0)
		code = make_query(work);
	if (options->id_count == 0 && code == 0) {
		work->query.oldest_first = true;
		work->query.no_payload = true;
		if (dead_letter_list(work->database.client, &work->query, note_id, &ids) != 0)
			code = tool_store_failed(&work->database);
		else if (ids.failed)
			code = output_no_memory("cashewd");
	}
	for (size_t i = 0; code == 0 && i < options->id_count; i++)
		code = one(work, &options->ids[i]);
	for (size_t i = 0; code == 0 && i < ids.count; i++)
		code = one(work, &ids.items[i]);
	free(ids.items);
	return code;
}

/* ---- Replay ---- */

static bool lane_has(
	const struct route_lane *lane, const struct routes *routes, const char *topic, const char *handler)
{
	const struct route *route = routes_find(lane, topic);
	for (unsigned i = 0; route && i < route->handler_count; i++)
		if (strcmp(routes->handlers[route->handlers[i]]->name, handler) == 0)
			return true;
	return false;
}

/* Where the handler that gave it up is, else the first that wants it; NULL where none does. */
static const struct route_lane *lane_of(const struct routes *routes, const struct dead_letter *letter)
{
	/* A schedule's are kept by the name of the first. */
	if (timetable_name_of(letter->topic))
		return routes_find_schedule(routes, letter->topic) ? &routes->lanes[0] : NULL;
	for (size_t i = 0; i < routes->lane_count; i++)
		if (lane_has(&routes->lanes[i], routes, letter->topic, letter->handler))
			return &routes->lanes[i];
	for (size_t i = 0; i < routes->lane_count; i++)
		if (routes_find(&routes->lanes[i], letter->topic))
			return &routes->lanes[i];
	return NULL;
}

/* The payload that --payload names. 0 and *ret, to be freed; or an exit code. */
static int read_payload(const struct work *work, char **ret, size_t *ret_size)
{
	const char *name = work->options->payload_file;
	const size_t max = work->database.settings.payload_max;
	FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "rbe");
	if (!in) {
		fprintf(stderr, "%s: cannot be opened: %s\n", name, strerror(errno));
		return EXIT_NO_INPUT;
	}
	char *payload = malloc(max + 1);
	const size_t size = payload ? fread(payload, 1, max + 1, in) : 0;
	const bool failed = ferror(in) != 0;
	const int error = errno;
	if (in != stdin)
		fclose(in);
	if (!payload)
		return output_no_memory("cashewd");
	if (failed || size > max) {
		free(payload);
		if (failed)
			fprintf(stderr, "%s: cannot be read: %s\n", name, strerror(error));
		else
			fprintf(stderr, "%s: expected PAYLOAD_MAX=%zu bytes at most\n", name, max);
		return failed ? EXIT_NO_INPUT : EXIT_DATA;
	}
	*ret = payload;
	*ret_size = size;
	return 0;
}

/* Whether it can be; complains where not. */
static bool replayable(struct work *work, const struct dead_letter *letter, const struct route_lane *lane)
{
	const size_t max = work->database.settings.payload_max;
	if (topic_user_size(letter->topic) == 0 && !timetable_name_of(letter->topic))
		complain(work, &letter->id, EXIT_DATA, "its topic holds no valid user id: it stays");
	else if (!lane)
		complain(work, &letter->id, EXIT_DATA,
			"no handler wants its topic (--list-handlers shows what they want): it stays");
	else if (letter->payload_cut_from > 0)
		complain(work, &letter->id, EXIT_DATA,
			"its payload of %zu bytes was not kept: it stays; --payload FILE gives it one",
			letter->payload_cut_from);
	else if (letter->payload_size > max)
		complain(work, &letter->id, EXIT_DATA,
			"its payload has %zu bytes, PAYLOAD_MAX=%zu at most: it stays", letter->payload_size,
			max);
	else
		return true;
	return false;
}

static int replay_letter(struct work *work, const struct dead_letter *letter)
{
	const struct route_lane *lane = lane_of(&work->routes, letter);
	if (!replayable(work, letter, lane))
		return 0;
	char client_id[ROUTE_CLIENT_ID_SIZE];
	routes_client_id(lane, work->database.settings.client_id, client_id);
	if (work->last_position == 0 && store_ping(work->database.client) != 0)
		return tool_store_failed(&work->database);
	const int64_t now = store_now_us(work->database.store);
	work->last_position = now > work->last_position ? now : work->last_position + 1;
	const int error = replay_dead_letter(work->database.client, letter, client_id, work->last_position);
	if (error == STORE_E_PERMANENT) {
		complain(work, &letter->id, EXIT_DATA, "the database refuses it: %s",
			store_last_error(work->database.client));
		return 0;
	}
	if (error != 0)
		return tool_store_failed(&work->database);
	work->done++;
	return 0;
}

static int replay_one(struct work *work, const struct store_id *id)
{
	struct dead_letter *letter;
	const int error = dead_letter_get(work->database.client, id, &letter);
	if (error == STORE_E_NOT_FOUND) {
		complain(work, id, EXIT_NO_INPUT, "there is none");
		return 0;
	}
	if (error != 0)
		return tool_store_failed(&work->database);
	struct dead_letter changed = *letter;
	char *payload = NULL;
	int code = 0;
	if (work->options->payload_file) {
		code = read_payload(work, &payload, &changed.payload_size);
		changed.payload = payload;
		changed.payload_cut_from = 0;
	}
	if (code == 0)
		code = replay_letter(work, &changed);
	free(payload);
	dead_letter_free(letter);
	return code;
}

static int replay(struct work *work)
{
	const int code = each(work, replay_one);
	printf("%" PRIu64 " %s replayed\n", work->done, letters(work->done));
	return code;
}

/* ---- Drop ---- */

static int drop_one(struct work *work, const struct store_id *id)
{
	const int error = dead_letter_drop(work->database.client, id);
	if (error == STORE_E_NOT_FOUND) {
		complain(work, id, EXIT_NO_INPUT, "there is none");
		return 0;
	}
	if (error != 0)
		return tool_store_failed(&work->database);
	work->done++;
	return 0;
}

static bool confirmed(uint64_t count)
{
	char answer[16] = "";
	fprintf(stderr, "Drop %" PRIu64 " %s for good? [y/N] ", count, letters(count));
	return fgets(answer, sizeof(answer), stdin) &&
	       (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}

static int drop(struct work *work)
{
	const struct dead_letter_options *options = work->options;
	const bool terminal = isatty(STDIN_FILENO) != 0;
	uint64_t count = options->id_count;
	int code = options->id_count == 0 ? make_query(work) : 0;
	if (code != 0)
		return code;
	/* What dies while one is asked is not in what one is asked about. */
	if (options->id_count == 0)
		work->query.until_ms = store_now_ms(work->database.store);
	if (options->id_count == 0 && dead_letter_count(work->database.client, &work->query, &count) != 0)
		return tool_store_failed(&work->database);
	if (terminal && !options->yes && count > 0 && !confirmed(count)) {
		fputs("Nothing is dropped.\n", stderr);
		return 0;
	}
	if (options->id_count > 0)
		code = each(work, drop_one);
	else if (dead_letter_drop_all(work->database.client, &work->query, &work->done) != 0)
		code = tool_store_failed(&work->database);
	printf("%" PRIu64 " %s dropped\n", work->done, letters(work->done));
	return code;
}

/* ---- The program ---- */

/* Reads what is needed of the settings; tells every problem. 0 or an exit code. */
static int configure(struct work *work, const struct cashew_handler *const *handlers)
{
	static const char *const names[] = {
		"MONGO_DB_URL", "MONGO_DB_NAME", "CLIENT_ID", "HANDLERS", "PAYLOAD_MAX", "KEEPALIVE", NULL};
	const struct dead_letter_options *options = work->options;
	int code = tool_store_settings(&work->database, options->env_file, options->env_file_given, names);
	if (code != 0)
		return code;
	if (options->action != DEAD_LETTER_REPLAY)
		return 0;
	code = select_handlers(&work->database.settings, handlers, stderr, &work->handlers);
	if (code != 0)
		return code;
	return routes_new(work->handlers, &work->routes) != 0 ? output_no_memory("cashewd") : 0;
}

static int act(struct work *work)
{
	const struct dead_letter_options *options = work->options;
	int code = tool_store_open(&work->database, "cashewd dead-letters");
	if (code != 0)
		return code;
	switch (options->action) {
	case DEAD_LETTER_LIST: code = list(work); break;
	case DEAD_LETTER_SHOW: code = show(work); break;
	case DEAD_LETTER_REPLAY: code = replay(work); break;
	case DEAD_LETTER_DROP: code = drop(work); break;
	case DEAD_LETTER_HELP: abort(); /* was answered before */
	}
	return code != 0 ? code : work->code;
}

int cashewd_dead_letters(
	int count, char **values, const struct cashew_handler *const *handlers, void (*forget_secrets)(void))
{
	__attribute__((cleanup(dead_letter_options_free))) struct dead_letter_options options = {.ids = NULL};
	__attribute__((cleanup(work_free))) struct work work = {.options = &options};
	const int error = dead_letter_options_read(count, values, stderr, &options);
	if (error != 0)
		return error == DEAD_LETTER_OPTIONS_E_WRONG ? EXIT_USAGE : output_no_memory("cashewd");
	if (options.action == DEAD_LETTER_HELP) {
		dead_letter_help(stdout);
		return output_flush("cashewd", 0);
	}
	if (options.action == DEAD_LETTER_DROP && options.id_count == 0 && !options.yes &&
		!isatty(STDIN_FILENO)) {
		fputs("cashewd dead-letters: drop: there is no terminal to ask on: --yes drops without asking\n",
			stderr);
		return EXIT_USAGE;
	}
	const int code = configure(&work, handlers);
	forget_secrets();
	return output_flush("cashewd", code != 0 ? code : act(&work));
}
