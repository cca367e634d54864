/*
 * doctor_store.c - MongoDB: whether it answers, what it is, how it acknowledges, what is in it.
 *
 * Happy path: open a pool of one as the host opens its own, ask, and look. Nothing is written but a delete
 * that no document matches, with the write concern in force: indexes are cashewd's to make. Failure: a server
 * that is not there, or does not let us in, costs the driver's time-outs, some seconds.
 */
#include "clock.h"
#include "doctor.h"
#include "doctor_advice.h"

#include "configuration.h"
#include "dead_letters.h"
#include "documents_indexes.h"
#include "parked_commands.h"
#include "store_describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLDEST_MAJOR = 6, SLOW_MS = 100, OVERDUE_MS = 60000, USERS_MAX = 100, PINGS = 5 };

void doctor_store_fails(struct doctor *doctor, const char *what, int error)
{
	const char *words = store_last_error(doctor->client);
	const struct doctor_advice advice = doctor_advice_of(error, store_last_code(doctor->client), words);
	doctor_fail(doctor, "%s: %s", what, words);
	if (advice.after_name)
		doctor_advise(doctor, "%s %s%s", advice.text, store_database_name(doctor->store),
			advice.after_name);
	else
		doctor_advise(doctor, "%s", advice.text);
}

/* ---- The server ---- */

static void tell_notes(struct doctor *doctor, const char *notes)
{
	for (size_t size; *notes != '\0'; notes += size + 1) {
		size = strcspn(notes, "\n");
		doctor_warn(doctor, "%.*s", (int)size, notes);
	}
}

static bool open_store(struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	char message[STORE_MESSAGE_SIZE];
	const int r = store_open(&(const struct store_options){.url = settings->mongo_db_url,
					 .database = settings->mongo_db_name,
					 .app_name = "cashewd doctor",
					 .pool_size = 1,
					 .work_ms = settings->handler_timeout_s * 1000},
		&doctor->store, message);
	if (r == 0) {
		/* without memory for them, those of the handlers are not looked for */
		(void)!documents_want_indexes(doctor->store, doctor->configuration->handlers);
		doctor->client = store_acquire(doctor->store);
		tell_notes(doctor, store_notes(doctor->store));
		const char *own = store_certificate_file(doctor->store);
		if (own)
			doctor_own_certificate(doctor, "tlsCertificateKeyFile", own);
		return true;
	}
	doctor_fail(doctor, "MONGO_DB_URL: %s", message);
	doctor_advise(doctor, r == STORE_E_AWAY ? "check the name and /etc/resolv.conf"
						: "correct MONGO_DB_URL or MONGO_DB_NAME");
	return false;
}

static void tell_kind(struct doctor *doctor, const struct store_description *is, double ping_ms)
{
	char kind[384];
	if (is->kind == STORE_REPLICA_SET)
		snprintf(kind, sizeof(kind), "replica set %s of %u (%s)", is->set_name, is->members,
			is->hosts);
	else
		snprintf(kind, sizeof(kind), "%s",
			is->kind == STORE_SHARDED ? "sharded" : "standalone, without a second copy");
	doctor_ok(doctor, "MongoDB %s, %s, answers in %.2f ms; the database is %s",
		is->version[0] != '\0' ? is->version : "(?)", kind, ping_ms,
		store_database_name(doctor->store));
	if (is->kind == STORE_REPLICA_SET && is->direct && is->members > 1) {
		doctor_warn(doctor,
			"directConnection=true: when another member becomes primary, cashewd does not follow");
		doctor_advise(doctor, "take directConnection=true out of MONGO_DB_URL");
	}
	if (is->version[0] != '\0' && strtol(is->version, NULL, 10) < OLDEST_MAJOR) {
		doctor_warn(doctor, "MongoDB %s is older than cashewd is made for", is->version);
		doctor_advise(doctor, "take MongoDB %d or later", OLDEST_MAJOR);
	}
	if (ping_ms > SLOW_MS) {
		doctor_warn(doctor,
			"a round trip to the database takes %.0f ms: every command waits for several",
			ping_ms);
		doctor_advise(doctor, "put them closer together, or raise WORKERS");
	}
}

/* In the largest unit of which it has two. */
static void write_span(int64_t ms, char *ret, size_t size)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"days", 86400000}, {"hours", 3600000}, {"minutes", 60000}, {"seconds", 1000}};
	size_t unit = 0;
	while (unit + 1 < sizeof(units) / sizeof(units[0]) && ms < 2 * units[unit].ms)
		unit++;
	snprintf(ret, size, "%.0f %s", (double)ms / (double)units[unit].ms, units[unit].name);
}

static void tell_clock(struct doctor *doctor)
{
	int64_t ahead_ms;
	char span[32];
	if (!store_wall_clock_ahead_ms(doctor->store, &ahead_ms) || llabs(ahead_ms) <= STORE_CLOCK_APART_MS)
		return;
	write_span(llabs(ahead_ms), span, sizeof(span));
	doctor_warn(doctor, "this machine's clock is %s %s the database's", span,
		ahead_ms > 0 ? "ahead of" : "behind");
	doctor_advise(doctor,
		"run a time service (chrony, systemd-timesyncd) on both: tokens, certificates and the log go by this "
		"machine's clock, what is parked or dead by the database's");
}

void doctor_check_database(struct doctor *doctor)
{
	struct store_description is;
	double least_ms = 0;
	if (!open_store(doctor))
		return;
	int r = store_describe(doctor->client, &is);
	for (int i = 0; r == 0 && i < PINGS; i++) {
		const int64_t start = clock_us();
		r = store_ping(doctor->client);
		const double took_ms = (double)(clock_us() - start) / 1000;
		least_ms = i == 0 || took_ms < least_ms ? took_ms : least_ms;
	}
	if (r != 0) {
		doctor_store_fails(doctor, "the database cannot be used", r);
		return;
	}
	tell_kind(doctor, &is, least_ms);
	tell_clock(doctor);
}

/* ---- Writing ---- */

void doctor_check_writes(struct doctor *doctor)
{
	struct store_description is;
	int r = store_describe(doctor->client, &is);
	const int64_t start = clock_us();
	if (r == 0)
		r = store_write_nothing(doctor->client);
	if (r != 0) {
		doctor_store_fails(doctor, "the database does not take a write", r);
		return;
	}
	doctor_ok(doctor,
		"a write that changes nothing is acknowledged in %.1f ms (w=%s, journal=%s, wtimeout %" PRId64
		" ms)",
		(double)(clock_us() - start) / 1000, is.w, is.journal ? "true" : "false", is.wtimeout_ms);
	if (!is.journal) {
		doctor_warn(
			doctor, "journal=false: what the database has acknowledged is lost when it crashes");
		doctor_advise(doctor, "take journal=false out of MONGO_DB_URL");
	}
	if (!is.majority && is.kind != STORE_STANDALONE) {
		doctor_warn(doctor,
			"w=%s: what was acknowledged may be lost when another member becomes primary", is.w);
		doctor_advise(doctor, "take w=%s out of MONGO_DB_URL: w=majority is what cashewd sets", is.w);
	}
}

/* ---- Indexes ---- */

struct indexes {
	struct doctor *doctor;
	unsigned all, missing;
	char names[DOCTOR_TEXT_SIZE];
};

static void note_index(void *context, const struct store_index *index)
{
	struct indexes *indexes = context;
	const size_t size = strlen(indexes->names);
	indexes->all++;
	if (index->state == STORE_INDEX_MISSING) {
		indexes->missing++;
		snprintf(indexes->names + size, sizeof(indexes->names) - size, "%s%s.%s",
			size > 0 ? ", " : "", index->collection, index->name);
	} else if (index->state == STORE_INDEX_OTHER) {
		doctor_warn(indexes->doctor,
			"%s: another index is in the way of %s, by its name or its keys: %s",
			index->collection, index->name, index->found);
		doctor_advise(indexes->doctor,
			"drop it; cashewd makes the right one at its next start, and works without it, but slower, or does not remove "
			"old dead letters");
	}
}

void doctor_check_indexes(struct doctor *doctor)
{
	struct indexes indexes = {.doctor = doctor};
	const int r = store_indexes(doctor->client, note_index, &indexes);
	if (r != 0) {
		doctor_store_fails(doctor, "the indexes cannot be read", r);
	} else if (indexes.missing == indexes.all) {
		doctor_ok(doctor,
			"the database %s has none of the %u indexes yet: cashewd makes them at its first "
			"start",
			store_database_name(doctor->store), indexes.all);
	} else if (indexes.missing > 0) {
		doctor_warn(doctor, "%u of %u indexes are not there: %s", indexes.missing, indexes.all,
			indexes.names);
		doctor_advise(doctor,
			"cashewd makes them at its next start, and works without them, but slower; where it did not make them, "
			"its log says why (index_not_made)");
	} else if (doctor->outcome == DOCTOR_OK) {
		doctor_ok(doctor, "all %u indexes are there", indexes.all);
	}
}

/* ---- What waits ---- */

void doctor_check_waiting(struct doctor *doctor)
{
	const struct dead_letter_query every = {.handler = NULL};
	struct parked_user *users = NULL;
	size_t late = 0;
	uint64_t parked = 0, dead = 0;
	int r = parked_command_count(doctor->client, &parked);
	if (r == 0)
		r = dead_letter_count(doctor->client, &every, &dead);
	if (r == 0)
		r = parked_commands_due(doctor->client, NULL, 0, OVERDUE_MS, USERS_MAX, &users, &late);
	if (r != 0) {
		doctor_store_fails(doctor, "what waits cannot be counted", r);
		return;
	}
	doctor_ok(doctor, "%" PRIu64 " parked %s, %" PRIu64 " dead %s%s", parked,
		parked == 1 ? "command" : "commands", dead, dead == 1 ? "letter" : "letters",
		dead > 0 ? " (cashewd dead-letters list)" : "");
	if (late > 0) {
		doctor_warn(doctor,
			"nobody has taken what is due of %s%zu %s on %s for a minute, %s's among them",
			late == USERS_MAX ? "at least " : "", late, late == 1 ? "user" : "users",
			users[0].lane, users[0].user);
		doctor_advise(doctor,
			"does a host run, with the handlers that these commands need, and reach the "
			"database?");
	}
	parked_users_free(users, late);
}
