/* promise_order.c - the order of each user's effects, by a ledger's trails: see promise_ledger.h and order.h. */
#include "promise_order.h"

#include "order.h"
#include "panic.h"

enum { LINE_SIZE = 100 };

void ledger_trail_add(struct ledger_trail *trail, unsigned number)
{
	if (trail->count == trail->capacity) {
		trail->capacity = trail->capacity ? 2 * trail->capacity : 64;
		trail->numbers = panic_if_null(
			reallocarray(trail->numbers, trail->capacity, sizeof(trail->numbers[0])));
	}
	trail->numbers[trail->count++] = number;
}

void ledger_trails_begin(struct ledger *ledger)
{
	for (size_t user = 0; user < LEDGER_USERS; user++) {
		struct ledger_user *sender = &ledger->users[user];
		sender->events.count = sender->lines.count = 0;
		sender->stage_first = sender->count;
		sender->killed_count = 0;
	}
}

bool ledger_was_broker_killed(const struct ledger *ledger)
{
	for (size_t user = 0; user < LEDGER_USERS; user++)
		if (ledger->users[user].killed_count > 0)
			return true;
	return false;
}

/* The lines "USER NUMBER" that have come since the last stage. */
static void read_lines(struct ledger *ledger, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE_SIZE], end;
	unsigned user, number;
	if (!file)
		return; /* none was left yet, which the check of what is missing finds */
	if (fseek(file, ledger->lines_end, SEEK_SET) != 0)
		harness_fail("%s cannot be read", path);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "p%2u %u%c", &user, &number, &end) != 3 || end != '\n' ||
			user >= LEDGER_USERS)
			harness_fail("in %s there is a line that append does not leave: %s", path, line);
		ledger_trail_add(&ledger->users[user].lines, number);
	}
	ledger->lines_end = ftell(file);
	fclose(file);
}

/* Whether it leaves an effect of the kind that is looked at, in a place of its own. */
static bool counts(const struct ledger_command *command, bool lines)
{
	return lines ? command->kind == LEDGER_APPEND : !ledger_is_dead(command);
}

/* The commands of the stage that count get places from 1; others, and those whose broker was killed, have none. */
static unsigned choose_places(const struct ledger_user *user, bool lines, unsigned *places)
{
	const size_t first = user->killed_count > user->stage_first ? user->killed_count : user->stage_first;
	unsigned count = 0;
	for (size_t i = first; i < user->count; i++)
		if (counts(user->commands[i], lines))
			places[i] = ++count;
	return count;
}

static void check_trail(
	const struct ledger_user *user, const struct ledger_trail *trail, bool lines, bool without_kill)
{
	char reason[ORDER_REASON_SIZE];
	unsigned *places = panic_if_null(calloc(user->count + 1, sizeof(*places)));
	unsigned *effects = panic_if_null(calloc(trail->count + 1, sizeof(*effects)));
	const unsigned count = choose_places(user, lines, places);
	size_t size = 0;
	for (size_t i = 0; i < trail->count; i++) {
		const unsigned number = trail->numbers[i];
		if (number < 1 || number > user->count || number <= user->stage_first)
			harness_fail("%s:%u has left an effect, and was complete in an earlier stage",
				user->name, number);
		if (places[number - 1] != 0)
			effects[size++] = places[number - 1];
	}
	const bool holds = order_holds(effects, size, count, without_kill ? ORDER_STEPS : 0, reason);
	free(places);
	free(effects);
	if (!holds)
		harness_fail("the %s of %s in stage %u, counted from 1, are not in order: %s",
			lines ? "lines" : "events", user->name, user->commands[user->stage_first]->stage,
			reason);
}

void ledger_check_order(struct ledger *ledger, const char *lines, bool without_kill)
{
	read_lines(ledger, lines);
	for (size_t user = 0; user < LEDGER_USERS; user++) {
		const struct ledger_user *sender = &ledger->users[user];
		if (sender->stage_first == sender->count)
			continue;
		check_trail(sender, &sender->events, false, without_kill);
		check_trail(sender, &sender->lines, true, without_kill);
	}
}
