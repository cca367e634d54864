/*
 * quota.c - see quota.h. One entry a user in a bounded table: its buckets, its sessions, and what was refused since the last line about it.
 */
#include "quota.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECOND_MS = 1000, MINUTE_MS = 60000, IDLE_MS = 2 * MINUTE_MS, LINES_BURST = 5, KILOBYTE = 1024 };

static const char *const kind_names[QUOTA_KINDS] = {
	[QUOTA_MESSAGES] = "messages over the rate",
	[QUOTA_BYTES] = "messages over the rate of bytes",
	[QUOTA_RETAINED] = "retained messages",
	[QUOTA_CLOSED] = "connections that went on all the same",
	[QUOTA_SUBSCRIPTIONS] = "subscriptions",
	[QUOTA_CONNECTS] = "connects over the rate",
	[QUOTA_CONNECTIONS] = "connections",
	[QUOTA_SESSIONS] = "sessions",
	[QUOTA_LOGINS] = "logins after too many that failed",
};

/* What is left of a burst, in units of which one millisecond brings as many as the rate: one thing costs as many as the rate's period has
 * milliseconds. Nothing is lost to rounding so. */
struct bucket {
	int64_t left;
	int64_t at_ms;
	bool begun;
};

struct session {
	struct session *next;
	const void *client;  /* NULL: not connected */
	int64_t believed_ms; /* until then it is taken to be there: the broker said so */
	enum quota_session_kind kind;
	char id[];
};

struct entry {
	struct quota_node node; /* its pins are its connections */
	struct bucket messages, bytes, refusals, connects, lines;
	struct bucket logins; /* of an address */
	struct session *sessions;
	int64_t quiet_until_ms;
	unsigned refused[QUOTA_KINDS]; /* since the last line */
	bool unreported;
};

/* ---- Buckets ---- */

static void bucket_fill(
	struct bucket *bucket, unsigned rate, int64_t period_ms, unsigned burst, int64_t now_ms)
{
	const int64_t full = (int64_t)burst * period_ms;
	const int64_t passed_ms = now_ms - bucket->at_ms;
	bucket->at_ms = now_ms;
	if (!bucket->begun || passed_ms >= (full - bucket->left) / rate + 1)
		bucket->left = full;
	else
		bucket->left += passed_ms * rate;
	bucket->begun = true;
}

/* Whether it holds so many; after a fill. */
static bool bucket_holds(const struct bucket *bucket, int64_t period_ms, unsigned burst, size_t count)
{
	return bucket->left >= (int64_t)(count < burst ? count : burst) * period_ms;
}

static void bucket_pay(struct bucket *bucket, int64_t period_ms, size_t count)
{
	bucket->left -= (int64_t)count * period_ms;
}

/* ---- Reports ---- */

/* Appends what the counts say; returns false if all are 0. */
static bool counts_print(char *line, size_t size, const uint64_t counts[QUOTA_KINDS])
{
	size_t used = strlen(line);
	bool any = false;
	for (size_t i = 0; i < QUOTA_KINDS && used < size; i++) {
		if (counts[i] == 0)
			continue;
		(void)snprintf(line + used, size - used, "%s%" PRIu64 " %s", any ? ", " : "", counts[i],
			kind_names[i]);
		used += strlen(line + used);
		any = true;
	}
	return any;
}

static void report(struct quota *quota, struct entry *entry, int64_t now_ms)
{
	char line[QUOTA_LINE_SIZE];
	uint64_t counts[QUOTA_KINDS];
	for (size_t i = 0; i < QUOTA_KINDS; i++)
		counts[i] = entry->refused[i];
	(void)snprintf(line, sizeof(line), "%s %s is over its quota: refused ",
		counts[QUOTA_LOGINS] > 0 ? "address" : "user", entry->node.name);
	(void)counts_print(line, sizeof(line), counts);
	memset(entry->refused, 0, sizeof(entry->refused));
	entry->unreported = false;
	entry->quiet_until_ms = now_ms + MINUTE_MS;
	quota->callbacks.report(line, quota->callbacks.context);
}

/* Always false, for those who return it. */
static bool refuse(struct quota *quota, struct entry *entry, enum quota_kind kind, int64_t now_ms)
{
	quota->refused[kind]++;
	if (!entry)
		return false;
	entry->refused[kind]++;
	entry->unreported = true;
	if (now_ms >= entry->quiet_until_ms)
		report(quota, entry, now_ms);
	return false;
}

void quota_total(const struct quota *quota, char ret_line[QUOTA_LINE_SIZE])
{
	ret_line[0] = '\0';
	if (!counts_print(ret_line, QUOTA_LINE_SIZE, quota->refused))
		(void)snprintf(ret_line, QUOTA_LINE_SIZE, "nothing");
}

/* ---- Life ---- */

static void entry_drop(void *node)
{
	struct entry *entry = node;
	while (entry->sessions) {
		struct session *session = entry->sessions;
		entry->sessions = session->next;
		free(session);
	}
}

int quota_init(struct quota *quota, const struct quota_limits *limits,
	const struct quota_callbacks *callbacks, size_t users_max, size_t addresses_max)
{
	*quota = (struct quota){.limits = *limits, .callbacks = *callbacks};
	int error = quota_table_init(&quota->users, users_max, sizeof(struct entry), entry_drop);
	if (error != 0)
		return error;
	return quota_table_init(&quota->addresses, addresses_max, sizeof(struct entry), entry_drop);
}

void quota_free(struct quota *quota)
{
	quota_table_free(&quota->users);
	quota_table_free(&quota->addresses);
}

struct sweep {
	struct quota *quota;
	int64_t now_ms;
};

static bool entry_keep(void *node, void *context)
{
	struct entry *entry = node;
	const struct sweep *sweep = context;
	if (entry->unreported && sweep->now_ms >= entry->quiet_until_ms)
		report(sweep->quota, entry, sweep->now_ms);
	/* After two minutes all buckets are full again, but for a debt that a small rate takes longer to pay. */
	return entry->sessions || entry->unreported || entry->bytes.left < 0 ||
	       sweep->now_ms - entry->node.used_ms < IDLE_MS;
}

void quota_sweep(struct quota *quota, int64_t now_ms)
{
	struct sweep sweep = {.quota = quota, .now_ms = now_ms};
	quota_table_sweep(&quota->users, entry_keep, &sweep);
	quota_table_sweep(&quota->addresses, entry_keep, &sweep);
}

/* ---- Messages ---- */

/* Both buckets have to hold it before either pays: what is refused for its size does not cost a message. */
bool quota_publish(struct quota *quota, const char *user, size_t size, bool retain, int64_t now_ms)
{
	const struct quota_limits *limits = &quota->limits;
	struct entry *entry = quota_table_get(&quota->users, user, now_ms);
	if (retain && !limits->retained)
		return refuse(quota, entry, QUOTA_RETAINED, now_ms);
	if (!entry)
		return refuse(quota, NULL, QUOTA_MESSAGES, now_ms);
	if (limits->messages_per_second > 0) {
		bucket_fill(&entry->messages, limits->messages_per_second, SECOND_MS, limits->messages_burst,
			now_ms);
		if (!bucket_holds(&entry->messages, SECOND_MS, limits->messages_burst, 1))
			return refuse(quota, entry, QUOTA_MESSAGES, now_ms);
	}
	if (limits->bytes_per_second > 0) {
		bucket_fill(&entry->bytes, limits->bytes_per_second, SECOND_MS, limits->bytes_burst, now_ms);
		if (!bucket_holds(&entry->bytes, SECOND_MS, limits->bytes_burst, size))
			return refuse(quota, entry, QUOTA_BYTES, now_ms);
		bucket_pay(&entry->bytes, SECOND_MS, size);
	}
	if (limits->messages_per_second > 0)
		bucket_pay(&entry->messages, SECOND_MS, 1);
	return true;
}

void quota_properties(struct quota *quota, const char *user, size_t size, int64_t now_ms)
{
	const struct quota_limits *limits = &quota->limits;
	struct entry *entry = quota_table_get(&quota->users, user, now_ms);
	if (!entry || limits->bytes_per_second == 0)
		return;
	bucket_fill(&entry->bytes, limits->bytes_per_second, SECOND_MS, limits->bytes_burst, now_ms);
	bucket_pay(&entry->bytes, SECOND_MS, size);
}

bool quota_subscribe(struct quota *quota, const char *user, int count, int64_t now_ms)
{
	if (quota->limits.subscriptions == 0 || count < 0 || (unsigned)count < quota->limits.subscriptions)
		return true;
	return refuse(quota, quota_table_get(&quota->users, user, now_ms), QUOTA_SUBSCRIPTIONS, now_ms);
}

bool quota_refused(struct quota *quota, const char *user, size_t size, int64_t now_ms)
{
	const unsigned rate = quota->limits.refusals_per_second, burst = quota->limits.refusals_burst;
	struct entry *entry = quota_table_get(&quota->users, user, now_ms);
	if (!entry || rate == 0)
		return false;
	bucket_fill(&entry->refusals, rate, SECOND_MS, burst, now_ms);
	if (!bucket_holds(&entry->refusals, SECOND_MS, burst, 1))
		return !refuse(quota, entry, QUOTA_CLOSED, now_ms);
	bucket_pay(&entry->refusals, SECOND_MS, 1 + size / KILOBYTE);
	return false;
}

bool quota_may_log(struct quota *quota, const char *user, int64_t now_ms)
{
	struct entry *entry = quota_table_get(&quota->users, user, now_ms);
	if (!entry)
		return false;
	bucket_fill(&entry->lines, 1, MINUTE_MS, LINES_BURST, now_ms);
	if (!bucket_holds(&entry->lines, MINUTE_MS, LINES_BURST, 1))
		return false;
	bucket_pay(&entry->lines, MINUTE_MS, 1);
	return true;
}

/* ---- Connections and sessions ---- */

bool quota_connect(struct quota *quota, const char *user, int64_t now_ms)
{
	const unsigned rate = quota->limits.connects_per_minute;
	struct entry *entry = quota_table_get(&quota->users, user, now_ms);
	if (rate == 0)
		return true;
	if (!entry)
		return refuse(quota, NULL, QUOTA_CONNECTS, now_ms);
	bucket_fill(&entry->connects, rate, MINUTE_MS, rate, now_ms);
	if (!bucket_holds(&entry->connects, MINUTE_MS, rate, 1))
		return refuse(quota, entry, QUOTA_CONNECTS, now_ms);
	bucket_pay(&entry->connects, MINUTE_MS, 1);
	return true;
}

static struct session **session_place(struct entry *entry, const char *client_id)
{
	struct session **place = &entry->sessions;
	while (*place && strcmp((*place)->id, client_id) != 0)
		place = &(*place)->next;
	return place;
}

static void session_remove(struct session **place)
{
	struct session *session = *place;
	*place = session->next;
	free(session);
}

/* Of most sessions' ends nobody tells the plugin: so the broker is asked, once a minute and session at most, since to ask is not free. */
static bool session_is_there(struct quota *quota, struct session *session, int64_t now_ms)
{
	if (session->client || now_ms < session->believed_ms)
		return true;
	session->believed_ms = now_ms + MINUTE_MS;
	return quota->callbacks.session_exists(session->id, quota->callbacks.context);
}

static void forget_ended_sessions(struct quota *quota, struct entry *entry, int64_t now_ms)
{
	for (struct session **place = &entry->sessions; *place;) {
		if (session_is_there(quota, *place, now_ms))
			place = &(*place)->next;
		else
			session_remove(place);
	}
}

static unsigned lasting_sessions(const struct entry *entry)
{
	unsigned count = 0;
	for (const struct session *session = entry->sessions; session; session = session->next)
		count += !session->client || session->kind == QUOTA_SESSION_STAYS;
	return count;
}

static bool room_for_session(struct quota *quota, struct entry *entry, int64_t now_ms)
{
	const unsigned limit = quota->limits.sessions;
	if (limit == 0 || lasting_sessions(entry) < limit)
		return true;
	forget_ended_sessions(quota, entry, now_ms);
	return lasting_sessions(entry) < limit;
}

static struct session *session_add(struct entry *entry, const char *client_id)
{
	const size_t size = strlen(client_id) + 1;
	struct session *session = calloc(1, sizeof(*session) + size);
	if (!session)
		return NULL;
	memcpy(session->id, client_id, size);
	session->next = entry->sessions;
	entry->sessions = session;
	return session;
}

bool quota_session_begin(struct quota *quota, const char *user, const char *client_id, const void *client,
	enum quota_session_kind kind, int64_t now_ms)
{
	const struct quota_limits *limits = &quota->limits;
	struct entry *entry = quota_table_get(&quota->users, user, now_ms);
	if (!entry)
		return refuse(quota, NULL, QUOTA_CONNECTIONS, now_ms);
	if (strlen(client_id) > QUOTA_CLIENT_ID_MAX)
		return refuse(quota, entry, QUOTA_SESSIONS, now_ms);
	struct session *session = *session_place(entry, client_id);
	if ((!session || !session->client) && limits->connections > 0 &&
		entry->node.pins >= limits->connections)
		return refuse(quota, entry, QUOTA_CONNECTIONS, now_ms);
	const bool adds_session =
		kind != QUOTA_SESSION_ENDS && (!session || session->kind == QUOTA_SESSION_ENDS);
	if (adds_session && !room_for_session(quota, entry, now_ms))
		return refuse(quota, entry, QUOTA_SESSIONS, now_ms);
	session = *session_place(entry, client_id);
	if (!session)
		session = session_add(entry, client_id);
	if (!session)
		return refuse(quota, entry, QUOTA_CONNECTIONS, now_ms);
	entry->node.pins += session->client == NULL;
	session->client = client;
	session->kind = kind;
	return true;
}

void quota_session_end(struct quota *quota, const char *user, const char *client_id, const void *client)
{
	struct entry *entry = quota_table_find(&quota->users, user);
	if (!entry)
		return;
	struct session **place = session_place(entry, client_id);
	if (!*place || (*place)->client != client)
		return;
	(*place)->client = NULL;
	(*place)->believed_ms = 0;
	entry->node.pins--;
	if ((*place)->kind == QUOTA_SESSION_ENDS || quota->limits.sessions == 0)
		session_remove(place);
}

/* ---- Logins ---- */

static struct entry *address_entry(struct quota *quota, const char *address, int64_t now_ms, bool *ret_exempt)
{
	char name[QUOTA_ADDRESS_SIZE];
	quota_limits_address(address, name);
	*ret_exempt = quota_limits_exempt(&quota->limits, name);
	return quota_table_get(&quota->addresses, name, now_ms);
}

static bool may_fail(struct quota *quota, struct entry *entry, int64_t now_ms)
{
	const unsigned rate = quota->limits.failed_logins_per_minute;
	bucket_fill(&entry->logins, rate, MINUTE_MS, rate, now_ms);
	return bucket_holds(&entry->logins, MINUTE_MS, rate, 1);
}

bool quota_login(struct quota *quota, const char *address, int64_t now_ms)
{
	bool exempt = false;
	if (quota->limits.failed_logins_per_minute == 0)
		return true;
	struct entry *entry = address_entry(quota, address, now_ms, &exempt);
	if (exempt || !entry || may_fail(quota, entry, now_ms))
		return true;
	return refuse(quota, entry, QUOTA_LOGINS, now_ms);
}

bool quota_login_failed(struct quota *quota, const char *address, int64_t now_ms)
{
	bool exempt = false;
	if (quota->limits.failed_logins_per_minute == 0)
		return true;
	struct entry *entry = address_entry(quota, address, now_ms, &exempt);
	if (!entry || !may_fail(quota, entry, now_ms))
		return false;
	bucket_pay(&entry->logins, MINUTE_MS, 1);
	return true;
}
