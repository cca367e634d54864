/* fake_store_private.h - inside of the stand-in store: what its files share. */
#ifndef FAKE_STORE_PRIVATE_H
#define FAKE_STORE_PRIVATE_H

#include "fake_store.h"
#include <pthread.h>
#include <stdlib.h>

struct fake_collection; /* fake_documents.c */
struct fake_host;	/* fake_hosts.c */
struct fake_parked;	/* fake_parked.c */
struct fake_schedule;	/* fake_schedules.c */

struct store {
	pthread_mutex_t lock;
	struct dead_letter **letters;
	size_t letters_count;
	struct fake_parked **parked; /* by user, lane, position */
	size_t parked_count;
	struct fake_host *hosts;
	size_t hosts_count;
	struct fake_schedule *schedules;
	size_t schedules_count;
	struct fake_collection *collections;
	size_t collections_count;
	struct store_wanted_index *wanted;
	size_t wanted_count;
	void (*before_insert)(void *context); /* once; NULL: nothing */
	void *before_insert_context;
	int64_t ahead_ms;    /* of the wall clock */
	const char *refused; /* a collection; NULL: none */
	unsigned trials;     /* of collections */
	unsigned clients;    /* taken */
	unsigned operations;
	struct {
		unsigned skip;
		unsigned times;
		int store_error;
		bool done; /* the operation is done all the same */
	} failure;
	void (*before)(void *context);
	void *before_context;
};

struct store_client {
	struct store *store;
	const char *last_error;
	bool answer_lost;
};

/* 0 with the lock held: to be ended by fake_operation_end(). Or what the test wants it to answer. */
STORE_USE_RESULT int fake_operation_begin(struct store_client *client);

/* Gives the lock back; r, or that the answer was lost. */
STORE_USE_RESULT int fake_operation_end(struct store_client *client, int r);

/* Tests do not go on without memory. */
static inline void *checked(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* To be freed. NULL is the empty text. */
char *fake_text_copy(const char *text);

/* A NUL behind it. */
void *fake_bytes_copy(const void *bytes, size_t size);

/* Frees what is const only to others. NULL is fine. */
void fake_forget(const void *copy);

void fake_letters_free_all(struct store *store);
void fake_letters_dump(struct store *store, FILE *out);
/* The database's time, with the lock held. */
int64_t fake_now_ms(const struct store *store);

void fake_documents_free_all(struct store *store);
void fake_documents_dump(struct store *store, FILE *out);
void fake_hosts_free_all(struct store *store);
void fake_schedules_free_all(struct store *store);
void fake_parked_free_all(struct store *store);
void fake_parked_dump(struct store *store, FILE *out);

#endif
