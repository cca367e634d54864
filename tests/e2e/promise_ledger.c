/* promise_ledger.c - see promise_ledger.h; what the store must hold is in promise_store.c. */
#include "promise_ledger.h"

#include "harness_private.h"
#include "panic.h"
#include "promise_order.h"
#include <stdarg.h>
#include <string.h>

enum { OPEN_PRINTED = 20 };

static const char *const names[LEDGER_KINDS] = {
	[LEDGER_ASK] = "request_contact",
	[LEDGER_UNSTEADY] = "unsteady",
	[LEDGER_REQUEST] = "request_contact",
	[LEDGER_ACCEPT] = "accept_contact",
	[LEDGER_DECLINE] = "decline_contact",
	[LEDGER_REMOVE] = "remove_contact",
	[LEDGER_LIST] = "get_contact_list",
	[LEDGER_REQUESTS] = "get_contact_requests",
	[LEDGER_PING] = "ping",
	[LEDGER_APPEND] = "append",
	[LEDGER_COUNT] = "count_up",
	[LEDGER_TRANSFER] = "transfer",
};

/* All of it is rejected; %s is the sender. */
static const struct {
	const char *command, *payload;
} refused[] = {
	{"request_contact", "{\"contact_id\":{\"$gt\":\"\"}}"},
	{"request_contact", "{\"contact_id\":\"%s\"}"},
	{"request_contact", "{\"contact_id\":7}"},
	{"request_contact", "{\"contact_id\":\"a/b\"}"},
	{"request_contact", "{}"},
	{"request_contact", "not JSON"},
	{"accept_contact", "{\"contact_id\":\"x-who-has-not-asked\"}"},
	{"accept_contact", "[]"},
	{"remove_contact", "{\"contact_id\":\"x+\"}"},
	{"get_contact_list", "{\"limit\":0}"},
};

/* ---- Entering ---- */

__attribute__((format(printf, 2, 3))) static void violate(struct ledger *ledger, const char *format, ...)
{
	va_list arguments;
	if (ledger->violation[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(ledger->violation, sizeof(ledger->violation), format, arguments);
	va_end(arguments);
}

static void free_commands(void *self)
{
	struct ledger *ledger = self;
	fclose(ledger->history);
	for (size_t user = 0; user < LEDGER_USERS; user++) {
		for (size_t i = 0; i < ledger->users[user].count; i++)
			free(ledger->users[user].commands[i]);
		free(ledger->users[user].commands);
		free(ledger->users[user].events.numbers);
		free(ledger->users[user].lines.numbers);
	}
}

struct ledger *ledger_new(struct harness *h)
{
	struct ledger *ledger = harness_alloc(h, sizeof(*ledger));
	struct harness_part *part = harness_alloc(h, sizeof(*part));
	ledger->harness = h;
	ledger->stage = 1;
	ledger->history = fopen(harness_path(h, "history.txt"), "we");
	if (!ledger->history)
		harness_fail("no file for the history");
	for (unsigned i = 0; i < LEDGER_USERS; i++)
		snprintf(ledger->users[i].name, sizeof(ledger->users[i].name), "p%02u", i);
	*part = (struct harness_part){.self = ledger, .free = free_commands};
	harness_add(h, part);
	return ledger;
}

struct ledger_pair *ledger_pair_of(struct ledger *ledger, unsigned user, unsigned other)
{
	return user < other ? &ledger->pairs[user][other] : &ledger->pairs[other][user];
}

/* Both who asked and who is asked first see what was there; commands that race are safe in either order. */
static void leave(struct ledger *ledger, const struct ledger_command *command)
{
	const unsigned user = command->user, other = command->other;
	if (command->kind < LEDGER_REQUEST || command->kind > LEDGER_REMOVE)
		return;
	struct ledger_pair *pair = ledger_pair_of(ledger, user, other);
	const bool both_asked = command->kind == LEDGER_REQUEST && pair->asked[other > user];
	pair->stage = ledger->stage;
	if (command->kind == LEDGER_REQUEST && !both_asked) {
		pair->asked[user > other] = true;
		return;
	}
	pair->asked[0] = pair->asked[1] = false;
	pair->contacts = command->kind == LEDGER_ACCEPT || both_asked;
	if (command->kind == LEDGER_ACCEPT)
		ledger->users[user].accepted |= UINT64_C(1) << other;
}

struct ledger_command *ledger_enter(
	struct ledger *ledger, unsigned user, enum ledger_kind kind, unsigned other)
{
	struct ledger_user *sender = &ledger->users[user];
	struct ledger_command *command = panic_if_null(calloc(1, sizeof(*command)));
	if (sender->count == sender->capacity) {
		sender->capacity = sender->capacity ? 2 * sender->capacity : 256;
		sender->commands = panic_if_null(
			reallocarray(sender->commands, sender->capacity, sizeof(struct ledger_command *)));
	}
	sender->commands[sender->count++] = command;
	*command = (struct ledger_command){.user = user,
		.number = (unsigned)sender->count,
		.kind = kind,
		.other = kind == LEDGER_REFUSED ? other % (sizeof(refused) / sizeof(refused[0])) : other,
		.stage = ledger->stage,
		.accepted = sender->accepted};
	leave(ledger, command);
	ledger->open++;
	ledger->figures.commands++;
	ledger->figures.by_kind[kind]++;
	return command;
}

struct ledger_command *ledger_enter_unsteady(
	struct ledger *ledger, unsigned user, const struct ledger_trouble *trouble)
{
	struct ledger_command *command = ledger_enter(ledger, user, LEDGER_UNSTEADY, 0);
	command->trouble = *trouble;
	ledger->figures.dead += ledger_is_dead(command);
	return command;
}

bool ledger_is_dead(const struct ledger_command *command)
{
	return command->kind == LEDGER_UNSTEADY && command->trouble.crashes >= LEDGER_CRASH_LIMIT;
}

const char *ledger_command_name(const struct ledger_command *command)
{
	return command->kind == LEDGER_REFUSED ? refused[command->other].command : names[command->kind];
}

void ledger_write_contact(const struct ledger_command *command, char contact[static LEDGER_NAME_SIZE])
{
	snprintf(contact, LEDGER_NAME_SIZE, "x%04u-%02u-%u", command->stage, command->user, command->number);
}

void ledger_write_payload(const struct ledger *ledger, const struct ledger_command *command,
	char payload[static LEDGER_PAYLOAD_SIZE])
{
	char contact[LEDGER_NAME_SIZE];
	const char *user = ledger->users[command->user].name;
	switch (command->kind) {
	case LEDGER_ASK:
		ledger_write_contact(command, contact);
		snprintf(payload, LEDGER_PAYLOAD_SIZE, "{\"contact_id\":\"%s\"}", contact);
		break;
	case LEDGER_UNSTEADY:
		ledger_write_contact(command, contact);
		snprintf(payload, LEDGER_PAYLOAD_SIZE,
			"{\"contact_id\":\"%s\",\"until\":%lld,\"early\":%d,\"crashes\":%u,\"hangs\":%d}",
			contact, (long long)command->trouble.until_ms, command->trouble.early,
			command->trouble.crashes, command->trouble.hangs);
		break;
	case LEDGER_REQUEST:
	case LEDGER_ACCEPT:
	case LEDGER_DECLINE:
	case LEDGER_REMOVE:
		snprintf(payload, LEDGER_PAYLOAD_SIZE, "{\"contact_id\":\"%s\"}",
			ledger->users[command->other].name);
		break;
	case LEDGER_APPEND:
	case LEDGER_PING: snprintf(payload, LEDGER_PAYLOAD_SIZE, "{\"number\":%u}", command->number); break;
	case LEDGER_COUNT:
	case LEDGER_TRANSFER:
		snprintf(payload, LEDGER_PAYLOAD_SIZE, "{\"number\":%u,\"command_id\":\"%u\"}",
			command->number, command->number);
		break;
	case LEDGER_REFUSED: {
		const char *text = refused[command->other].payload, *place = strstr(text, "%s");
		const int before = place ? (int)(place - text) : (int)strlen(text);
		snprintf(payload, LEDGER_PAYLOAD_SIZE, "%.*s%s%s", before, text, place ? user : "",
			place ? place + 2 : "");
		break;
	}
	case LEDGER_LIST:
	case LEDGER_REQUESTS:
	case LEDGER_KINDS: snprintf(payload, LEDGER_PAYLOAD_SIZE, "{}"); break;
	}
}

/* ---- Booking ---- */

static void complete(struct ledger *ledger, struct ledger_command *command)
{
	struct ledger_user *user = &ledger->users[command->user];
	const bool has_phone = command->kind != LEDGER_ASK && command->kind != LEDGER_UNSTEADY;
	if (command->complete || !command->acknowledged || command->seen == 0 ||
		(has_phone && !command->received))
		return;
	command->complete = true;
	ledger->open--;
	while (user->first_open < user->count && user->commands[user->first_open]->complete)
		user->first_open++;
}

void ledger_note(struct ledger *ledger, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(ledger->history, "%lld ", (long long)harness_now_ms());
	vfprintf(ledger->history, format, arguments);
	fputc('\n', ledger->history);
	va_end(arguments);
}

void ledger_sent(struct ledger *ledger, struct ledger_command *command, int mid)
{
	char payload[LEDGER_PAYLOAD_SIZE];
	ledger_write_payload(ledger, command, payload);
	ledger_note(ledger, "%s %s:%u %s %s", command->sent_ms == 0 ? "sent" : "sent again",
		ledger->users[command->user].name, command->number, ledger_command_name(command), payload);
	command->sent_ms = harness_now_ms();
	command->mid = mid;
}

void ledger_puback(struct ledger *ledger, unsigned user, int mid, int reason)
{
	struct ledger_user *sender = &ledger->users[user];
	for (size_t i = sender->first_open; i < sender->count; i++) {
		struct ledger_command *command = sender->commands[i];
		if (command->mid != mid || command->acknowledged)
			continue;
		/* 0x10: taken, though nobody is subscribed; the host's session always is. */
		if (reason != 0)
			violate(ledger, "%s %s:%u was PUBACKed with 0x%02x", ledger_command_name(command),
				sender->name, command->number, (unsigned)reason);
		command->acknowledged = true;
		ledger_note(ledger, "PUBACK %s:%u", sender->name, command->number);
		complete(ledger, command);
		return;
	}
}

static bool text_is(const json_t *payload, const char *field, const char *expected)
{
	const char *text = json_string_value(json_object_get(payload, field));
	return text && strcmp(text, expected) == 0;
}

/* The users in it, a bit for each. */
static uint64_t listed(const struct ledger *ledger, const json_t *payload)
{
	uint64_t found = 0;
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(payload, "contacts"), i, item)
	{
		for (unsigned user = 0; user < LEDGER_USERS; user++)
			if (text_is(item, "contact_id", ledger->users[user].name))
				found |= UINT64_C(1) << user;
	}
	return found;
}

/* Whom the sender has accepted before must be in it: but not those whose acceptance the broker may have lost,
 * which then came later. */
static void check_list(struct ledger *ledger, const struct ledger_command *command, const json_t *payload)
{
	const struct ledger_user *user = &ledger->users[command->user];
	const uint64_t missing = command->accepted & ~listed(ledger, payload);
	for (size_t i = command->number - 1; missing != 0 && i-- > 0;) {
		const struct ledger_command *before = user->commands[i];
		if (before->stage != command->stage)
			return;
		if (before->kind == LEDGER_ACCEPT && (missing & UINT64_C(1) << before->other) != 0 &&
			!before->broker_killed)
			violate(ledger,
				"the answer to get_contact_list %s:%u does not hold %s, accepted by %s:%u "
				"(seen %u "
				"times, %s complete)",
				user->name, command->number, ledger->users[before->other].name, user->name,
				before->number, before->seen, before->complete ? "it is" : "it is not");
	}
}

/* Whether it is that event, with the command's number. */
static bool is_numbered(
	const struct ledger_command *command, const char *event, const char *expected, const json_t *payload)
{
	return strcmp(event, expected) == 0 &&
	       json_integer_value(json_object_get(payload, "number")) == command->number;
}

/* Whether the command causes this event. Of a request that is handled again, after it was accepted, both are
 * told that they are contacts. */
static bool fits(const struct ledger *ledger, const struct ledger_command *command, const char *to,
	const char *event, const json_t *payload)
{
	const char *user = ledger->users[command->user].name;
	const char *other = command->kind == LEDGER_REFUSED ? "" : ledger->users[command->other].name;
	const bool to_user = strcmp(to, user) == 0, to_other = strcmp(to, other) == 0;
	char contact[LEDGER_NAME_SIZE];
	switch (command->kind) {
	case LEDGER_ASK:
	case LEDGER_UNSTEADY:
		if (ledger_is_dead(command))
			return to_user && strcmp(event, "command_failed") == 0 &&
			       text_is(payload, "command", "unsteady");
		ledger_write_contact(command, contact);
		return strcmp(to, contact) == 0 && strcmp(event, "contact_requested") == 0 &&
		       text_is(payload, "user_id", user);
	case LEDGER_REQUEST:
		if (strcmp(event, "contact_requested") == 0)
			return to_other && text_is(payload, "user_id", user);
		return strcmp(event, "contact_approved") == 0 &&
		       ((to_other && text_is(payload, "contact_id", user)) ||
			       (to_user && text_is(payload, "contact_id", other)));
	case LEDGER_ACCEPT:
		return to_other && strcmp(event, "contact_approved") == 0 &&
		       text_is(payload, "contact_id", user);
	case LEDGER_DECLINE:
		return to_other && strcmp(event, "contact_declined") == 0 &&
		       text_is(payload, "contact_id", user);
	case LEDGER_REMOVE:
		return to_other && strcmp(event, "contact_removed") == 0 &&
		       text_is(payload, "contact_id", user);
	case LEDGER_LIST: return to_user && strcmp(event, "contact_list") == 0;
	case LEDGER_REQUESTS:
		return to_user && strcmp(event, "contact_requests") == 0 &&
		       json_is_array(json_object_get(payload, "contact_requests"));
	case LEDGER_PING: return to_user && is_numbered(command, event, "pong", payload);
	case LEDGER_APPEND: return to_user && is_numbered(command, event, "appended", payload);
	case LEDGER_COUNT: return to_user && is_numbered(command, event, "counted", payload);
	case LEDGER_TRANSFER: return to_user && is_numbered(command, event, "transferred", payload);
	case LEDGER_REFUSED:
		return to_user && strcmp(event, "command_rejected") == 0 &&
		       text_is(payload, "command", ledger_command_name(command));
	case LEDGER_KINDS: break;
	}
	return false;
}

/* The observer sees a command for the first time: all before it have been seen. */
static void check_order(struct ledger *ledger, const struct ledger_command *command)
{
	struct ledger_user *user = &ledger->users[command->user];
	for (size_t i = user->first_unseen; i + 1 < command->number; i++) {
		const struct ledger_command *before = user->commands[i];
		if (before->seen == 0 && !before->broker_killed && !ledger_is_dead(before))
			violate(ledger, "%s:%u (%s) overtook %s:%u (%s)", user->name, command->number,
				ledger_command_name(command), user->name, before->number,
				ledger_command_name(before));
	}
	while (user->first_unseen < user->count &&
		(user->commands[user->first_unseen]->seen > 0 ||
			ledger_is_dead(user->commands[user->first_unseen]) ||
			user->commands[user->first_unseen] == command))
		user->first_unseen++;
}

static struct ledger_command *find(struct ledger *ledger, const char *correlation)
{
	unsigned user, number;
	char end;
	if (sscanf(correlation, "p%2u:%u%c", &user, &number, &end) != 2 || user >= LEDGER_USERS ||
		number == 0 || number > ledger->users[user].count)
		return NULL;
	return ledger->users[user].commands[number - 1];
}

void ledger_event(struct ledger *ledger, bool observer, const char *topic, const char *payload, size_t size,
	const char *correlation)
{
	struct ledger_command *command = find(ledger, correlation);
	const char *slash = strchr(topic, '/');
	char to[LEDGER_NAME_SIZE];
	snprintf(to, sizeof(to), "%.*s", slash ? (int)(slash - topic) : 0, topic);
	if (ledger->stranger && strcmp(to, ledger->stranger) == 0)
		return;
	if (strncmp(to, "trial_", strlen("trial_")) ==
		0) /* new settings are tried out: what the token may publish */
		return;
	ledger_note(ledger, "%s %s %s %.*s", observer ? "observed" : "received", correlation, topic,
		(int)size, payload);
	json_t *json = json_loadb(payload, size, JSON_DECODE_ANY, NULL);
	if (!command || !slash)
		violate(ledger, "an event that no command has caused: %s %.*s (correlation \"%s\")", topic,
			(int)size, payload, correlation);
	else if (!fits(ledger, command, to, slash + 1, json))
		violate(ledger, "%s %s is answered by %s %.*s", ledger_command_name(command), correlation,
			topic, (int)size, payload);
	else if (command->kind == LEDGER_LIST)
		check_list(ledger, command, json);
	json_decref(json);
	if (!command)
		return;
	if (observer) {
		if (command->seen == 0)
			check_order(ledger, command);
		ledger_trail_add(&ledger->users[command->user].events, command->number);
		ledger->figures.events++;
		/* Of two who ask each other, one causes several events. */
		ledger->figures.duplicates += command->seen++ > 0 && command->kind != LEDGER_REQUEST;
	} else {
		command->received = true;
	}
	complete(ledger, command);
}

void ledger_broker_killed(struct ledger *ledger)
{
	for (size_t user = 0; user < LEDGER_USERS; user++) {
		ledger->users[user].killed_count = ledger->users[user].count;
		for (size_t i = ledger->users[user].first_open; i < ledger->users[user].count; i++)
			ledger->users[user].commands[i]->broker_killed |=
				!ledger->users[user].commands[i]->complete;
	}
}

void ledger_print_open(const struct ledger *ledger)
{
	size_t printed = 0;
	for (size_t user = 0; user < LEDGER_USERS; user++) {
		const struct ledger_user *sender = &ledger->users[user];
		for (size_t i = sender->first_open; i < sender->count && printed < OPEN_PRINTED; i++) {
			const struct ledger_command *command = sender->commands[i];
			if (command->complete)
				continue;
			print_error("open: %s:%u %s, PUBACK %s, seen %u times, %s, sent %lld ms ago%s\n",
				sender->name, command->number, ledger_command_name(command),
				command->acknowledged ? "yes" : "no", command->seen,
				command->received ? "received" : "not received",
				(long long)(harness_now_ms() - command->sent_ms),
				command->broker_killed ? ", open when the broker was killed" : "");
			printed++;
		}
	}
	print_error("%zu commands are open of %zu\n", ledger->open, ledger->figures.commands);
}
