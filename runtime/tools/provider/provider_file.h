/*
 * provider_file.h - replaces a file whole, so that whoever reads it finds the old one or the new one, never a half.
 *
 * Happy path: the bytes go into a new file beside it, onto the disk, and that file is renamed. Failure modes: what is in the file's place is no regular
 * file, the folder is not there or not to be written, the disk is full. The old file stays then, and nothing else is left.
 */
#ifndef PROVIDER_FILE_H
#define PROVIDER_FILE_H

#include "provider.h"

#include <stdbool.h>
#include <stddef.h>

enum { PROVIDER_FILE_PATH_MAX = 4000 /* bytes */ };

/*
 * 0; PROVIDER_E_FILE and the reason, which names the file; -ENOMEM. *ret_changed: whether the file had other bytes before; if not it is left alone. All
 * users of the machine may read the new one: public keys are in it. A symbolic link is no regular file, or the rename would put a file in its place.
 */
__attribute__((warn_unused_result)) int provider_file_replace(const char *path, const char *bytes,
	size_t size, bool *ret_changed, char reason[static PROVIDER_REASON_SIZE]);

#endif
