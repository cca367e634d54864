/* replica_set.c - see replica_set.h. */
#include "replica_set.h"

#include "harness_private.h"
#include "scripted_mongo.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Of error_codes.yml in MongoDB's src/mongo/base. */
enum {
	SHUTDOWN_IN_PROGRESS = 91,
	PRIMARY_STEPPED_DOWN = 189,
	NOT_WRITABLE_PRIMARY = 10107,
	INTERRUPTED_DUE_TO_REPL_STATE_CHANGE = 11602,
	NOT_PRIMARY_NO_SECONDARY_OK = 13435,
};

struct member {
	struct replica_set *set;
	struct scripted_mongo *server;
};

struct replica_set {
	struct harness_part part;
	struct member members[REPLICA_SET_MEMBERS];
	unsigned count;
	bool router;
	char *url;
	pthread_mutex_t mutex; /* of all below */
	struct replica_fault fault;
	unsigned broken;
	replica_set_listener *listener;
	void *context;
};

/* ---- A command ---- */

static bool is_about(const bson_t *command, const char *collection)
{
	bson_iter_t iter;
	const bool named =
		bson_iter_init(&iter, command) && bson_iter_next(&iter) && BSON_ITER_HOLDS_UTF8(&iter);
	const char *name = named ? bson_iter_utf8(&iter, NULL) : "";
	return collection ? strcmp(name, collection) == 0 : strcmp(name, "hosts") != 0;
}

/* A host tries now and then whether it may write (store_rights.h): these have none of the driver's flags, and one id that nothing has. */
static bool is_trial(const char *name, const bson_t *command)
{
	bson_iter_t iter, filter;
	if (strcmp(name, "update") == 0 || strcmp(name, "delete") == 0)
		return !bson_has_field(command, "ordered");
	return strcmp(name, "find") == 0 && bson_iter_init_find(&iter, command, "filter") &&
	       bson_iter_recurse(&iter, &filter) && bson_iter_next(&filter) &&
	       strcmp(bson_iter_key(&filter), "_id") == 0 && BSON_ITER_HOLDS_OID(&filter) &&
	       !bson_iter_next(&filter);
}

/* Whether it is one that goes wrong; then it counts. */
static bool take_fault(
	struct replica_set *set, const char *name, const bson_t *command, struct replica_fault *ret)
{
	const struct replica_fault *fault = &set->fault;
	pthread_mutex_lock(&set->mutex);
	const bool meant = fault->command ? strcmp(name, fault->command) == 0
					  : scripted_mongo_writes(name) || scripted_mongo_reads(name);
	const bool taken = set->broken < fault->times && meant && is_about(command, fault->collection) &&
			   !is_trial(name, command);
	if (taken) {
		set->broken++;
		*ret = *fault;
	}
	pthread_mutex_unlock(&set->mutex);
	return taken;
}

/* What a member says as it steps down or ends. */
static bool changes_state(int code)
{
	return code == NOT_WRITABLE_PRIMARY || code == INTERRUPTED_DUE_TO_REPL_STATE_CHANGE ||
	       code == SHUTDOWN_IN_PROGRESS || code == PRIMARY_STEPPED_DOWN;
}

static enum scripted_mongo_answer go_wrong(
	struct member *member, const struct replica_fault *fault, bson_t *reply)
{
	bson_t concern;
	if (changes_state(fault->code)) {
		/* It has stepped down, and is primary once more: who waits for its hello hears of both. */
		scripted_mongo_elect(member->server, false);
		scripted_mongo_append_version(member->server, reply);
		scripted_mongo_elect(member->server, true);
	}
	switch (fault->kind) {
	case REPLICA_REFUSED:
	case REPLICA_INTERRUPTED:
		scripted_mongo_failure(reply, fault->code, "broken by the test");
		return fault->kind == REPLICA_REFUSED ? SCRIPTED_MONGO_REPLY : SCRIPTED_MONGO_DONE_REPLY;
	case REPLICA_NOT_DURABLE:
		BSON_APPEND_DOCUMENT_BEGIN(reply, "writeConcernError", &concern);
		BSON_APPEND_INT32(&concern, "code", fault->code);
		BSON_APPEND_UTF8(&concern, "errmsg", "broken by the test");
		bson_append_document_end(reply, &concern);
		return SCRIPTED_MONGO_DONE_ADD;
	case REPLICA_CUT_BEFORE: return SCRIPTED_MONGO_CLOSE;
	case REPLICA_CUT_AMID: return SCRIPTED_MONGO_DONE_HALF;
	case REPLICA_CUT_AFTER: return SCRIPTED_MONGO_DONE_CLOSE;
	case REPLICA_ALL_CUT: scripted_mongo_cut(member->server); return SCRIPTED_MONGO_CLOSE;
	}
	abort();
}

static enum scripted_mongo_answer answer(
	void *context, const char *name, const bson_t *command, bson_t *reply)
{
	struct member *member = context;
	struct replica_set *set = member->set;
	struct replica_fault fault;
	pthread_mutex_lock(&set->mutex);
	if (set->listener && !is_trial(name, command))
		set->listener(set->context, name, command);
	pthread_mutex_unlock(&set->mutex);
	const bool writes = scripted_mongo_writes(name);
	if ((writes || scripted_mongo_reads(name)) && !scripted_mongo_is_primary(member->server)) {
		scripted_mongo_failure(reply, writes ? NOT_WRITABLE_PRIMARY : NOT_PRIMARY_NO_SECONDARY_OK,
			writes ? "not primary" : "not primary and secondaryOk=false");
		scripted_mongo_append_version(member->server, reply);
		return SCRIPTED_MONGO_REPLY;
	}
	return take_fault(set, name, command, &fault) ? go_wrong(member, &fault, reply)
						      : SCRIPTED_MONGO_USUAL;
}

/* ---- Life ---- */

static void free_set(void *self)
{
	struct replica_set *set = self;
	for (unsigned i = 0; i < set->count; i++)
		scripted_mongo_stop(set->members[i].server);
	pthread_mutex_destroy(&set->mutex);
}

static struct replica_set *set_new(
	struct harness *h, const struct database *database, unsigned count, bool router)
{
	const unsigned port = (unsigned)strtoul(strrchr(database_url(database), ':') + 1, NULL, 10);
	struct scripted_mongo *servers[REPLICA_SET_MEMBERS + 1] = {NULL};
	struct replica_set *set = harness_alloc(h, sizeof(*set));
	*set = (struct replica_set){
		.part = {.self = set, .free = free_set}, .count = count, .router = router};
	pthread_mutex_init(&set->mutex, NULL);
	for (unsigned i = 0; i < count; i++) {
		struct member *member = &set->members[i];
		member->set = set;
		servers[i] = member->server = scripted_mongo_start(
			&(struct scripted_mongo_options){.set_name = router ? NULL : REPLICA_SET_NAME,
				.router = router,
				.secondary = i > 0,
				.behind_port = port,
				.hook = answer,
				.context = member});
	}
	set->url = harness_format(h, "mongodb://%s", replica_set_address(set, 0));
	for (unsigned i = 0; i < count; i++) {
		scripted_mongo_members(servers[i], servers);
		if (i > 0)
			set->url = harness_format(h, "%s,%s", set->url, replica_set_address(set, i));
	}
	set->url = harness_format(h, "%s/%s", set->url, router ? "" : "?replicaSet=" REPLICA_SET_NAME);
	harness_add(h, &set->part);
	return set;
}

struct replica_set *replica_set_new(struct harness *h, const struct database *database)
{
	return set_new(h, database, REPLICA_SET_MEMBERS, false);
}

struct replica_set *replica_set_new_router(struct harness *h, const struct database *database)
{
	return set_new(h, database, 1, true);
}

const char *replica_set_url(const struct replica_set *set)
{
	return set->url;
}

const char *replica_set_address(const struct replica_set *set, unsigned member)
{
	return scripted_mongo_address(set->members[member].server);
}

/* ---- Who is primary ---- */

void replica_set_step_down(struct replica_set *set)
{
	for (unsigned i = 0; i < set->count; i++)
		if (scripted_mongo_is_primary(set->members[i].server))
			scripted_mongo_elect(set->members[i].server, false);
}

void replica_set_elect(struct replica_set *set, unsigned member)
{
	replica_set_step_down(set);
	scripted_mongo_elect(set->members[member].server, true);
}

static void set_machine(struct replica_set *set, unsigned member, enum scripted_mongo_machine machine)
{
	struct scripted_mongo *server = set->members[member].server;
	scripted_mongo_set_machine(server, machine);
	if (!set->router && machine != SCRIPTED_MONGO_RUNS && scripted_mongo_is_primary(server))
		scripted_mongo_elect(server, false);
}

void replica_set_unplug(struct replica_set *set, unsigned member)
{
	set_machine(set, member, SCRIPTED_MONGO_GONE);
}

void replica_set_freeze(struct replica_set *set, unsigned member)
{
	set_machine(set, member, SCRIPTED_MONGO_FROZEN);
}

void replica_set_plug(struct replica_set *set, unsigned member)
{
	set_machine(set, member, SCRIPTED_MONGO_RUNS);
}

/* ---- What goes wrong, and what is asked ---- */

void replica_set_break(struct replica_set *set, const struct replica_fault *fault)
{
	pthread_mutex_lock(&set->mutex);
	set->fault = *fault;
	set->broken = 0;
	pthread_mutex_unlock(&set->mutex);
}

unsigned replica_set_broken(struct replica_set *set)
{
	pthread_mutex_lock(&set->mutex);
	const unsigned broken = set->broken;
	pthread_mutex_unlock(&set->mutex);
	return broken;
}

void replica_set_listen(struct replica_set *set, replica_set_listener *listener, void *context)
{
	pthread_mutex_lock(&set->mutex);
	set->listener = listener;
	set->context = context;
	pthread_mutex_unlock(&set->mutex);
}

unsigned replica_set_writes(const struct replica_set *set, unsigned member)
{
	static const char *const names[] = {"insert", "update", "delete", "findAndModify"};
	unsigned count = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		count += scripted_mongo_count(set->members[member].server, names[i]);
	return count;
}
