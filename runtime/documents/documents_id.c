/* documents_id.c - see documents_id.h. */
#include "documents_id.h"

#include "clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void documents_id_keys(const struct cashew_shape *shape, struct documents_keys *ret)
{
	ret->count = 0;
	for (size_t i = 0; i < shape->count && ret->count < DOCUMENTS_KEYS_MAX; i++)
		if (shape->members[i].key)
			ret->members[ret->count++] = &shape->members[i];
}

/* ---- making ---- */

static size_t escaped_size(const char *text)
{
	size_t size = 0;
	for (; *text; text++)
		size += *text == '/' || *text == '%' ? 3 : 1;
	return size;
}

static char *escape(char *to, const char *text)
{
	for (; *text; text++) {
		if (*text != '/' && *text != '%') {
			*to++ = *text;
			continue;
		}
		memcpy(to, *text == '/' ? "%2F" : "%25", 3);
		to += 3;
	}
	return to;
}

enum { NUMBER_SIZE = 32 };

/* The part as text; buffer is for what is none. It has been checked. */
static const char *part_of(
	const struct cashew_member *member, const void *at, char buffer[static NUMBER_SIZE])
{
	if (member->kind == CASHEW_K_text || member->kind == CASHEW_K_user)
		return *(const char *const *)at;
	if (member->kind == CASHEW_K_time)
		clock_iso_ms(*(const cashew_time *)at, buffer);
	else
		snprintf(buffer, NUMBER_SIZE, "%" PRId64, *(const int64_t *)at);
	return buffer;
}

/* The same rules as for a value of a document; a time, in which texts are in order, has a year of four digits, and is none of 0. */
static bool is_good(const struct cashew_member *member, const void *at, char *words)
{
	bson_t scratch = BSON_INITIALIZER;
	bool good = documents_append_value(&scratch, member->name, member, at, words);
	bson_destroy(&scratch);
	if (good && member->kind == CASHEW_K_time) {
		char buffer[CLOCK_ISO_SIZE];
		clock_iso_ms(*(const cashew_time *)at, buffer);
		good = *(const cashew_time *)at != 0 && buffer[0] != '?';
		if (!good)
			snprintf(words, DOCUMENTS_WORDS_SIZE, "%s is no time", member->name);
	}
	return good;
}

const char *documents_id_make(struct documents *d, const struct cashew_collection *collection,
	const struct documents_keys *keys, size_t first, const void *document)
{
	char buffer[NUMBER_SIZE], words[DOCUMENTS_WORDS_SIZE];
	size_t size = 0;
	for (size_t i = first; i < keys->count; i++) {
		const void *at = documents_at(document, keys->members[i]);
		if (!is_good(keys->members[i], at, words)) {
			d->reason = arena_format(d->memory, "%s, a key: %s", collection->name, words);
			return NULL;
		}
		size += escaped_size(part_of(keys->members[i], at, buffer)) + 1;
	}
	char *id = arena_alloc(d->memory, size + 1), *end = id;
	if (!id)
		return NULL;
	for (size_t i = first; i < keys->count; i++) {
		if (i > first)
			*end++ = '/';
		end = escape(
			end, part_of(keys->members[i], documents_at(document, keys->members[i]), buffer));
	}
	return id;
}

/* ---- reading ---- */

/* NULL: there is a % that nobody wrote. The text is the memory's. */
static char *unescaped(struct documents *d, const char *part, size_t size, bool *ret_bad)
{
	char *text = arena_alloc(d->memory, size + 1), *to = text;
	*ret_bad = false;
	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i++) {
		if (part[i] != '%') {
			*to++ = part[i];
			continue;
		}
		const bool slash = size - i >= 3 && memcmp(part + i, "%2F", 3) == 0;
		*ret_bad = !slash && !(size - i >= 3 && memcmp(part + i, "%25", 3) == 0);
		if (*ret_bad)
			return NULL;
		*to++ = slash ? '/' : '%';
		i += 2;
	}
	return text;
}

/* As documents_id_make() writes it, and in no other way. */
static bool read_time(const char *text, size_t size, int64_t *ret_ms)
{
	char again[CLOCK_ISO_SIZE];
	int64_t ms;
	if (!clock_read(text, size, &ms))
		return false;
	clock_iso_ms(ms, again);
	if (strlen(again) != size || memcmp(text, again, size) != 0)
		return false;
	*ret_ms = ms;
	return true;
}

static bool read_integer(const char *text, size_t size, int64_t *ret)
{
	char copy[NUMBER_SIZE], *end;
	if (size == 0 || size >= sizeof(copy) || strspn(text, "0123456789") < size ||
		(text[0] == '0' && size > 1))
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	errno = 0;
	*ret = strtoll(copy, &end, 10);
	return errno == 0;
}

static int read_part(
	struct documents *d, const struct cashew_member *member, const char *part, size_t size, void *at)
{
	char words[DOCUMENTS_WORDS_SIZE];
	bool bad;
	if (member->kind == CASHEW_K_time)
		return read_time(part, size, at) ? 0 : DOCUMENTS_E_TOKEN;
	if (member->kind != CASHEW_K_text && member->kind != CASHEW_K_user)
		return read_integer(part, size, at) ? 0 : DOCUMENTS_E_TOKEN;
	char *text = unescaped(d, part, size, &bad);
	if (!text)
		return bad ? DOCUMENTS_E_TOKEN : -ENOMEM;
	*(const char **)at = text;
	return is_good(member, at, words) ? 0 : DOCUMENTS_E_TOKEN;
}

int documents_id_read(struct documents *d, const struct documents_keys *keys, size_t first, const char *id,
	void *ret_struct)
{
	for (size_t i = first; i < keys->count; i++) {
		const bool last = i + 1 == keys->count;
		const size_t size = strcspn(id, "/");
		if (last != (id[size] == '\0'))
			return DOCUMENTS_E_TOKEN;
		const int error = read_part(
			d, keys->members[i], id, size, (char *)ret_struct + keys->members[i]->offset);
		if (error)
			return error;
		id += size + 1;
	}
	return 0;
}

int documents_id_only_key(struct documents *d, const struct cashew_shape *shape, const bson_iter_t *id,
	void *ret_struct, char words[static DOCUMENTS_WORDS_SIZE])
{
	struct documents_keys keys;
	documents_id_keys(shape, &keys);
	if (keys.count != 1)
		return 0;
	const int error = BSON_ITER_HOLDS_UTF8(id)
				  ? documents_id_read(d, &keys, 0, bson_iter_utf8(id, NULL), ret_struct)
				  : DOCUMENTS_E_TOKEN;
	if (error != DOCUMENTS_E_TOKEN)
		return error;
	snprintf(words, DOCUMENTS_WORDS_SIZE, "%s is missing, and the _id is none that it makes",
		keys.members[0]->name);
	return DOCUMENTS_E_STORED;
}
