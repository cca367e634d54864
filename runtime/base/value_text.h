/*
 * value_text.h - how the text of a setting is read wherever it stands: in .env, in the environment, in a file that holds a secret.
 *
 * One rule for cashewd, cashew-token and the broker's plugin, so that one secret file serves them all: one line end behind a secret is no part of it,
 * and all else is. What nobody types on purpose, and counts all the same, is worth a warning. Pure, any thread.
 */
#ifndef VALUE_TEXT_H
#define VALUE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The size in bytes of the secret that the text holds: without one CR LF, LF or CR behind it. */
size_t value_text_secret_size(const char *text, size_t size);

/*
 * What was probably not meant, in words that complete "the value ...": a byte order mark in front, quotes around it, blanks or line ends around it,
 * ${NAME} or $(NAME) inside, which a shell or an orchestrator would have replaced. NULL where there is nothing odd. Quotes nothing of the text.
 */
const char *value_text_oddity(const char *text, size_t size);

/* Whether the text is one byte over and over: a secret that is guessed by its length. "" and a single byte are. */
bool value_text_repeats(const char *text, size_t size);

#endif
