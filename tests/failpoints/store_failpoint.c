/*
 * store_failpoint.c - a failpoint inside of handlers, inside_handler: before each write of the store that a
 * handler makes after its first one, or makes of several documents.
 *
 * The linker leads the handlers' calls here (--wrap) and names the store's own function __real_...
 */
#include "failpoint.h"
#include <cashew_store.h>

/* Their names are the linker's. */
#define WRAPPED(name)                                                                 \
	int __real_##name(struct store_client *client, const char *a, const char *b); \
	int __wrap_##name(struct store_client *client, const char *a, const char *b); \
	int __wrap_##name(struct store_client *client, const char *a, const char *b)  \
	{                                                                             \
		failpoint("inside_handler");                                          \
		return __real_##name(client, a, b);                                   \
	}

WRAPPED(contact_add)
WRAPPED(contact_remove)
WRAPPED(contact_request_remove)
