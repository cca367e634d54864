/*
 * fingerprint.c - see fingerprint.h.
 */
#include "fingerprint.h"

#include <endian.h>
#include <string.h>

/* Multiplies into 128 bits and folds: the halves of the product depend on every bit of both. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	const unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes at a time, in the order of the bytes whatever the machine's. The length goes in as well, so that neighbours cannot trade bytes. */
static uint64_t add(uint64_t hash, const void *bytes, size_t size)
{
	static const uint64_t step = UINT64_C(0x9e3779b97f4a7c15), other = UINT64_C(0xd6e8feb86659fd93);
	const unsigned char *at = bytes;
	uint64_t word;
	hash = mix(hash ^ size, step);
	for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = mix(hash ^ le64toh(word), other) + step;
	}
	if (size > 0) {
		word = 0;
		memcpy(&word, at, size);
		hash = mix(hash ^ le64toh(word), other) + step;
	}
	return hash;
}

uint64_t fingerprint(const char *topic, const void *payload, size_t payload_size, const void *correlation,
	size_t correlation_size)
{
	uint64_t hash = UINT64_C(0x243f6a8885a308d3);
	hash = add(hash, topic, strlen(topic));
	hash = add(hash, payload, payload_size);
	if (correlation)
		hash = add(hash, correlation, correlation_size);
	hash = mix(hash ^ (hash >> 32), UINT64_C(0xd6e8feb86659fd93));
	return hash != 0 ? hash : 1;
}

uint64_t fingerprint_text(const char *text, size_t size)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
	return hash ^ (hash >> 32);
}
