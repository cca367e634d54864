/*
 * fuzz.h - what fuzz targets share: a check that stays on, and inputs cut into lines.
 *
 * A target is fuzz_NAME.c: one function, which is given bytes and calls what reads such bytes, and checks what must hold whatever they are.
 * tests/fuzz/run builds it with libFuzzer, which finds the bytes; replay.c feeds it those of corpus/NAME, in every build's tests. Failure: the
 * program ends with the line that does not hold.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer's name for the target; 0 always. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define FUZZ static __attribute__((unused))

#define FUZZ_NEED(truth)                                                                    \
	do {                                                                                \
		if (!(truth)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #truth); \
			abort();                                                            \
		}                                                                           \
	} while (0)

/* A copy of that size, of none also (glibc's malloc gives one), so that a sanitizer sees whoever reads on. free() it. */
FUZZ uint8_t *fuzz_copy(const void *bytes, size_t size)
{
	uint8_t *copy = calloc(size, 1);
	FUZZ_NEED(copy);
	if (size > 0)
		memcpy(copy, bytes, size);
	return copy;
}

/* The bytes as a text, as far as there is no NUL in them. free() it. */
FUZZ char *fuzz_text(const uint8_t *bytes, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(bytes, '\0', size) : NULL;
	const size_t length = end ? (size_t)(end - bytes) : size;
	char *text = calloc(length + 1, 1);
	FUZZ_NEED(text);
	if (length > 0)
		memcpy(text, bytes, length);
	return text;
}

/* Takes the first line off the input, without its end, as a text. free() it. */
FUZZ char *fuzz_line(const uint8_t **bytes, size_t *size)
{
	const uint8_t *end = *size > 0 ? memchr(*bytes, '\n', *size) : NULL;
	const size_t line = end ? (size_t)(end - *bytes) : *size;
	char *text = fuzz_text(*bytes, line);
	*bytes += line;
	*size -= line;
	if (end) {
		*bytes += 1;
		*size -= 1;
	}
	return text;
}

/* A reason for people: there is one, it fits, and it is printable, since it goes into logs. */
FUZZ void fuzz_need_reason(const char *reason, size_t room)
{
	const size_t size = strnlen(reason, room);
	FUZZ_NEED(size > 0 && size < room);
	for (size_t i = 0; i < size; i++)
		FUZZ_NEED(reason[i] >= ' ' && reason[i] <= '~');
}

#endif
