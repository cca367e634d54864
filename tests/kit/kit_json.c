/* kit_json.c - what a test writes as JSON: see kit_private.h. */
#include "kit_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

char *kit_json_text(const char *text)
{
	char *copy = kit_memory(malloc(2 * strlen(text) + 1)), *end = copy;
	char within = '\0'; /* the quote that has opened the string */
	for (const char *c = text; *c != '\0'; c++) {
		if (within && *c == '\\' && c[1] != '\0') {
			if (c[1] != '\'') /* which JSON does not escape */
				*end++ = '\\';
			*end++ = *++c;
		} else if (!within && (*c == '\'' || *c == '"')) {
			within = *c;
			*end++ = '"';
		} else if (within && *c == within) {
			within = '\0';
			*end++ = '"';
		} else {
			if (within == '\'' && *c == '"')
				*end++ = '\\';
			*end++ = *c;
		}
	}
	*end = '\0';
	return copy;
}

json_t *kit_json_of(const char *bytes, size_t size)
{
	return json_loadb(bytes, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}

json_t *kit_json(struct kit_place place, const char *text)
{
	json_error_t error;
	char *json = kit_json_text(text);
	json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!value)
		kit_fail(place, "%s is not JSON: column %d: %s", json, error.column, error.text);
	free(json);
	return value;
}

char *kit_json_dump(const json_t *json)
{
	return kit_memory(json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS));
}

bool kit_json_time(const char *text, int64_t *ret_ms)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ms = 0;
	if (rest && *rest == '.') {
		int scale = 100;
		for (rest++; *rest >= '0' && *rest <= '9' && scale > 0; rest++, scale /= 10)
			ms += (*rest - '0') * scale;
	}
	if (!rest || strcmp(rest, "Z") != 0)
		return false;
	*ret_ms = (int64_t)timegm(&tm) * 1000 + ms;
	return true;
}
