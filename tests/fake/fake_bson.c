/* fake_bson.c - see fake_bson.h. Documents are small here: an update is a copy for each field that it changes. */
#include "fake_bson.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noreturn)) static void unknown(const char *what)
{
	fprintf(stderr, "the stand-in store does not know %s\n", what);
	abort();
}

/* ---- comparison ---- */

static int rank(const bson_iter_t *value)
{
	if (!value)
		return 1;
	switch ((int)bson_iter_type(value)) {
	case BSON_TYPE_NULL: return 1;
	case BSON_TYPE_INT32:
	case BSON_TYPE_INT64:
	case BSON_TYPE_DOUBLE: return 2;
	case BSON_TYPE_UTF8: return 3;
	case BSON_TYPE_DOCUMENT: return 4;
	case BSON_TYPE_ARRAY: return 5;
	case BSON_TYPE_BINARY: return 6;
	case BSON_TYPE_OID: return 7;
	case BSON_TYPE_BOOL: return 8;
	case BSON_TYPE_DATE_TIME: return 9;
	default: return 10;
	}
}

static int sign(int64_t difference)
{
	return difference < 0 ? -1 : difference > 0;
}

static int compare_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
	const int first = memcmp(a, b, a_size < b_size ? a_size : b_size);
	return first != 0 ? first : sign((int64_t)a_size - (int64_t)b_size);
}

static int compare_numbers(const bson_iter_t *a, const bson_iter_t *b)
{
	if (BSON_ITER_HOLDS_DOUBLE(a) || BSON_ITER_HOLDS_DOUBLE(b)) {
		const double x = bson_iter_as_double(a), y = bson_iter_as_double(b);
		return x < y ? -1 : x > y;
	}
	const int64_t x = bson_iter_as_int64(a), y = bson_iter_as_int64(b);
	return x < y ? -1 : x > y;
}

/* The bytes of a document or an array. */
static const uint8_t *raw(const bson_iter_t *value, uint32_t *ret_size)
{
	const uint8_t *bytes = NULL;
	if (BSON_ITER_HOLDS_DOCUMENT(value))
		bson_iter_document(value, ret_size, &bytes);
	else
		bson_iter_array(value, ret_size, &bytes);
	return bytes;
}

int fake_bson_compare(const bson_iter_t *a, const bson_iter_t *b)
{
	const uint8_t *a_bytes = NULL, *b_bytes = NULL;
	uint32_t a_size = 0, b_size = 0;
	if (rank(a) != rank(b))
		return rank(a) - rank(b);
	switch (rank(a)) {
	case 1: return 0;
	case 2: return compare_numbers(a, b);
	case 3: {
		const char *a_text = bson_iter_utf8(a, &a_size), *b_text = bson_iter_utf8(b, &b_size);
		return compare_bytes(a_text, a_size, b_text, b_size);
	}
	case 4:
	case 5:
		a_bytes = raw(a, &a_size);
		b_bytes = raw(b, &b_size);
		return compare_bytes(a_bytes, a_size, b_bytes, b_size);
	case 6:
		bson_iter_binary(a, NULL, &a_size, &a_bytes);
		bson_iter_binary(b, NULL, &b_size, &b_bytes);
		return a_size != b_size ? sign((int64_t)a_size - (int64_t)b_size)
					: compare_bytes(a_bytes, a_size, b_bytes, b_size);
	case 7: return memcmp(bson_iter_oid(a)->bytes, bson_iter_oid(b)->bytes, 12);
	case 8: return (int)bson_iter_bool(a) - (int)bson_iter_bool(b);
	case 9: {
		const int64_t x = bson_iter_date_time(a), y = bson_iter_date_time(b);
		return x < y ? -1 : x > y;
	}
	default: unknown("a type");
	}
}

/* ---- filters ---- */

static const bson_iter_t *find(const bson_t *document, const char *field, bson_iter_t *iter)
{
	return bson_iter_init_find(iter, document, field) ? iter : NULL;
}

static bson_t static_document(const bson_iter_t *value)
{
	uint32_t size = 0;
	const uint8_t *bytes = raw(value, &size);
	bson_t document;
	if (!bson_init_static(&document, bytes, size))
		abort();
	return document;
}

static bool equals(const bson_iter_t *field, const bson_iter_t *value)
{
	bson_iter_t element;
	if (fake_bson_compare(field, value) == 0)
		return true;
	if (!field || !BSON_ITER_HOLDS_ARRAY(field) || !bson_iter_recurse(field, &element))
		return false;
	while (bson_iter_next(&element))
		if (fake_bson_compare(&element, value) == 0)
			return true;
	return false;
}

static bool is_in(const bson_iter_t *field, const bson_iter_t *list)
{
	bson_iter_t element;
	if (!bson_iter_recurse(list, &element))
		abort();
	while (bson_iter_next(&element))
		if (equals(field, &element))
			return true;
	return false;
}

/* {$gt: 3}, ..: each of them holds. */
static bool holds(const bson_iter_t *field, bson_iter_t operator)
{
	while (bson_iter_next(&operator)) {
		const char *name = bson_iter_key(&operator);
		bson_iter_t inner;
		if (strcmp(name, "$in") == 0 || strcmp(name, "$not") == 0) {
			if (name[1] == 'i' ? !is_in(field, &operator)
					   : !bson_iter_recurse(&operator, & inner) || holds(field, inner))
				return false;
			continue;
		}
		const int order = fake_bson_compare(field, &operator);
		const bool same = rank(field) == rank(&operator);
		if (strcmp(name, "$ne") == 0	    ? equals(field, &operator)
			: strcmp(name, "$gt") == 0  ? !same || order <= 0
			: strcmp(name, "$gte") == 0 ? !same || order < 0
			: strcmp(name, "$lt") == 0  ? !same || order >= 0
						    : (unknown(name), true))
			return false;
	}
	return true;
}

static bool is_operators(const bson_iter_t *value, bson_iter_t *ret_operators)
{
	bson_iter_t first;
	if (!BSON_ITER_HOLDS_DOCUMENT(value) || !bson_iter_recurse(value, ret_operators))
		return false;
	first = *ret_operators;
	return bson_iter_next(&first) && bson_iter_key(&first)[0] == '$';
}

static bool matches_one(const bson_t *document, const bson_iter_t *alternatives)
{
	bson_iter_t iter;
	if (!bson_iter_recurse(alternatives, &iter))
		abort();
	while (bson_iter_next(&iter)) {
		const bson_t filter = static_document(&iter);
		if (fake_bson_matches(document, &filter))
			return true;
	}
	return false;
}

bool fake_bson_matches(const bson_t *document, const bson_t *filter)
{
	bson_iter_t iter, operators, found;
	if (!bson_iter_init(&iter, filter))
		abort();
	while (bson_iter_next(&iter)) {
		const char *name = bson_iter_key(&iter);
		if (strcmp(name, "$or") == 0) {
			if (!matches_one(document, &iter))
				return false;
			continue;
		}
		if (name[0] == '$')
			unknown(name);
		const bson_iter_t *field = find(document, name, &found);
		if (is_operators(&iter, &operators) ? !holds(field, operators) : !equals(field, &iter))
			return false;
	}
	return true;
}

/* ---- updates ---- */

/* Replaces the field where it stands, or appends it; value NULL: removes it. */
static void set(bson_t **document, const char *name, const bson_iter_t *value)
{
	bson_t *changed = bson_new();
	bson_iter_t iter;
	bool is_there = false;
	if (!bson_iter_init(&iter, *document))
		abort();
	while (bson_iter_next(&iter)) {
		const bool is_it = strcmp(bson_iter_key(&iter), name) == 0;
		if (is_it && value)
			bson_append_iter(changed, name, -1, value);
		else if (!is_it)
			bson_append_iter(changed, bson_iter_key(&iter), -1, &iter);
		is_there = is_there || is_it;
	}
	if (!is_there && value)
		bson_append_iter(changed, name, -1, value);
	bson_destroy(*document);
	*document = changed;
}

static const char *increase(bson_t **document, const bson_iter_t *by)
{
	const char *name = bson_iter_key(by);
	bson_t sum = BSON_INITIALIZER;
	bson_iter_t found, iter;
	int64_t total;
	if (!find(*document, name, &found)) {
		set(document, name, by);
		return NULL;
	}
	if (rank(&found) != 2)
		return "Cannot apply $inc to a value of non-numeric type";
	if (BSON_ITER_HOLDS_DOUBLE(&found))
		BSON_APPEND_DOUBLE(&sum, name, bson_iter_double(&found) + bson_iter_as_double(by));
	else if (__builtin_add_overflow(bson_iter_as_int64(&found), bson_iter_as_int64(by), &total))
		return "Failed to apply $inc operations to current value";
	else
		BSON_APPEND_INT64(&sum, name, total);
	if (!bson_iter_init_find(&iter, &sum, name))
		abort();
	set(document, name, &iter);
	bson_destroy(&sum);
	return NULL;
}

static void bound(bson_t **document, const bson_iter_t *value, int wanted)
{
	const char *name = bson_iter_key(value);
	bson_iter_t found;
	const bson_iter_t *now = find(*document, name, &found);
	const int order = now ? fake_bson_compare(value, now) : 0;
	if (!now || (wanted > 0 ? order > 0 : order < 0))
		set(document, name, value);
}

/* {$each: [value, ..], $slice: -n} */
static const char *push(bson_t **document, const bson_iter_t *what)
{
	const char *name = bson_iter_key(what);
	const bson_t modifiers = static_document(what);
	bson_t wrapped = BSON_INITIALIZER, array;
	bson_iter_t found, each, slice, element;
	size_t count = 0, skip = 0;
	const bson_iter_t *now = find(*document, name, &found);
	if (now && !BSON_ITER_HOLDS_ARRAY(now))
		return "The field must be an array";
	if (!find(&modifiers, "$each", &each) || !find(&modifiers, "$slice", &slice))
		unknown("$push without $each and $slice");
	const bson_iter_t *const parts[] = {now, &each};
	for (size_t i = 0; i < 2; i++)
		if (parts[i] && bson_iter_recurse(parts[i], &element))
			while (bson_iter_next(&element))
				count++;
	const size_t most = (size_t)-bson_iter_as_int64(&slice);
	skip = count > most ? count - most : 0;
	BSON_APPEND_ARRAY_BEGIN(&wrapped, name, &array);
	size_t seen = 0, kept = 0;
	for (size_t i = 0; i < 2; i++) {
		if (!parts[i] || !bson_iter_recurse(parts[i], &element))
			continue;
		while (bson_iter_next(&element)) {
			char position[24];
			if (seen++ < skip)
				continue;
			snprintf(position, sizeof(position), "%zu", kept++);
			bson_append_iter(&array, position, -1, &element);
		}
	}
	bson_append_array_end(&wrapped, &array);
	if (!bson_iter_init_find(&element, &wrapped, name))
		abort();
	set(document, name, &element);
	bson_destroy(&wrapped);
	return NULL;
}

/* One field of one operator. NULL, or why not. */
static const char *apply(bson_t **document, const char *operator, const bson_iter_t * field, bool inserts)
{
	if (strcmp(operator, "$set") == 0 || (strcmp(operator, "$setOnInsert") == 0 && inserts))
		set(document, bson_iter_key(field), field);
	else if (strcmp(operator, "$unset") == 0)
		set(document, bson_iter_key(field), NULL);
	else if (strcmp(operator, "$inc") == 0)
		return increase(document, field);
	else if (strcmp(operator, "$max") == 0)
		bound(document, field, 1);
	else if (strcmp(operator, "$min") == 0)
		bound(document, field, -1);
	else if (strcmp(operator, "$push") == 0)
		return push(document, field);
	else if (strcmp(operator, "$setOnInsert") != 0)
		unknown(operator);
	return NULL;
}

/* What an upsert starts from: the fields that the filter says are equal to something. */
static bson_t *inserted(const bson_t *filter)
{
	bson_t *document = bson_new();
	bson_iter_t iter, operators;
	if (!bson_iter_init(&iter, filter))
		abort();
	while (bson_iter_next(&iter))
		if (bson_iter_key(&iter)[0] != '$' && !is_operators(&iter, &operators))
			bson_append_iter(document, bson_iter_key(&iter), -1, &iter);
	return document;
}

/* The _id goes first, as the server has it. */
static bson_t *id_first(bson_t *document)
{
	bson_t *ordered = bson_new();
	bson_iter_t iter;
	if (!bson_iter_init_find(&iter, document, "_id"))
		unknown("an upsert without _id");
	bson_append_iter(ordered, "_id", -1, &iter);
	bson_copy_to_excluding_noinit(document, ordered, "_id", NULL);
	bson_destroy(document);
	return ordered;
}

/* Two operators on one field. */
static bool conflicts(const bson_t *update)
{
	bson_t seen = BSON_INITIALIZER;
	bson_iter_t operator, field;
	bool found = false;
	if (!bson_iter_init(&operator, update))
		abort();
	while (bson_iter_next(&operator) && bson_iter_recurse(&operator, & field))
		while (bson_iter_next(&field)) {
			found = found || bson_has_field(&seen, bson_iter_key(&field));
			BSON_APPEND_NULL(&seen, bson_iter_key(&field));
		}
	bson_destroy(&seen);
	return found;
}

bson_t *fake_bson_updated(
	const bson_t *document, const bson_t *filter, const bson_t *update, const char **ret_why)
{
	bson_t *changed = document ? bson_copy(document) : inserted(filter);
	bson_iter_t operator, field;
	const char *why = conflicts(update) ? "Updating the path would create a conflict" : NULL;
	if (!bson_iter_init(&operator, update))
		abort();
	while (!why && bson_iter_next(&operator) && bson_iter_recurse(&operator, & field))
		while (!why && bson_iter_next(&field))
			why = apply(&changed, bson_iter_key(&operator), &field, !document);
	if (!why && changed->len > 16 * 1024 * 1024)
		why = "Resulting document after update is larger than 16777216";
	if (why) {
		*ret_why = why;
		bson_destroy(changed);
		return NULL;
	}
	return document ? changed : id_first(changed);
}

/* ---- projections and sorts ---- */

static void project_matching(const bson_iter_t *field, const bson_iter_t *condition, bson_t *into)
{
	bson_iter_t operators, element;
	bson_t array;
	if (!bson_iter_recurse(condition, &operators) || !bson_iter_next(&operators) ||
		strcmp(bson_iter_key(&operators), "$elemMatch") != 0 ||
		!bson_iter_recurse(&operators, &operators) || !bson_iter_next(&operators) ||
		strcmp(bson_iter_key(&operators), "$eq") != 0)
		unknown("a projection but by {$elemMatch: {$eq: ..}}");
	if (!BSON_ITER_HOLDS_ARRAY(field) || !bson_iter_recurse(field, &element))
		return;
	while (bson_iter_next(&element)) {
		if (fake_bson_compare(&element, &operators) != 0)
			continue;
		bson_append_array_begin(into, bson_iter_key(field), -1, &array);
		bson_append_iter(&array, "0", -1, &element);
		bson_append_array_end(into, &array);
		return;
	}
}

void fake_bson_project(const bson_t *document, const bson_t *projection, bson_t *into)
{
	bson_iter_t iter, wanted;
	if (!bson_iter_init(&iter, document))
		abort();
	while (bson_iter_next(&iter)) {
		const char *name = bson_iter_key(&iter);
		const bson_iter_t *asked = projection ? find(projection, name, &wanted) : NULL;
		if (asked && BSON_ITER_HOLDS_DOCUMENT(asked))
			project_matching(&iter, asked, into);
		else if (!projection || (asked ? bson_iter_as_bool(asked) : strcmp(name, "_id") == 0))
			bson_append_iter(into, name, -1, &iter);
	}
}

int fake_bson_order(const bson_t *a, const bson_t *b, const bson_t *sort)
{
	bson_iter_t iter, of_a, of_b;
	if (!sort || !bson_iter_init(&iter, sort))
		return 0;
	while (bson_iter_next(&iter)) {
		const char *name = bson_iter_key(&iter);
		const int order = fake_bson_compare(find(a, name, &of_a), find(b, name, &of_b));
		if (order != 0)
			return order;
	}
	return 0;
}
