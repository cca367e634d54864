/*
 * fake_bson.h - inside of the stand-in store: what MongoDB does with filters, updates and projections, for those that store_documents.h names.
 *
 * Pure functions over BSON; out of memory aborts. Whatever else a filter or an update holds aborts too: the stand-in then needs to learn it.
 * Rules: MongoDB's manual, "Comparison/Sort Order", "Query and Projection Operators", "Update Operators".
 */
#ifndef FAKE_BSON_H
#define FAKE_BSON_H

#include <bson/bson.h>

/* Less than, equal to, greater than 0. NULL: the field is not there, which is as null. */
int fake_bson_compare(const bson_iter_t *a, const bson_iter_t *b);

bool fake_bson_matches(const bson_t *document, const bson_t *filter);

/*
 * The document after the update; document NULL: the one that an upsert by the filter makes, its _id first. To be destroyed. NULL: the server would
 * refuse it, for *ret_why.
 */
bson_t *fake_bson_updated(
	const bson_t *document, const bson_t *filter, const bson_t *update, const char **ret_why);

/* Appends the document's fields that the projection asks for; NULL: all. */
void fake_bson_project(const bson_t *document, const bson_t *projection, bson_t *into);

/* Less than, equal to, greater than 0, by a sort of ascending fields; NULL: equal. */
int fake_bson_order(const bson_t *a, const bson_t *b, const bson_t *sort);

#endif
