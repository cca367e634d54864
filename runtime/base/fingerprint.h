/*
 * fingerprint.h - a command's contents as one number, and the hash of short texts for tables in memory.
 *
 * Pure functions, any thread. No secret is in them, so a device can make two commands with one fingerprint: only commands of one user are compared
 * (the topic begins with the user's id), and it harms nobody but itself.
 */
#ifndef FINGERPRINT_H
#define FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

/*
 * The fingerprint of a command's topic, payload and Correlation Data (NULL: it has none, which differs from an empty one). Never 0. It is written to
 * the store and read by hosts of other versions and machines, so it must not change.
 */
uint64_t fingerprint(const char *topic, const void *payload, size_t payload_size, const void *correlation,
	size_t correlation_size);

/* FNV-1a of 64 bits over `size` bytes, its upper half folded into the lower: where an entry lies in a table of this process. Not written anywhere. */
uint64_t fingerprint_text(const char *text, size_t size);

#endif
