/*
 * mask.h - tokens in texts that go into the broker's log.
 *
 * A device that has mixed up its fields sends its token as a client id or as a topic. Who reads the log could then come in with it. Happy path: the
 * text is as it was. No failure modes.
 */
#ifndef MASK_H
#define MASK_H

/*
 * Puts ******** in the place of whatever looks like a JSON Web Token, or like the beginning of one: 20 or more of A-Z a-z 0-9 _ - . that begin as
 * base64url of a JSON object does (RFC 7519, 3). In place; the text does not become longer.
 */
void mask_tokens(char *text);

#endif
