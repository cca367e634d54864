/*
 * secret.h - the plugin's copy of the secret that tokens are signed with: from a file, or from the
 * environment.
 *
 * Happy path: secret_read(), secret_free(). Failure modes, each with a reason in words that does not hold the
 * secret: the file cannot be read, is no regular file (opening a FIFO would stop the broker), is empty, too
 * large or holds a NUL byte; no secret is given at all; it is shorter than 32 bytes.
 */
#ifndef SECRET_H
#define SECRET_H

#include "file_trust.h"
#include <stdbool.h>

enum { SECRET_REASON_SIZE = 512 };

/* Whose tokens it verifies, which says where it stands: plugin_opt_secret_file or JWT_SECRET, plugin_opt_handler_secret_file or JWT_HANDLER_SECRET. */
enum secret_kind { SECRET_USERS, SECRET_HANDLERS };
enum secret_error { SECRET_E_UNUSABLE = 1 };

/* What is worth a warning. */
struct secret_notes {
	bool readable_by_others; /* than the file's owner and group */
	bool repeats;		 /* the secret is one character over and over */
	const char *oddity;	 /* of the secret, as value_text_oddity() tells it; NULL: none */
	char doubt
		[FILE_TRUST_SIZE]; /* who else can change the file, as file_trust_doubt() tells it; "": nobody */
};

/* Whether there is one at all: a file is named, or the environment's is not empty. */
bool secret_given(enum secret_kind kind, const char *path);

/* The name of what it is read from, for people: the path, or the environment's variable. */
const char *secret_source(enum secret_kind kind, const char *path);

/*
 * Reads it from the file. path NULL: from the environment. Wherever it stands, one line end behind it is no part of it, and all else is: as cashewd
 * reads it. 0, *ret_secret, released with secret_free(), and *ret_notes.
 */
__attribute__((warn_unused_result)) int secret_read(enum secret_kind kind, const char *path, bool allow_short,
	char **ret_secret, struct secret_notes *ret_notes, char reason[static SECRET_REASON_SIZE]);

/* Overwrites and frees it. NULL is fine. */
void secret_free(char *secret);

#endif
