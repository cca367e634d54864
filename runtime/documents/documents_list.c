/*
 * documents_list.c - lists and pages of documents.
 *
 * A list begins with keys that are given; what gives its order is a member with an index, or the keys that follow. Each goes by the index that
 * documents_indexes.c makes for it. A page is a list behind its token, which is made as a part of an _id is; a token that a phone made up is refused,
 * or is a place like any other within the sender's own documents.
 */
#include "documents_private.h"

#include <errno.h>
#include <string.h>

/* What is asked for. */
struct listing {
	struct documents *d;
	const struct cashew_collection *collection;
	struct documents_keys keys;
	size_t given; /* so many keys */
	bool is_page;
	const struct cashew_member *by;		   /* from, before; NULL: the order is that of the keys */
	const struct cashew_change *from, *before; /* NULL: none */
};

static int mistake(const struct listing *l, const char *words)
{
	return documents_failed(l->d, DOCUMENTS_E_MISTAKE, "%s: %s", l->collection->name, words);
}

static int take_bound(struct listing *l, const struct cashew_change *change)
{
	const struct cashew_member *by = documents_member(l->collection->shape, change->offset);
	const struct cashew_change **bound = change->verb == CASHEW_V_from ? &l->from : &l->before;
	if (change->verb != CASHEW_V_from && change->verb != CASHEW_V_before)
		return mistake(l, "expected (key, ..) first, then (from, ..) and (before, ..) only");
	if (*bound || (l->by && l->by != by))
		return mistake(l, "expected one (from, ..) and one (before, ..), of one member");
	*bound = change;
	l->by = by;
	return 0;
}

static int check_order(const struct listing *l)
{
	const bool next_key = l->given < l->keys.count && l->by == l->keys.members[l->given];
	/* the member's index begins with the first key, or with nothing */
	if (!l->by || (next_key && l->keys.count > 1) || (l->by->index == CASHEW_WITHIN && l->given == 1) ||
		(l->by->index == CASHEW_ACROSS && l->given == 0))
		return 0;
	return documents_failed(l->d, DOCUMENTS_E_MISTAKE, "%s: %s has no .index for this: expected %s",
		l->collection->name, l->by->name,
		l->given == 1	? ".index = CASHEW_WITHIN, since the first key is given"
		: l->given == 0 ? ".index = CASHEW_ACROSS, since no key is given"
				: "the first key, or none");
}

static int read_listing(struct listing *l, size_t count, const struct cashew_change *changes)
{
	documents_id_keys(l->collection->shape, &l->keys);
	for (size_t i = 0; i < count; i++) {
		const bool is_key = changes[i].verb == CASHEW_V_key;
		if (is_key && (i != l->given || l->given == l->keys.count ||
				      changes[i].offset != l->keys.members[l->given]->offset))
			return mistake(l, "expected the first keys, in their order, before all else");
		const int error = is_key ? 0 : take_bound(l, &changes[i]);
		if (error)
			return error;
		l->given += is_key;
	}
	return check_order(l);
}

/* ---- filter and sort ---- */

static int append(const struct listing *l, bson_t *into, const char *name, const struct cashew_member *member,
	const void *value)
{
	char words[DOCUMENTS_WORDS_SIZE];
	return documents_append_value(into, name, member, value, words) ? 0 : mistake(l, words);
}

/* The keys that are given. The one key of a document is its _id. */
static int append_given(const struct listing *l, const struct cashew_change *changes, bson_t *filter)
{
	int error = 0;
	if (l->keys.count == 1 && l->given == 1) {
		struct documents_target target;
		void *keys = arena_alloc(l->d->memory, l->collection->shape->size);
		if (!keys)
			return -ENOMEM;
		memcpy((char *)keys + changes[0].offset, changes[0].value,
			l->keys.members[0]->kind == CASHEW_K_integer ? sizeof(int64_t) : sizeof(void *));
		error = documents_target(l->d, l->collection, keys, &target);
		if (!error)
			BSON_APPEND_UTF8(filter, "_id", target.id);
		documents_target_free(&target);
		return error;
	}
	for (size_t i = 0; !error && i < l->given; i++)
		error = append(l, filter, l->keys.members[i]->name, l->keys.members[i], changes[i].value);
	return error;
}

static int append_bounds(const struct listing *l, bson_t *filter)
{
	bson_t bounds;
	int error = 0;
	if (!l->by)
		return 0;
	BSON_APPEND_DOCUMENT_BEGIN(filter, l->by->name, &bounds);
	if (l->from)
		error = append(l, &bounds, "$gte", l->by, l->from->value);
	if (!error && l->before)
		error = append(l, &bounds, "$lt", l->by, l->before->value);
	bson_append_document_end(filter, &bounds);
	return error;
}

static bool is_text(const struct cashew_member *member)
{
	return member->kind == CASHEW_K_text || member->kind == CASHEW_K_user;
}

/* Whether documents are in the order of their one key by their _id: its texts are not, where they hold what is escaped, but nobody promised that. */
static bool by_id(const struct listing *l)
{
	return l->keys.count == 1 && is_text(l->keys.members[0]);
}

static void make_sort(const struct listing *l, bson_t *sort)
{
	bson_init(sort);
	const bool is_key = l->by && l->by->key;
	if (l->by && !is_key) {
		BSON_APPEND_INT32(sort, l->by->name, 1);
		BSON_APPEND_INT32(sort, "_id", 1);
		return;
	}
	if (by_id(l)) {
		BSON_APPEND_INT32(sort, "_id", 1);
		return;
	}
	for (size_t i = l->given; i < l->keys.count; i++)
		BSON_APPEND_INT32(sort, l->keys.members[i]->name, 1);
}

/* ---- list ---- */

/* What a page shows: its handler is given no structs, so neither their first keys nor their versions are read. */
static void page_projection(const struct listing *l, bson_t *ret)
{
	const struct cashew_shape *shape = l->collection->shape;
	bson_init(ret);
	for (size_t i = 0; i < shape->count; i++) {
		bool given = false;
		for (size_t k = 0; k < l->given; k++)
			given = given || &shape->members[i] == l->keys.members[k];
		if (!given)
			BSON_APPEND_INT32(ret, shape->members[i].name, 1);
	}
}

/* Sends it; *ret_reply is in the memory, and needs bson_destroy() only where it is not kept. */
static int ask(const struct listing *l, const bson_t *filter, unsigned limit, bson_t **ret_reply,
	bson_iter_t *ret_documents, bool *ret_more)
{
	bson_t projection, sort;
	int error = documents_flush(l->d);
	bson_t *reply = error ? NULL : documents_reply(l->d);
	if (!reply)
		return error ? error : -ENOMEM;
	if (l->is_page)
		page_projection(l, &projection);
	else
		documents_projection(&projection, l->collection->shape, NULL);
	make_sort(l, &sort);
	const struct store_query query = {.collection = l->collection->name,
		.filter = filter,
		.sort = bson_empty(&sort) ? NULL : &sort,
		.projection = &projection,
		.limit = limit};
	error = store_documents_find(l->d->client, &query, reply, ret_documents, ret_more);
	bson_destroy(&projection);
	bson_destroy(&sort);
	*ret_reply = reply;
	return error ? documents_store_failed(l->d, error) : 0;
}

static size_t count_documents(bson_iter_t documents)
{
	size_t count = 0;
	while (bson_iter_next(&documents))
		count++;
	return count;
}

/* The reply is kept by now. */
static int make_structs(const struct listing *l, bson_iter_t documents, const void **ret, size_t *ret_count)
{
	const size_t count = count_documents(documents), size = l->collection->shape->size;
	struct documents_extra extra;
	*ret = NULL;
	*ret_count = 0;
	if (count == 0)
		return 0;
	char *made = arena_alloc(l->d->memory, count * size);
	if (!made)
		return -ENOMEM;
	for (size_t i = 0; bson_iter_next(&documents); i++) {
		const int error =
			documents_read_struct(l->d, l->collection, &documents, made + i * size, &extra);
		if (error)
			return error;
	}
	*ret = made;
	*ret_count = count;
	return 0;
}

int documents_list(struct documents *d, const struct cashew_collection *collection, unsigned limit,
	size_t count, const struct cashew_change *changes, const void **ret, size_t *ret_count)
{
	struct listing l = {.d = d, .collection = collection};
	bson_t filter = BSON_INITIALIZER, *reply = NULL;
	bson_iter_t documents;
	bool more = false;
	*ret = NULL;
	*ret_count = 0;
	int error = read_listing(&l, count, changes);
	if (!error)
		error = append_given(&l, changes, &filter);
	if (!error)
		error = append_bounds(&l, &filter);
	if (!error && limit > 0)
		error = ask(&l, &filter, limit < DOCUMENTS_LIST_MAX ? limit : DOCUMENTS_LIST_MAX, &reply,
			&documents, &more);
	bson_destroy(&filter);
	if (error || !reply)
		return error;
	error = documents_keep_list(d, collection->name, reply, &documents);
	if (!error && more)
		error = mistake(
			&l, "the documents do not fit into one answer of 16 MB: expected a smaller limit");
	return error ? error : make_structs(&l, documents, ret, ret_count);
}

/* ---- pages ---- */

const char *documents_page_token(struct documents *d, const struct documents_page *page, const void *document)
{
	struct documents_keys keys;
	documents_id_keys(page->collection->shape, &keys);
	return documents_id_make(d, page->collection, &keys, page->count, document);
}

/* Of the keys behind those given, number `last` is greater, and those before it are the same. */
static int append_behind(const struct listing *l, bson_t *into, size_t last, const void *at)
{
	bson_t greater;
	int error = 0;
	for (size_t i = l->given; !error && i < last; i++)
		error = append(l, into, l->keys.members[i]->name, l->keys.members[i],
			documents_at(at, l->keys.members[i]));
	const struct cashew_member *member = l->keys.members[last];
	BSON_APPEND_DOCUMENT_BEGIN(into, member->name, &greater);
	if (!error)
		error = append(l, &greater, "$gt", member, documents_at(at, member));
	bson_append_document_end(into, &greater);
	return error;
}

static int append_after(const struct listing *l, const char *after, bson_t *filter)
{
	void *at = arena_alloc(l->d->memory, l->collection->shape->size);
	bson_t alternatives, part;
	if (!at)
		return -ENOMEM;
	const int error = documents_id_read(l->d, &l->keys, l->given, after, at);
	if (error == DOCUMENTS_E_TOKEN)
		return documents_failed(l->d, DOCUMENTS_E_TOKEN,
			"after is no place in a list: expected \"next\" of a page before");
	if (error)
		return error;
	if (by_id(l)) {
		BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &part);
		BSON_APPEND_UTF8(&part, "$gt", after);
		bson_append_document_end(filter, &part);
		return 0;
	}
	if (l->given + 1 == l->keys.count)
		return append_behind(l, filter, l->given, at);
	int failed = 0;
	BSON_APPEND_ARRAY_BEGIN(filter, "$or", &alternatives);
	for (size_t i = l->given; !failed && i < l->keys.count; i++) {
		char position[2] = {(char)('0' + (i - l->given) % 10), '\0'};
		BSON_APPEND_DOCUMENT_BEGIN(&alternatives, position, &part);
		failed = append_behind(l, &part, i, at);
		bson_append_document_end(&alternatives, &part);
	}
	bson_append_array_end(filter, &alternatives);
	return failed;
}

/* The reply is kept by the caller. */
static int visit_page(
	const struct listing *l, const struct documents_page *page, bson_iter_t documents, bool *ret_more)
{
	struct documents_extra extra;
	void *made = arena_alloc(l->d->memory, l->collection->shape->size);
	unsigned taken = 0;
	if (!made)
		return -ENOMEM;
	while (bson_iter_next(&documents)) {
		if (taken == page->limit) {
			*ret_more = true;
			return 0;
		}
		const int error = documents_read_struct(l->d, l->collection, &documents, made, &extra);
		if (error)
			return error;
		if (!page->visit(page->context, made)) {
			*ret_more = true;
			return 0;
		}
		taken++;
	}
	return 0;
}

int documents_page(struct documents *d, const struct documents_page *page, bool *ret_more)
{
	struct listing l = {.d = d, .collection = page->collection, .is_page = true};
	bson_t filter = BSON_INITIALIZER, *reply = NULL;
	bson_iter_t documents;
	int error = read_listing(&l, page->count, page->changes);
	if (!error && (l.by || l.given == l.keys.count))
		error = mistake(&l,
			"a page is of the documents behind the first keys: expected fewer keys, and no (from, ..)");
	if (!error)
		error = append_given(&l, page->changes, &filter);
	if (!error && page->after)
		error = append_after(&l, page->after, &filter);
	if (!error)
		error = ask(&l, &filter,
			page->limit < DOCUMENTS_LIST_MAX ? page->limit + 1 : DOCUMENTS_LIST_MAX, &reply,
			&documents, ret_more);
	bson_destroy(&filter);
	if (error)
		return error;
	error = documents_keep_list(d, page->collection->name, reply, NULL);
	return error ? error : visit_page(&l, page, documents, ret_more);
}
