/*
 * secret.h - the plugin's copy of the secret that tokens are signed with: from a file, or from the
 * environment.
 *
 * Happy path: secret_read(), use .text, secret_free(). Failure modes, each with a reason in words that does
 * not hold the secret: the file cannot be read, is empty, too large or holds a NUL byte; no secret is given
 * at all; it is shorter than 32 bytes.
 */
#ifndef SECRET_H
#define SECRET_H

#include <stdbool.h>

enum { SECRET_REASON_SIZE = 512 };
enum secret_error { SECRET_E_UNUSABLE = 1 };

/*
 * Reads it from the file; a line break at its end does not count. path NULL: from the environment's
 * JWT_SECRET. 0 and *ret_secret, released with secret_free(); *ret_readable_by_others tells that others than
 * owner and group can read the file.
 */
__attribute__((warn_unused_result)) int secret_read(const char *path, bool allow_short, char **ret_secret,
	bool *ret_readable_by_others, char reason[static SECRET_REASON_SIZE]);

/* Overwrites and frees it. NULL is fine. */
void secret_free(char *secret);

#endif
