/*
 * quota_parts.h - a quota over a clock of the test's own, sessions of a broker's, and a log that the test reads.
 *
 * Include it in one source file.
 */
#ifndef QUOTA_PARTS_H
#define QUOTA_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its sources are part of the test. */
#include "quota.c"
#include "quota_limits.c"
#include "quota_table.c"

/* ---- A quota, a broker's sessions, a log ---- */

struct world {
	struct quota quota;
	int64_t now_ms;
	unsigned lines;
	char line[QUOTA_LINE_SIZE]; /* the last one */
	char sessions[2048];	    /* of the broker, each with a blank before and behind it */
	unsigned asked;
};

static char clients[100]; /* keys */

static void take_line(const char *line, void *context)
{
	struct world *world = context;
	world->lines++;
	snprintf(world->line, sizeof(world->line), "%s", line);
}

static bool broker_has_session(const char *client_id, void *context)
{
	struct world *world = context;
	char name[300];
	world->asked++;
	snprintf(name, sizeof(name), " %s ", client_id);
	return strstr(world->sessions, name);
}

static void world_init_with(struct world *world, const struct quota_limits *limits, size_t users_max)
{
	*world = (struct world){.now_ms = 1000000};
	const struct quota_callbacks callbacks = {
		.report = take_line, .session_exists = broker_has_session, .context = world};
	assert_int_equal(quota_init(&world->quota, limits, &callbacks, users_max, 100), 0);
}

static void world_init(struct world *world)
{
	struct quota_limits limits;
	quota_limits_init(&limits);
	world_init_with(world, &limits, 1000);
}

static bool begin(struct world *world, const char *user, const char *client_id, size_t client,
	enum quota_session_kind kind)
{
	return quota_session_begin(&world->quota, user, client_id, &clients[client], kind, world->now_ms);
}

static void end(struct world *world, const char *user, const char *client_id, size_t client)
{
	quota_session_end(&world->quota, user, client_id, &clients[client]);
}

/* Client ids u/0, u/1 ... with a key each. */
static unsigned begin_many(struct world *world, unsigned count, enum quota_session_kind kind)
{
	unsigned passed = 0;
	for (unsigned i = 0; i < count; i++) {
		char id[16];
		snprintf(id, sizeof(id), "u/%u", i);
		passed += begin(world, "u", id, i, kind);
	}
	return passed;
}

static void end_many(struct world *world, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char id[16];
		snprintf(id, sizeof(id), "u/%u", i);
		end(world, "u", id, i);
	}
}

#endif
