/*
 * file_trust.h - whether somebody else can change a file or a folder whose content is believed, or is a secret.
 *
 * Its owner can, and whoever has a write bit: root and the user that this process runs as may, all others are told of. Happy path: nothing to say.
 * What is said completes "PATH: ...". No failure modes. Any thread.
 */
#ifndef FILE_TRUST_H
#define FILE_TRUST_H

#include <stdbool.h>
#include <sys/stat.h>

enum { FILE_TRUST_SIZE = 160 };

/* Whether there is something to say of the owner or of the write bits (mode 0666, for one), with what to do about it in *ret. */
bool file_trust_doubt(const struct stat *status, char ret[static FILE_TRUST_SIZE]);

/*
 * The same of the folder that the file of this path is in. A folder with the sticky bit (/tmp) may be writable for all: nobody replaces another user's
 * file there. One that cannot be looked at is not doubted.
 */
bool file_trust_doubt_folder(const char *path, char ret[static FILE_TRUST_SIZE]);

#endif
