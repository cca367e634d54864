/*
 * log_spool_file.h - the spool's files as such: their names, and that nobody else can change them.
 *
 * Happy path: the folder is opened, files are named by a number and a suffix, read whole, and written to at their end. Failure: a folder or a file that
 * another user owns or can write to is refused, and stays as it is; a write that fails leaves nothing of itself. One thread, as log_spool.h.
 */
#ifndef LOG_SPOOL_FILE_H
#define LOG_SPOOL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_SPOOL_FILE_NAME_SIZE = 32 };

/* Files of larger numbers are not the spool's; as many are never made. */
#define LOG_SPOOL_FILE_NUMBER_MAX (UINT64_MAX / 2)

/* The name of the file of that number: 20 digits and the suffix. */
void log_spool_file_name(const char *suffix, uint64_t number, char ret[static LOG_SPOOL_FILE_NAME_SIZE]);

/* The suffix of a name that log_spool_file_name() can have made, and its number; NULL of any other. */
const char *log_spool_file_number(const char *name, uint64_t *ret_number);

/* Whether it is a regular file of this process's user that nobody else can write to, or cut while it is mapped. */
bool log_spool_file_is_own(int fd);

/* Opens the folder, made for this user alone where there is none. 0, LOG_SPOOL_E_FOREIGN where it is a link, or another can put files there; -errno. */
__attribute__((warn_unused_result)) int log_spool_file_open_folder(const char *path, int *ret_fd);

/* The whole file, in a block with one byte of room behind it, which the caller frees. 0, a negative errno: -EFBIG what is no regular file, or larger
 * than a segment can be, -EPERM what somebody else can change. */
__attribute__((warn_unused_result)) int log_spool_file_read(
	int folder, const char *name, char **ret, size_t *ret_size);

/* All of it at `at`, the end of the file, or nothing: 0 or a negative errno. */
__attribute__((warn_unused_result)) int log_spool_file_write(
	int fd, uint64_t at, const char *bytes, size_t size);

#endif
