/*
 * promise_store.c - what the store must hold once all commands of a test of the promise are complete: see
 * promise_ledger.h.
 *
 * Each document is looked up in the ledger and must be one that the commands leave, and there must be as many
 * as they leave. What LEDGER_ASK leaves is deleted then: should it appear again, a command has come again
 * after it was acknowledged.
 */
#include "promise_ledger.h"
#include "promise_order.h"

#include "harness_private.h"
#include <string.h>

static unsigned user_number(const json_t *document, const char *field)
{
	const char *text = json_string_value(json_object_get(document, field));
	unsigned user;
	char end;
	return text && sscanf(text, "p%2u%c", &user, &end) == 1 && user < LEDGER_USERS ? user : LEDGER_USERS;
}

/* {_id: "<owner>/<other>", user_id: owner, OTHER: other, SINCE: a date}, and nothing else. */
static bool well_formed(const json_t *document, const char *other, const char *since)
{
	char id[2 * LEDGER_NAME_SIZE];
	const char *found = json_string_value(json_object_get(document, "_id")),
		   *owner = json_string_value(json_object_get(document, "user_id")),
		   *other_id = json_string_value(json_object_get(document, other));
	if (!found || !owner || !other_id || json_object_size(document) != 4 ||
		!json_is_string(json_object_get(json_object_get(document, since), "$date")))
		return false;
	snprintf(id, sizeof(id), "%s/%s", owner, other_id);
	return strcmp(found, id) == 0;
}

__attribute__((noreturn)) static void fail_on(const char *collection, const json_t *document)
{
	char text[500] = "";
	char *dump = json_dumps(document, 0);
	snprintf(text, sizeof(text), "%s", dump ? dump : "");
	free(dump);
	harness_fail("in %s there is a document that no command should have left: %s", collection, text);
}

static void check_count(const char *what, size_t found, size_t expected)
{
	if (found != expected)
		harness_fail("there are %zu %s, where the commands leave %zu", found, what, expected);
}

static void check_contacts(struct ledger *ledger, struct database *database)
{
	json_t *documents = database_find(ledger->harness, database, "contacts", "{}"), *document;
	size_t i, expected = 0;
	for (unsigned a = 0; a < LEDGER_USERS; a++)
		for (unsigned b = a + 1; b < LEDGER_USERS; b++)
			expected += ledger->pairs[a][b].contacts ? 2 : 0;
	json_array_foreach(documents, i, document)
	{
		const unsigned user = user_number(document, "user_id"),
			       other = user_number(document, "contact_id");
		if (!well_formed(document, "contact_id", "since") || user == LEDGER_USERS ||
			other == LEDGER_USERS || user == other ||
			!ledger_pair_of(ledger, user, other)->contacts)
			fail_on("contacts", document);
	}
	check_count("contacts", json_array_size(documents), expected);
	json_decref(documents);
}

/* One that nobody else touches. */
static bool leaves_request(const struct ledger_command *command)
{
	return command->kind == LEDGER_ASK || (command->kind == LEDGER_UNSTEADY && !ledger_is_dead(command));
}

/* Whether it is what a LEDGER_ASK of this stage has left. */
static bool was_asked(const struct ledger *ledger, const json_t *document)
{
	const char *contact = json_string_value(json_object_get(document, "user_id"));
	unsigned stage, user, number;
	char expected[LEDGER_NAME_SIZE];
	if (!contact || sscanf(contact, "x%4u-%2u-%u", &stage, &user, &number) != 3 ||
		stage != ledger->stage || user >= LEDGER_USERS || number == 0 ||
		number > ledger->users[user].count)
		return false;
	struct ledger_command *command = ledger->users[user].commands[number - 1];
	ledger_write_contact(command, expected);
	/* Such dates can be compared as texts once the Z is off: "...:05" comes before "...:05.001". */
	const char *date =
		json_string_value(json_object_get(json_object_get(document, "requested_at"), "$date"));
	snprintf(command->effect_at, sizeof(command->effect_at), "%.*s", (int)strcspn(date, "Z"), date);
	return leaves_request(command) && strcmp(contact, expected) == 0 &&
	       user_number(document, "from") == user;
}

/* What a user's commands of this stage have left is as old as they are. The broker's loss is nobody's. */
static void check_effects_in_order(const struct ledger *ledger)
{
	for (size_t user = 0; user < LEDGER_USERS; user++) {
		const struct ledger_command *before = NULL;
		for (size_t i = 0; i < ledger->users[user].count; i++) {
			const struct ledger_command *command = ledger->users[user].commands[i];
			if (!leaves_request(command) || command->stage != ledger->stage ||
				command->broker_killed)
				continue;
			if (before && strcmp(before->effect_at, command->effect_at) > 0)
				harness_fail(
					"the effect of %s:%u is of %s, and that of %s:%u, sent later, of %s",
					ledger->users[user].name, before->number, before->effect_at,
					ledger->users[user].name, command->number, command->effect_at);
			before = command;
		}
	}
}

static bool was_requested(struct ledger *ledger, const json_t *document)
{
	const unsigned user = user_number(document, "user_id"), from = user_number(document, "from");
	return user != LEDGER_USERS && from != LEDGER_USERS && user != from &&
	       ledger_pair_of(ledger, user, from)->asked[from > user];
}

static void check_requests(struct ledger *ledger, struct database *database)
{
	json_t *documents = database_find(ledger->harness, database, "contact_requests", "{}"), *document;
	size_t i, expected = 0;
	for (unsigned a = 0; a < LEDGER_USERS; a++)
		for (unsigned b = a + 1; b < LEDGER_USERS; b++)
			expected += ledger->pairs[a][b].asked[0] + ledger->pairs[a][b].asked[1];
	for (size_t user = 0; user < LEDGER_USERS; user++)
		for (size_t n = ledger->users[user].count;
			n-- > 0 && ledger->users[user].commands[n]->stage == ledger->stage;)
			expected += leaves_request(ledger->users[user].commands[n]);
	json_array_foreach(documents, i, document)
	{
		if (!well_formed(document, "from", "requested_at") ||
			(!was_asked(ledger, document) && !was_requested(ledger, document)))
			fail_on("contact_requests", document);
	}
	check_count("requests", json_array_size(documents), expected);
	json_decref(documents);
	check_effects_in_order(ledger);
	/* Nobody answers these: they would only make the next stage slower. */
	database_command(ledger->harness, database,
		"{\"delete\":\"contact_requests\",\"deletes\":[{\"q\":{\"_id\":{\"$gte\":\"x\"}},\"limit\":0}"
		"]}");
}

/* ---- What counts once ---- */

static size_t count_kind(const struct ledger *ledger, unsigned user, enum ledger_kind kind)
{
	size_t count = 0;
	for (size_t i = 0; i < ledger->users[user].count; i++)
		count += ledger->users[user].commands[i]->kind == kind;
	return count;
}

/* 0 where there is no such document. */
static json_int_t number_in(const json_t *documents, const char *id, const char *field)
{
	size_t i;
	json_t *document;
	json_array_foreach(documents, i, document)
	{
		const char *found = json_string_value(json_object_get(document, "_id"));
		if (found && strcmp(found, id) == 0)
			return json_integer_value(json_object_get(document, field));
	}
	return 0;
}

static void check_number(const json_t *documents, const char *id, const char *field, json_int_t expected)
{
	const json_int_t found = number_in(documents, id, field);
	if (found != expected)
		harness_fail("%s of %s is %lld, where the commands leave %lld", field, id, (long long)found,
			(long long)expected);
}

/* Exact, of all stages: their senders give ids, and the same when they repeat. */
static void check_counts(struct ledger *ledger, struct database *database)
{
	json_t *counters = database_find(ledger->harness, database, "counters", "{}"),
	       *purses = database_find(ledger->harness, database, "purses", "{}");
	for (unsigned user = 0; user < LEDGER_USERS; user++) {
		const char *name = ledger->users[user].name;
		const json_int_t moved = (json_int_t)count_kind(ledger, user, LEDGER_TRANSFER);
		check_number(counters, name, "total", (json_int_t)count_kind(ledger, user, LEDGER_COUNT));
		check_number(purses, harness_format(ledger->harness, "%s/pocket", name), "coins", -moved);
		check_number(purses, harness_format(ledger->harness, "%s/jar", name), "coins", moved);
	}
	json_decref(counters);
	json_decref(purses);
}

/* A command that is dead comes again where its PUBACK was lost with its host, and is dead at once: a second letter of the same payload, which no
 * other command has. */
size_t ledger_dead_commands(struct ledger *ledger, struct database *database)
{
	json_t *letters = database_find(ledger->harness, database, "dead_letters", "{}"), *letter,
	       *commands = json_object();
	size_t i;
	json_array_foreach(letters, i, letter)
	{
		const char *topic = json_string_value(json_object_get(letter, "topic")),
			   *payload = json_string_value(json_object_get(
				   json_object_get(json_object_get(letter, "payload"), "$binary"), "base64"));
		if (!payload || !topic || !strstr(topic, "/unsteady"))
			fail_on("dead_letters", letter);
		json_object_set_new(commands, payload, json_true());
	}
	const size_t count = json_object_size(commands);
	json_decref(commands);
	json_decref(letters);
	return count;
}

void ledger_check_store(struct ledger *ledger, struct database *database)
{
	if (ledger->open != 0)
		harness_fail("%zu commands are not complete", ledger->open);
	check_contacts(ledger, database);
	check_requests(ledger, database);
	check_counts(ledger, database);
	check_count("dead commands", ledger_dead_commands(ledger, database), ledger->figures.dead);
	check_count("parked commands that are not done",
		database_count(ledger->harness, database, "parked_commands", "{\"done\":null}"), 0);
	ledger->stage++;
	ledger_trails_begin(ledger);
	for (size_t user = 0; user < LEDGER_USERS; user++)
		ledger->users[user].accepted = 0;
}
