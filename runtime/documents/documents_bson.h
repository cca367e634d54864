/*
 * documents_bson.h - inside of documents/: a struct as the fields of a document, and back, without a loss.
 *
 *	text, user  UTF-8            integer  int64 (read: int32, and a double that is whole)   number  double (read: integers that it holds exactly)
 *	boolean     bool             time     date; 0 is no time, and no field
 *	bytes       binary           json     document, array, int64, double, UTF-8, bool, null
 *
 * What the struct's kind has not is said in words: a text with a NUL, a date where a text is declared, a number that JSON has not. Pure but for the
 * memory that they are given; any thread.
 */
#ifndef DOCUMENTS_BSON_H
#define DOCUMENTS_BSON_H

#include "documents.h"
#include <bson/bson.h>

enum { DOCUMENTS_WORDS_SIZE = 256 };

/* Where a member of a struct is. */
static inline const void *documents_at(const void *document, const struct cashew_member *member)
{
	return (const char *)document + member->offset;
}

/* The member at this offset; it is there. */
const struct cashew_member *documents_member(const struct cashew_shape *shape, size_t offset);

/* Whether the value, which `value` points at, is none: a text or JSON that is NULL, a time 0, no bytes of an optional member. */
bool documents_is_none(const struct cashew_member *member, const void *value);

/* Appends the value under that name. False: it is not what the member's declaration lets in, and why is in words, "total is 101: expected ..". */
bool documents_append_value(bson_t *into, const char *name, const struct cashew_member *member,
	const void *value, char words[static DOCUMENTS_WORDS_SIZE]);

/* What is in the field beside the members. */
struct documents_extra {
	bool has_version;
	int64_t version; /* _v */
};

/*
 * Makes the struct that the document is, in the memory of d; texts and bytes point into the document's own. 0; -ENOMEM; DOCUMENTS_E_STORED, with
 * d->reason saying which document and member, and what was expected.
 */
int documents_read_struct(struct documents *d, const struct cashew_collection *collection,
	const bson_iter_t *document, void *ret_struct, struct documents_extra *ret_extra);

/* The struct of a document of which nothing is known: 0, "" and what .otherwise says; NULL where a member is optional. */
void documents_empty_struct(const struct cashew_shape *shape, void *ret_struct);

/* A copy whose texts and bytes are the memory's own. False when out of memory. */
bool documents_copy_struct(
	struct documents *d, const struct cashew_shape *shape, const void *from, void *ret_struct);

#endif
