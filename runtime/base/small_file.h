/*
 * small_file.h - a whole small file in memory: certificates, keys, tokens.
 *
 * Happy path: opened, found to be a regular file, read to its end. A FIFO or a device is refused before a byte is read, and open() does not wait for
 * one's other end, so that a mistaken path cannot hold up the thread that reads. A file that is replaced meanwhile is read as it was when opened.
 */
#ifndef SMALL_FILE_H
#define SMALL_FILE_H

#include <stddef.h>

enum small_file_error {
	SMALL_FILE_E_KIND = 1, /* no regular file */
	SMALL_FILE_E_SIZE,     /* larger than size_max */
};

/*
 * Reads the file at `path`, `size_max` bytes at most. 0 with *ret, which has a NUL behind its *ret_size bytes and is freed by small_file_free();
 * SMALL_FILE_E_...; a negative errno. Any thread.
 */
__attribute__((warn_unused_result)) int small_file_read(
	const char *path, size_t size_max, char **ret, size_t *ret_size);

/* Overwrites the bytes, which may be a secret, and frees them. NULL is fine. */
void small_file_free(char *bytes, size_t size);

/* What small_file_read() has returned, in words: "No such file or directory", "it is not a regular file". */
const char *small_file_explain(int error);

#endif
