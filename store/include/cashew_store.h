/*
 * cashew_store.h - what the store's functions answer.
 */
#ifndef CASHEW_STORE_H
#define CASHEW_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_client;

enum store_error {
	STORE_E_NOT_FOUND = 1, /* there is no such document */
	STORE_E_AWAY,	       /* no server could be reached, or the connection broke: outcome unknown */
	STORE_E_TRANSIENT,     /* the server is there but could not do it now: try again */
	STORE_E_PERMANENT,     /* it will never work: the server refuses the operation itself */
	STORE_E_DUPLICATE,     /* a document with that key is there already */
};

#define STORE_USE_RESULT __attribute__((warn_unused_result))

/* A list has that many at most, whatever its limit says. */
enum { STORE_LIST_MAX = 10000 };

#endif
