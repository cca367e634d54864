/* token_base64.c - see token_base64.h. */
#include "token_base64.h"

#include <limits.h>

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int token_base64_decode(const char *text, size_t size, unsigned char *bytes, size_t room)
{
	unsigned bits = 0, bit_count = 0;
	size_t decoded = 0;
	if (room > INT_MAX)
		room = INT_MAX;
	for (size_t i = 0; i < size; i++) {
		const int value = value_of(text[i]);
		if (value < 0)
			return -1;
		bits = bits << 6 | (unsigned)value;
		bit_count += 6;
		if (bit_count >= 8) {
			if (decoded == room)
				return -1;
			bit_count -= 8;
			bytes[decoded++] = (unsigned char)(bits >> bit_count);
			bits &= (1U << bit_count) - 1;
		}
	}
	return bit_count == 6 || bits != 0 ? -1 : (int)decoded;
}
