/* mask.c - see mask.h. */
#include "mask.h"

#include <stdbool.h>
#include <string.h>

enum { TOKEN_MIN = 20 };

/* {" and what blanks may stand between them, in base64. */
static bool begins_token(const char *text)
{
	static const char *const beginnings[] = {"eyJ", "eyA", "ewo", "ew0", "ewk"};
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
		if (strncmp(text, beginnings[i], 3) == 0)
			return true;
	return false;
}

void mask_tokens(char *text)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.",
			  stars[] = "********";
	char *to = text;
	for (const char *at = text; *at != '\0';) {
		const size_t size = begins_token(at) ? strspn(at, characters) : 0;
		if (size < TOKEN_MIN) {
			*to++ = *at++;
			continue;
		}
		memcpy(to, stars, sizeof(stars) - 1);
		to += sizeof(stars) - 1;
		at += size;
	}
	*to = '\0';
}
