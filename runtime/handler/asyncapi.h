/*
 * asyncapi.h - what the handlers take and send, as an AsyncAPI 3.0.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0).
 */
#ifndef ASYNCAPI_H
#define ASYNCAPI_H

#include <stdio.h>

struct cashew_handler;

/*
 * Writes the document of all handlers, which end with NULL: a channel and an operation for each command and each event, a schema for each payload, and
 * what the host itself sends. version: the program's. 0, or -ENOMEM: nothing is written then.
 */
__attribute__((warn_unused_result)) int asyncapi_write(
	const struct cashew_handler *const *handlers, const char *version, FILE *file);

#endif
