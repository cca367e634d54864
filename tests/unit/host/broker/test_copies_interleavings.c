/*
 * test_copies_interleavings.c - copies.c: every interleaving of up to four commands of two users with two cuts.
 *
 * What is asked, of each user: the first effects are in the order of sending, so are the last ones, and none is missing. A command has its effect when
 * it runs, which may be at any time after those of its user before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "copies.h"
#include "copies_parts.h"

/* ---- Every interleaving ---- */

/*
 * A world: a broker, the host's places, its users' lines, and copies. It is run anew from the beginning for each row of choices, and the choices are
 * counted up like the digits of a number: every interleaving comes once. A world that comes into a state that was seen before ends there: what may
 * follow has been tried. Of the past a state holds what is judged: whose first effects there were, and the order of the last ones.
 *
 * The broker has up to four commands, whose users are the bits of a number. It sends them in order; after a cut it sends what it has not been PUBACKed
 * again from the first on, with DUP where it was sent before. A PUBACK that was released is read by the broker now or is lost at the next cut.
 */
enum { COMMANDS = 4, CUTS = 2, RUNS_MAX = COMMANDS * (CUTS + 1), CHOICES = 64 };

struct run {
	unsigned command; /* which one of the broker's */
	bool done;
	struct place *place; /* NULL: it has none any more */
};

static struct {
	/* choices */
	unsigned digits[CHOICES], limits[CHOICES], depth, length;
	/* the broker */
	unsigned count, users, sent, acknowledged,
		sent_ever; /* next to be sent, and how many from the first on were PUBACKed */
	bool same_mid;
	unsigned released[COMMANDS * (CUTS + 1)], released_count, read; /* PUBACKs on this link */
	/* the host */
	struct run runs[RUNS_MAX];
	unsigned run_count, effects[RUNS_MAX], effect_count;
	struct places places;
	unsigned cuts;
	uint64_t kept_next; /* what copies may still match: places of that rank or a higher one */
} world;

/* ---- States that were seen ---- */

enum { STATES = 1 << 22 };

static uint64_t *states;
static size_t state_count;

static void mix(uint64_t *hash, uint64_t value)
{
	*hash = (*hash ^ value) * 0x9e3779b97f4a7c15u;
	*hash ^= *hash >> 29;
}

static unsigned user_of(unsigned command);

/* All that decides what can happen, and how it is judged. */
static uint64_t state_hash(void)
{
	uint64_t hash = 1;
	mix(&hash, world.sent), mix(&hash, world.acknowledged), mix(&hash, world.sent_ever),
		mix(&hash, world.cuts);
	mix(&hash, world.released_count - world.read);
	for (unsigned user = 0; user < 2; user++) {
		mix(&hash, 77);
		for (unsigned i = 0; i < world.run_count; i++) {
			const struct run *run = &world.runs[i];
			if (user_of(run->command) != user || (run->done && !run->place))
				continue;
			mix(&hash, run->command << 2 | run->done << 1 | 1);
			if (!run->place)
				mix(&hash, 5);
			else if (run->place->kept)
				mix(&hash, run->place->number < world.kept_next
						   ? 6
						   : 100 + run->place->number - world.kept_next);
			else
				mix(&hash, 200 + run->place->number);
		}
	}
	unsigned seen = 0;
	for (unsigned i = 0; i < world.effect_count; i++)
		seen |= 1u << world.effects[i];
	mix(&hash, seen);
	/* The last effects of each user, in order. */
	for (unsigned user = 0; user < 2; user++) {
		mix(&hash, 88);
		for (unsigned i = 0; i < world.effect_count; i++) {
			bool last = user_of(world.effects[i]) == user;
			for (unsigned j = i + 1; j < world.effect_count; j++)
				last = last && world.effects[j] != world.effects[i];
			if (last)
				mix(&hash, world.effects[i] + 1);
		}
	}
	return hash != 0 ? hash : 1;
}

static bool seen_before(void)
{
	const uint64_t hash = state_hash();
	size_t at = hash % STATES;
	for (; states[at] != 0; at = (at + 1) % STATES)
		if (states[at] == hash)
			return true;
	states[at] = hash;
	assert_true(++state_count < STATES / 2);
	return false;
}

static unsigned choose(unsigned limit)
{
	if (limit == 1)
		return 0;
	assert_true(world.depth < CHOICES);
	if (world.depth == world.length) {
		world.digits[world.length] = 0;
		world.limits[world.length++] = limit;
	}
	assert_int_equal(world.limits[world.depth], limit);
	return world.digits[world.depth++];
}

static bool next_choices(void)
{
	while (world.length > 0 && world.digits[world.length - 1] + 1 == world.limits[world.length - 1])
		world.length--;
	if (world.length > 0)
		world.digits[world.length - 1]++;
	return world.length > 0;
}

static unsigned user_of(unsigned command)
{
	return world.users >> command & 1;
}

static void forget_place(void *owner, struct place *place)
{
	assert_ptr_equal(owner, &world);
	for (unsigned i = 0; i < world.run_count; i++)
		if (world.runs[i].place == place)
			world.runs[i].place = NULL;
	free(place);
}

/* The next command of the broker comes to the host. Equal contents and, where they are free, equal identifiers are the hardest: fingerprint 1. */
static void world_send(void)
{
	const unsigned command = world.sent++;
	const bool dup = command < world.sent_ever;
	const uint16_t mid = (uint16_t)(world.same_mid ? command % 2 + 1 : command + 1);
	struct place *place = NULL;
	if (command >= world.sent_ever)
		world.sent_ever = command + 1;
	if (copies_any(copies) && dup)
		place = copies_take(copies, mid, user_of(command), 1);
	else if (copies_any(copies))
		copies_end(copies);
	if (place)
		world.kept_next = place->number + 1;
	if (!place) {
		assert_true(world.run_count < RUNS_MAX);
		place = make(0, mid, user_of(command), 1);
		world.runs[world.run_count++] = (struct run){.command = command, .place = place};
	}
	/* It stands for what the broker has sent now. */
	place->number = command;
	places_append(&world.places, place);
}

/* The first of a user that has not run. */
static struct run *world_turn(unsigned user)
{
	for (unsigned i = 0; i < world.run_count; i++)
		if (!world.runs[i].done && user_of(world.runs[i].command) == user)
			return &world.runs[i];
	return NULL;
}

/* A first effect comes after those of its user before it: judged here, since a world may end in a state that was seen. */
static void world_run(struct run *run)
{
	unsigned seen = 0;
	for (unsigned i = 0; i < world.effect_count; i++)
		seen |= 1u << world.effects[i];
	for (unsigned i = 0; i < run->command; i++)
		if (user_of(i) == user_of(run->command) && (seen >> i & 1) == 0)
			fail_msg("%u has its effect before %u", run->command, i);
	/* And none skips ahead of its user's last effect: after n comes n + 1 at most. */
	for (unsigned i = world.effect_count; i-- > 0;) {
		if (user_of(world.effects[i]) != user_of(run->command))
			continue;
		for (unsigned between = world.effects[i] + 1; between < run->command; between++)
			if (user_of(between) == user_of(run->command))
				fail_msg("after %u comes %u", world.effects[i], run->command);
		break;
	}
	run->done = true;
	world.effects[world.effect_count++] = run->command;
	if (run->place)
		run->place->settled = true;
}

static void world_release(void)
{
	struct place *place = world.places.first;
	world.released[world.released_count++] = (unsigned)place->number;
	places_remove(&world.places, place);
	forget_place(&world, place);
}

/* The link ends: PUBACKs that were not read are lost. */
static void world_cut(void)
{
	world.cuts++;
	copies_keep(copies, &world.places);
	world.kept_next = 0;
	world.released_count = world.read = 0;
	world.sent = world.acknowledged;
}

enum world_end { GOES_ON, ENDED, SEEN };

/* One step, as the next choice says. ENDED: nothing is left to be done. */
static enum world_end world_step(void)
{
	enum { SEND, RUN_0, RUN_1, RELEASE, READ, CUT } steps[8];
	unsigned count = 0;
	/* mosquitto gives an identifier again only when it has read the PUBACK. */
	if (world.sent < world.count && (!world.same_mid || world.sent < world.acknowledged + 2))
		steps[count++] = SEND;
	if (world_turn(0))
		steps[count++] = RUN_0;
	if (world_turn(1))
		steps[count++] = RUN_1;
	if (world.places.first && world.places.first->settled)
		steps[count++] = RELEASE;
	if (world.read < world.released_count)
		steps[count++] = READ;
	if (count == 0)
		return ENDED;
	if (world.cuts < CUTS && world.sent > world.acknowledged)
		steps[count++] = CUT;
	/* Only behind the choices that lead here anew. */
	if (world.depth == world.length && seen_before())
		return SEEN;
	switch (steps[choose(count)]) {
	case SEND: world_send(); break;
	case RUN_0: world_run(world_turn(0)); break;
	case RUN_1: world_run(world_turn(1)); break;
	case RELEASE: world_release(); break;
	case READ:
		assert_int_equal(world.released[world.read++], world.acknowledged);
		world.acknowledged++;
		break;
	case CUT: world_cut(); break;
	}
	return GOES_ON;
}

static void describe(char text[static 200])
{
	int at = snprintf(text, 200, "users %u of %u, same identifiers %d, effects", world.users, world.count,
		world.same_mid);
	for (unsigned i = 0; i < world.effect_count; i++)
		at += snprintf(text + at, 200 - (size_t)at, " %u", world.effects[i]);
}

/* The first effects of each user are in order, so are the last ones, none is missing, and after n comes n + 1 at most. */
static void world_judge(void)
{
	unsigned first[COMMANDS], last[COMMANDS], seen = 0;
	char text[200];
	describe(text);
	for (unsigned i = 0; i < world.effect_count; i++) {
		if ((seen >> world.effects[i] & 1) == 0)
			first[world.effects[i]] = i;
		last[world.effects[i]] = i;
		seen |= 1u << world.effects[i];
	}
	if (seen != (1u << world.count) - 1)
		fail_msg("missing: %s", text);
	for (unsigned a = 0; a < world.count; a++)
		for (unsigned b = a + 1; b < world.count; b++)
			if (user_of(a) == user_of(b) && (first[a] > first[b] || last[a] > last[b]))
				fail_msg("order: %s", text);
	/* Everything was acknowledged, and nothing is left anywhere. */
	assert_int_equal(world.acknowledged, world.count);
	assert_null(world.places.first);
	assert_true(world.cuts > 0 || world.effect_count == world.count);
}

static unsigned long interleavings(unsigned count, unsigned users, bool same_mid)
{
	unsigned long worlds = 0;
	world.length = 0;
	memset(states, 0, STATES * sizeof(*states));
	state_count = 0;
	do {
		world.depth = world.count = world.sent = world.acknowledged = world.sent_ever = 0;
		world.released_count = world.read = world.run_count = world.effect_count = world.cuts = 0;
		world.count = count, world.users = users, world.same_mid = same_mid;
		world.places = (struct places){0};
		copies = copies_new(forget_place, &world);
		assert_non_null(copies);
		enum world_end end;
		while ((end = world_step()) == GOES_ON)
			continue;
		if (end == ENDED)
			world_judge();
		while (world.places.first) {
			struct place *place = world.places.first;
			places_remove(&world.places, place);
			free(place);
		}
		copies_free(copies);
		worlds++;
	} while (next_choices());
	return worlds;
}

static void every_interleaving(void **state)
{
	(void)state;
	unsigned long worlds = 0;
	states = calloc(STATES, sizeof(*states));
	assert_non_null(states);
	for (unsigned count = 1; count <= COMMANDS; count++)
		for (unsigned users = 0; users < 1u << count; users += 2)
			for (unsigned same_mid = 0; same_mid < 2; same_mid++)
				worlds += interleavings(count, users, same_mid == 1);
	free(states);
	print_message("%lu worlds\n", worlds);
	assert_true(worlds > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_interleaving),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
