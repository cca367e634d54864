/*
 * http_answer.h - the head of one HTTP/1.1 answer: its status and its fields, as they come in pieces (RFC 9112). No socket in it.
 *
 * Happy path: what has been read is put into http_answer_room(), http_answer_add() is told how much it was, until it returns 0; then status, fields, and
 * what came behind the head, which is not HTTP's any more. Failure modes: something that is no HTTP is known by its first bytes; a head of more than
 * HTTP_ANSWER_MAX bytes is not read on. Nothing is allocated. One thread.
 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_ANSWER_MAX = 8192 };
enum http_answer_error { HTTP_ANSWER_E_BAD = 1, HTTP_ANSWER_E_LONG };

/* All zeroes at the beginning. */
struct http_answer {
	unsigned status; /* of a whole head: 100 to 999 */
	size_t head;	 /* bytes of the head with its empty line; 0: not whole yet */
	size_t size;	 /* bytes in all */
	char bytes[HTTP_ANSWER_MAX];
};

/* Where the next bytes go, and how many of them have room: one at least while http_answer_add() returns -EAGAIN. */
void *http_answer_room(struct http_answer *answer, size_t *ret_size);

/* Takes note of bytes that were put there. 0: the head is whole; -EAGAIN: more of it has to come; HTTP_ANSWER_E_BAD: no HTTP; HTTP_ANSWER_E_LONG. */
__attribute__((warn_unused_result)) int http_answer_add(struct http_answer *answer, size_t count);

/* The value of a field that is there once, without the blanks around it; NULL: it is not there, or more than once. Not ended by a zero. */
const char *http_answer_field(const struct http_answer *answer, const char *name, size_t *ret_size);

/* Whether a list field, which may be there several times, has that token, in whatever case. */
bool http_answer_lists(const struct http_answer *answer, const char *name, const char *token);

/* The same of a field of challenges (RFC 9110, section 11.6), whose elements go on behind the scheme: "Basic realm=x". */
bool http_answer_offers(const struct http_answer *answer, const char *name, const char *scheme);

/* The words behind the status, cut to `room` - 1 bytes, which may be none. What is no printable ASCII is a ?. */
void http_answer_phrase(const struct http_answer *answer, char *ret, size_t room);

#endif
