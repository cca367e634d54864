/*
 * documents_json.h - inside of documents/: JSON within a document, both ways. See documents_bson.h.
 */
#ifndef DOCUMENTS_JSON_H
#define DOCUMENTS_JSON_H

#include "documents_bson.h"

/* Appends it under that name. False, with words about the member, where BSON has no such value: a text with a NUL, more than 100 levels. */
bool documents_json_append(bson_t *into, const char *name, const char *member, const json_t *json,
	char words[static DOCUMENTS_WORDS_SIZE]);

/* 0 and *ret, the caller's; -ENOMEM; DOCUMENTS_E_STORED with words about the member where JSON has no such value: a date, an infinite number. */
int documents_json_of(
	const bson_iter_t *field, const char *member, json_t **ret, char words[static DOCUMENTS_WORDS_SIZE]);

/* Takes the reference over until documents_end(). False when out of memory; then too. */
bool documents_json_keep(struct documents *d, json_t *json);
void documents_json_drop_all(struct documents *d);

#endif
