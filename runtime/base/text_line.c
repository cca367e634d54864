/* text_line.c - see text_line.h. */
#include "text_line.h"

#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool text_is_utf8(const char *text, size_t size)
{
	return size == 0 || bson_utf8_validate(text, size, false);
}

char *text_line(const char *text)
{
	const size_t size = strlen(text);
	const bool utf8 = text_is_utf8(text, size);
	char *line = malloc(4 * size + 1), *to = line;
	if (!line)
		return NULL;
	for (size_t i = 0; i < size; i++) {
		const unsigned char byte = (unsigned char)text[i];
		if (text_is_control(byte) || (byte >= 0x80 && !utf8))
			to += sprintf(to, "\\x%02x", byte);
		else if (text_is_c1((const unsigned char *)text + i, size - i))
			to += sprintf(to, "\\x%02x", (unsigned char)text[++i]);
		else
			*to++ = (char)byte;
	}
	*to = '\0';
	return line;
}

size_t text_width(const char *line)
{
	size_t width = 0;
	for (; *line != '\0'; line++)
		if (((unsigned char)*line & 0xc0) != 0x80)
			width++;
	return width;
}
