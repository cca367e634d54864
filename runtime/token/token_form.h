/*
 * token_form.h - the form of a token (RFC 7515 section 7.1): three segments that are joined by dots, the first two of them JSON objects.
 *
 * Happy path: token_form_cut(), then token_form_parse() of what a segment decodes to. Failure modes: a text that has not this form is refused, with
 * the reason in words, which quote nothing of it; no memory. Any thread.
 */
#ifndef TOKEN_FORM_H
#define TOKEN_FORM_H

#include "token.h"

#include <jansson.h>

enum token_form_part { TOKEN_FORM_HEADER, TOKEN_FORM_CLAIMS, TOKEN_FORM_SIGNATURE, TOKEN_FORM_PARTS };

enum {
	TOKEN_FORM_HEADER_MAX = 1024, /* characters; nobody vouches for it when it is parsed */
	TOKEN_FORM_BYTES_MAX = TOKEN_SIZE_MAX / 4 * 3 + 3, /* what the longest segment decodes to, at most */
};

/* A segment: characters of the token. */
struct token_form_segment {
	const char *text;
	size_t size;
};

/* Writes the reason, of TOKEN_REASON_SIZE bytes, and is TOKEN_E_REFUSED. */
__attribute__((format(printf, 2, 3), warn_unused_result)) int token_form_refuse(
	char *reason, const char *format, ...);

/* Cuts a token into its segments, none of which is empty. 0, or TOKEN_E_REFUSED. */
__attribute__((warn_unused_result)) int token_form_cut(const char *token, size_t token_size,
	struct token_form_segment ret_segments[static TOKEN_FORM_PARTS], char *reason);

/* Decodes a segment; `what` is its name in a reason. 0 and the number of bytes, or TOKEN_E_REFUSED. */
__attribute__((warn_unused_result)) int token_form_decode(struct token_form_segment segment, const char *what,
	unsigned char ret_bytes[static TOKEN_FORM_BYTES_MAX], size_t *ret_size, char *reason);

/* The JSON object that these bytes are, without a duplicate key; a new reference. 0, TOKEN_E_REFUSED, -ENOMEM. */
__attribute__((warn_unused_result)) int token_form_parse(
	const unsigned char *bytes, size_t size, const char *what, json_t **ret_json, char *reason);

/* Whether it is that text. */
bool token_form_equal(const json_t *json, const char *expected);

#endif
