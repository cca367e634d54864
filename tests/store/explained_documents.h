/*
 * explained_documents.h - what handlers do to documents, as calls whose commands test_store_explain.c looks at: changes that count once, and lists in the order
 * of a member with an index.
 *
 * Each is a run of a command of its own, or, where its name says `again`, of the one before once more; so their order matters. They answer a store error, and
 * use the client that explained_documents_fill() was given last.
 */
#ifndef EXPLAINED_DOCUMENTS_H
#define EXPLAINED_DOCUMENTS_H

#include "store.h"

/* Indexes of these documents and of contact_documents.h's, for store_prepare(). */
STORE_USE_RESULT int explained_documents_want_indexes(struct store *store);

/* Some hundred documents, half of them of the user "me". Keeps the client. */
STORE_USE_RESULT int explained_documents_fill(struct store_client *client);

STORE_USE_RESULT int explained_update(void);
STORE_USE_RESULT int explained_count(void);
STORE_USE_RESULT int explained_count_again(void);
STORE_USE_RESULT int explained_count_first(void);
STORE_USE_RESULT int explained_guarded(void);
STORE_USE_RESULT int explained_guarded_in_vain(void);
STORE_USE_RESULT int explained_put_once(void);
STORE_USE_RESULT int explained_list_within(void);
STORE_USE_RESULT int explained_list_across(void);
STORE_USE_RESULT int explained_list_keys(void);

#endif
