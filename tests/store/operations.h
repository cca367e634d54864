/* operations.h - one of each of the store's operations, for tests that ask the same of all of them. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

struct store_client;

enum operation {
	PING,
	PREPARE,
	REQUEST_ADD,
	REQUEST_LIST,
	CONTACT_ADD,
	CONTACT_REMOVE,
	APPLES,
	DEAD_LETTER,
	APPEND,
	CLAIM,
	FINISH,
	BACKLOGS,
	DUE,
	LEASE,
	OPERATIONS
};

extern const char *const operation_names[OPERATIONS];

/* Runs it; what its function answered, but 0 for "there is none". */
int operate(struct store_client *client, enum operation operation);

#endif
