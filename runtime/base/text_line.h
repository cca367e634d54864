/*
 * text_line.h - texts that phones and handlers made, as a part of one line that any terminal can show.
 *
 * Nothing of such a text reaches a terminal as it is: control characters, those of C1 too, and bytes that are
 * no UTF-8 become \xNN. Pure code, any thread.
 */
#ifndef TEXT_LINE_H
#define TEXT_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Below ' ', or DEL. */
static inline bool text_is_control(unsigned char byte)
{
	return byte < ' ' || byte == 0x7f;
}

/* U+0080 to U+009F, which a terminal may take for the beginning of a command. */
static inline bool text_is_c1(const unsigned char *at, size_t left)
{
	return left >= 2 && at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
}

/* Whether those bytes are UTF-8 (RFC 3629) without a NUL. No bytes are. */
bool text_is_utf8(const char *text, size_t size);

/* The text without them, to be freed; NULL when out of memory. */
char *text_line(const char *text);

/* Characters, each of which is taken to need one column. */
size_t text_width(const char *line);

#endif
