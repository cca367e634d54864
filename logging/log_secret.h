/*
 * log_secret.h - the secrets that this process knows, and their removal from texts that leave it.
 *
 * Happy path: whoever reads a secret says so once, by log_secret_add(). From then on log_secret_hide() puts ******** in the place of every eight or more
 * characters in a row of any secret: as they are, in other case, percent-encoded (once or twice), or wrapped. So a text that was cut by somebody else
 * gives nothing away either. The log does it with every text that it is given. What does not go through the log (doctor, dead letters) calls it itself.
 * Failure modes: memory that runs out is told to whoever adds. A secret of fewer than LOG_SECRET_MIN characters is not looked for: no line would be left.
 */
#ifndef LOG_SECRET_H
#define LOG_SECRET_H

#include <stdbool.h>

enum {
	LOG_SECRET_RUN =
		8, /* so many characters in a row, blanks not counted, are taken for a piece of the secret */
	LOG_SECRET_MIN = 4, /* a secret shorter than LOG_SECRET_RUN is looked for as a whole word */
};

/* Takes a copy of the secret, which is looked for until the process ends (or 128 others came after it). NULL and "" are fine. Any thread. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int log_secret_add(const char *secret);

/* The same for one that is soon replaced, as a token that is made for each connect: the last 16 of them are looked for. */
__attribute__((warn_unused_result)) int log_secret_add_passing(const char *secret);

/* Whether there is anything to look for. One load. Any thread. */
bool log_secret_any(void);

/* Hides the secrets in the text, which does not become longer. Any thread; not for signal handlers. */
void log_secret_hide(char *text);

/* Forgets all of them. For tests, and for the end of a process. */
void log_secret_forget(void);

#endif
