/*
 * scripted_hello.h - what a server says of itself: that it stands alone, is a member of a replica set, or a router.
 *
 * Pure. The fields: the drivers' specifications "Server Discovery and Monitoring" and "Server Monitoring".
 */
#ifndef SCRIPTED_HELLO_H
#define SCRIPTED_HELLO_H

#include <bson/bson.h>

struct scripted_hello {
	const char *set_name;	  /* NULL: it is of none */
	const char *me;		  /* its address */
	const char *const *hosts; /* of the set's members, ended by NULL */
	const char *primary;	  /* one of them; NULL: there is none */
	bool router, secondary;
	unsigned term;	  /* of its election; a later one is greater */
	uint64_t process; /* another after each start */
	int64_t counter;  /* of changes */
};

void scripted_hello_append(const struct scripted_hello *hello, bson_t *reply);

/* Its topologyVersion alone: how many changes it knows. */
void scripted_hello_append_version(const struct scripted_hello *hello, bson_t *reply);

#endif
