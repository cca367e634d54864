/*
 * payload.h - a command's payload as JSON (RFC 8259), parsed by jansson behind limits.
 *
 * Refused: more than the given size, nested deeper than PAYLOAD_DEPTH_MAX, empty, not JSON, duplicate keys,
 * NUL, bad UTF-8, halves of surrogate pairs, a byte order mark, numbers beyond 64 bits, anything after the
 * value. Never libbson's reader: it reads MongoDB Extended JSON.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { PAYLOAD_DEPTH_MAX = 32, PAYLOAD_REASON_SIZE = 200 };
enum payload_error { PAYLOAD_E_REFUSED = 1 };

/* 0 and *ret_json, a new reference; PAYLOAD_E_REFUSED and a reason for the sender's eyes, which never quotes the payload; -ENOMEM. Any thread. */
__attribute__((warn_unused_result)) int payload_parse(const void *bytes, size_t size, size_t size_max,
	json_t **ret_json, char reason[static PAYLOAD_REASON_SIZE]);

/* Whether size is over size_max, with the reason for the sender: for payloads that are not parsed. Any thread. */
bool payload_too_large(size_t size, size_t size_max, char reason[static PAYLOAD_REASON_SIZE]);

/* "an object", "a list", "a text", "an integer" ...: what the value is, for messages; "missing" for NULL. */
const char *payload_type_name(const json_t *json);

#endif
