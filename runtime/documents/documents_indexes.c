/* documents_indexes.c - see documents_indexes.h. */
#include "documents_indexes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is declared ---- */

typedef bool visitor(const struct cashew_collection *collection, void *context);

/* Each collection of each handler, until the visitor returns false. */
static bool visit_list(const struct cashew_collection *const *list, visitor *visit, void *context)
{
	for (; list && *list; list++)
		if (!visit(*list, context))
			return false;
	return true;
}

static bool visit_all(const struct cashew_handler *const *handlers, visitor *visit, void *context)
{
	for (; *handlers; handlers++)
		if (!visit_list((*handlers)->collections, visit, context) ||
			!visit_list((*handlers)->reads, visit, context))
			return false;
	return true;
}

/* ---- indexes ---- */

struct wanted {
	struct store_wanted_index *indexes;
	size_t count, room;
};

static bool same(const struct store_wanted_index *a, const struct store_wanted_index *b)
{
	size_t i = 0;
	if (strcmp(a->collection, b->collection) != 0 || a->expires != b->expires)
		return false;
	while (a->keys[i] && b->keys[i] && strcmp(a->keys[i], b->keys[i]) == 0)
		i++;
	return !a->keys[i] && !b->keys[i];
}

static bool add_index(struct wanted *wanted, const struct store_wanted_index *index)
{
	for (size_t i = 0; i < wanted->count; i++)
		if (same(&wanted->indexes[i], index))
			return true;
	if (wanted->count == wanted->room) {
		const size_t room = wanted->room > 0 ? 2 * wanted->room : 8;
		struct store_wanted_index *more =
			reallocarray(wanted->indexes, room, sizeof(wanted->indexes[0]));
		if (!more)
			return false;
		wanted->indexes = more;
		wanted->room = room;
	}
	wanted->indexes[wanted->count++] = *index;
	return true;
}

static bool add_member(struct wanted *wanted, const struct cashew_collection *collection,
	const struct cashew_member *member, const char *first_key)
{
	const struct store_wanted_index within = {.collection = collection->name,
						.keys = {first_key, member->name, "_id"}},
					across = {.collection = collection->name,
						.keys = {member->name, "_id"}},
					expiry = {.collection = collection->name,
						.keys = {member->name},
						.expires = true};
	return (!(member->index & CASHEW_WITHIN) || !first_key || add_index(wanted, &within)) &&
	       (!(member->index & CASHEW_ACROSS) || add_index(wanted, &across)) &&
	       (!member->expires || add_index(wanted, &expiry));
}

static bool add_collection(const struct cashew_collection *collection, void *context)
{
	const struct cashew_shape *shape = collection->shape;
	struct store_wanted_index keys = {.collection = collection->name};
	struct wanted *wanted = context;
	size_t count = 0;
	bool is_text = false;
	for (size_t i = 0; i < shape->count && count < STORE_INDEX_KEYS_MAX; i++) {
		const enum cashew_kind kind = shape->members[i].kind;
		if (!shape->members[i].key)
			continue;
		keys.keys[count++] = shape->members[i].name;
		is_text = kind == CASHEW_K_text || kind == CASHEW_K_user;
	}
	/* the one text is in order by the _id */
	if ((count > 1 || (count == 1 && !is_text)) && !add_index(wanted, &keys))
		return false;
	for (size_t i = 0; i < shape->count; i++)
		if (!add_member(wanted, collection, &shape->members[i], keys.keys[0]))
			return false;
	return true;
}

static int find_indexes(const struct cashew_handler *const *handlers, struct wanted *ret)
{
	if (visit_all(handlers, add_collection, ret))
		return 0;
	free(ret->indexes);
	*ret = (struct wanted){.count = 0};
	return -ENOMEM;
}

struct store_wanted_index *documents_indexes(const struct cashew_handler *const *handlers, size_t *ret_count)
{
	struct wanted wanted = {.count = 0};
	(void)find_indexes(handlers, &wanted);
	*ret_count = wanted.count;
	return wanted.indexes;
}

int documents_want_indexes(struct store *store, const struct cashew_handler *const *handlers)
{
	struct wanted wanted = {.count = 0};
	const int error = find_indexes(handlers, &wanted);
	if (!error)
		store_want_indexes(store, wanted.indexes, wanted.count);
	return error;
}
