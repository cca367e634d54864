/*
 * store_describe.h - what the database is: for people who look whether it is as it should be.
 *
 * Happy path: store_describe(), store_write_nothing(), store_collections(), store_indexes(). Each says by a store error what it could not learn;
 * nothing is changed.
 */
#ifndef STORE_DESCRIBE_H
#define STORE_DESCRIBE_H

#include "store.h"

enum store_kind { STORE_STANDALONE, STORE_REPLICA_SET, STORE_SHARDED };

struct store_description {
	char version[32]; /* of the server; "" where it does not say */
	enum store_kind kind;
	char set_name[64]; /* of a replica set */
	unsigned members;  /* of a replica set, that can hold data and be asked */
	char hosts
		[256]; /* their names, as the set knows them, separated by ", "; ends in "..." where they are too long */
	bool direct;   /* directConnection=true: no other member is ever used */
	bool writable; /* it is a primary, or a router */
	/* What the pool asks for with each write. */
	char w[64]; /* "majority", a number, or a tag */
	bool majority, journal;
	int64_t wtimeout_ms;
};

/* Asks the server. 0 or a store error. */
STORE_USE_RESULT int store_describe(struct store_client *client, struct store_description *ret);

/* The server's code of the error that store_last_error() tells of (error_codes.yml in MongoDB's source); 0 where the server gave none, or it is not the
 * server's error. Lives as long. */
int store_last_code(const struct store_client *client);

/* A write that changes nothing, acknowledged like any other: a delete of a dead letter that is not there. 0
 * or a store error. */
STORE_USE_RESULT int store_write_nothing(struct store_client *client);

/* One of the database's collections, as it is. Lives until the visitor returns. */
struct store_collection_found {
	const char *name;
	const char *type;      /* "collection", "view", "timeseries" */
	bool capped;	       /* it forgets its oldest documents, and lets none be deleted */
	bool validated;	       /* it has a validator, which may refuse documents */
	const char *collation; /* its default one, "en, strength 2"; NULL: texts are compared byte by byte */
	const char *same; /* two user ids that are one by that collation, "Bob and bob"; NULL: none are */
};
typedef void (*store_collection_visitor)(void *context, const struct store_collection_found *found);

/* Visits the database's collections, whoever has made them. 0 or a store error. */
STORE_USE_RESULT int store_collections(
	struct store_client *client, store_collection_visitor visit, void *context);

enum store_index_state {
	STORE_INDEX_THERE,
	STORE_INDEX_MISSING,
	STORE_INDEX_OTHER, /* one with its name or its keys is in the way, so store_prepare() does not make it */
};
/* Lives until the visitor returns. */
struct store_index {
	const char *collection, *name;
	enum store_index_state state;
	const char *found; /* what is in the way, as JSON; NULL: nothing is */
};
typedef void (*store_index_visitor)(void *context, const struct store_index *index);

/* Visits each index that store_prepare() makes. 0 or a store error. */
STORE_USE_RESULT int store_indexes(struct store_client *client, store_index_visitor visit, void *context);

#endif
