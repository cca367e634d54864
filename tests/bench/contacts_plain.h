/*
 * contacts_plain.h - the store operations of request_contact and get_contact_list, written against libmongoc
 * alone.
 *
 * The references use them: the same documents, filters and write concern as store/, none of its code. Each
 * thread has a client of its own for life, so nothing is cheaper. Failure: a message on standard error and
 * exit: a reference that fails measures nothing.
 */
#ifndef CONTACTS_PLAIN_H
#define CONTACTS_PLAIN_H

#include <mongoc/mongoc.h>
#include <stddef.h>

enum { CONTACTS_TEXT_SIZE = 16384 };

struct contacts {
	mongoc_client_t *client;
	mongoc_collection_t *requests, *contacts;
	bson_t upsert, one_contact, one_request, page; /* options of the operations */
};

/* A pool with w=majority, journal=true where the URL does not say otherwise. */
mongoc_client_pool_t *contacts_pool(const char *url, unsigned size);

/* Takes a client for the calling thread, for ever. */
void contacts_open(struct contacts *contacts, mongoc_client_pool_t *pool, const char *database);

/* Stores that from asks to, and looks whether they are contacts or the other has asked too (it is not
 * expected here). */
void contacts_request(struct contacts *contacts, const char *from, const char *to);

/* Writes the event for the user's first 100 contacts; returns its size. */
size_t contacts_page(struct contacts *contacts, const char *user, char text[static CONTACTS_TEXT_SIZE]);

#endif
