/*
 * log_secret.c - see log_secret.h. Eight characters are one number of 64 bits. The numbers of all places of all secrets are in a hash table, and a text is
 * searched by moving a window of eight characters over it.
 *
 * A secret is put there in four spellings: as it is, percent-encoded, decoded, and simplified. A text is searched for them three times, simplified,
 * decoded, and as it is. Letters are small in all of them. Failure: no memory for the table leaves the one that was there.
 */
#include "log_secret.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_MAX = 128, PASSING_MAX = 32, SECRETS_MAX = KEPT_MAX + PASSING_MAX, MASK_SIZE = 8 };

#define MASK "********"

static struct {
	pthread_rwlock_t lock;	    /* of all below */
	char *secrets[SECRETS_MAX]; /* the kept ones first; NULL: none */
	size_t kept, passing;	    /* how many were ever added */
	uint64_t *table;
	size_t room; /* of the table: a power of two, or 0 */
	atomic_bool any;
} state = {.lock = PTHREAD_RWLOCK_INITIALIZER};

/* ---- Spellings ---- */

/* What stands at `at`: how many bytes it takes, and in *ret the character; 0: it counts for nothing. */
static size_t as_it_is(const char *at, unsigned char *ret)
{
	*ret = (unsigned char)tolower((unsigned char)*at);
	return 1;
}

static int digit(char character)
{
	const char *digits = "0123456789abcdef";
	const char *found = character != '\0' ? strchr(digits, tolower((unsigned char)character)) : NULL;
	return found ? (int)(found - digits) : -1;
}

/* Without the percent signs, and without what a text may be wrapped with: blanks and control characters. */
static size_t decoded(const char *at, unsigned char *ret)
{
	size_t size = 1;
	unsigned char byte = (unsigned char)*at;
	while (byte == '%' && digit(at[size]) >= 0 && digit(at[size + 1]) >= 0) {
		byte = (unsigned char)(digit(at[size]) << 4 | digit(at[size + 1]));
		size += 2;
	}
	*ret = byte > ' ' && byte != 0x7f ? (unsigned char)tolower(byte) : 0;
	return size;
}

/* Also without what stands for a blank in a form, and before a character in JSON and elsewhere. */
static size_t simplified(const char *at, unsigned char *ret)
{
	const size_t size = decoded(at, ret);
	if (*ret == '+' || *ret == '\\')
		*ret = 0;
	return size;
}

typedef size_t (*spelling)(const char *at, unsigned char *ret);

/* As curl_easy_escape() and most others do it (RFC 3986, 2.3). NULL when out of memory. */
static char *percent_encoded(const char *text)
{
	char *encoded = malloc(3 * strlen(text) + 1), *to = encoded;
	if (!encoded)
		return NULL;
	for (; *text != '\0'; text++) {
		const unsigned char byte = (unsigned char)*text;
		if (isalnum(byte) || strchr("-._~", byte)) {
			*to++ = (char)byte;
			continue;
		}
		*to++ = '%';
		*to++ = "0123456789abcdef"[byte >> 4];
		*to++ = "0123456789abcdef"[byte & 15];
	}
	*to = '\0';
	return encoded;
}

/* ---- The table ---- */

static size_t place_of(uint64_t window)
{
	return (size_t)((window * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (state.room - 1);
}

static bool is_known(uint64_t window)
{
	for (size_t i = place_of(window); state.table[i] != 0; i = (i + 1) & (state.room - 1))
		if (state.table[i] == window)
			return true;
	return false;
}

static void put_windows(const char *text, spelling spell)
{
	uint64_t window = 0;
	unsigned char character;
	for (size_t seen = 0; *text != '\0';) {
		text += spell(text, &character);
		if (character == 0)
			continue;
		window = window << 8 | character;
		if (++seen < LOG_SECRET_RUN || is_known(window))
			continue;
		size_t i = place_of(window);
		while (state.table[i] != 0)
			i = (i + 1) & (state.room - 1);
		state.table[i] = window;
	}
}

/* Makes the table of what there is. The lock is held. */
static int make_table(void)
{
	size_t windows = 0, room = 1024;
	/* The encoded spelling may take three times as much as each of the others. */
	for (size_t i = 0; i < SECRETS_MAX; i++)
		windows += state.secrets[i] ? 6 * strlen(state.secrets[i]) : 0;
	while (room < 2 * windows)
		room *= 2;
	uint64_t *table = calloc(room, sizeof(*table));
	if (!table)
		return -ENOMEM;
	if (state.table)
		explicit_bzero(state.table, state.room * sizeof(*state.table));
	free(state.table);
	state.table = table;
	state.room = room;
	int error = 0;
	for (size_t i = 0; i < SECRETS_MAX; i++) {
		if (!state.secrets[i])
			continue;
		char *encoded = percent_encoded(state.secrets[i]);
		put_windows(state.secrets[i], as_it_is);
		put_windows(state.secrets[i], decoded);
		put_windows(state.secrets[i], simplified);
		if (encoded) {
			put_windows(encoded, as_it_is);
			explicit_bzero(encoded, strlen(encoded));
		} else {
			error = -ENOMEM;
		}
		free(encoded);
	}
	return error;
}

static void drop(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

static bool holds(const char *secret)
{
	for (size_t i = 0; i < SECRETS_MAX; i++)
		if (state.secrets[i] && strcmp(state.secrets[i], secret) == 0)
			return true;
	return false;
}

static int add(const char *secret, size_t *added, size_t first, size_t room)
{
	if (!secret || strlen(secret) < LOG_SECRET_MIN)
		return 0;
	int error = 0;
	pthread_rwlock_wrlock(&state.lock);
	if (!holds(secret)) {
		char *copy = strdup(secret);
		char **place = &state.secrets[first + *added % room];
		if (copy) {
			drop(place);
			*place = copy;
			++*added;
		}
		error = copy ? make_table() : -ENOMEM;
		if (state.table)
			atomic_store(&state.any, true);
	}
	pthread_rwlock_unlock(&state.lock);
	return error;
}

int log_secret_add(const char *secret)
{
	return add(secret, &state.kept, 0, KEPT_MAX);
}

int log_secret_add_passing(const char *secret)
{
	return add(secret, &state.passing, KEPT_MAX, PASSING_MAX);
}

bool log_secret_any(void)
{
	return atomic_load_explicit(&state.any, memory_order_relaxed);
}

void log_secret_forget(void)
{
	pthread_rwlock_wrlock(&state.lock);
	atomic_store(&state.any, false);
	for (size_t i = 0; i < SECRETS_MAX; i++)
		drop(&state.secrets[i]);
	if (state.table)
		explicit_bzero(state.table, state.room * sizeof(*state.table));
	free(state.table);
	state.table = NULL;
	state.room = state.kept = state.passing = 0;
	pthread_rwlock_unlock(&state.lock);
}

/* ---- Hiding ---- */

/* A text that is being rewritten in its own place, which is never overtaken: a mask takes the room of LOG_SECRET_RUN characters or more. */
struct rewriting {
	char *to;
	const char *from;	 /* what follows is not yet written */
	const char *begin, *end; /* what is to be hidden next; NULL: nothing */
};

static void write_hidden(struct rewriting *r)
{
	if (!r->begin)
		return;
	const size_t size = (size_t)(r->begin - r->from);
	memmove(r->to, r->from, size);
	memcpy(r->to + size, MASK, MASK_SIZE);
	r->to += size + MASK_SIZE;
	r->from = r->end;
	r->begin = NULL;
}

static void hide(struct rewriting *r, const char *begin, const char *end)
{
	if (r->begin && begin > r->end)
		write_hidden(r);
	if (!r->begin)
		r->begin = begin;
	r->end = end;
}

static void hide_spelling(char *text, spelling spell)
{
	struct rewriting r = {.to = text, .from = text};
	const char *begins[LOG_SECRET_RUN]; /* of the characters in the window */
	uint64_t window = 0;
	unsigned char character;
	const char *at = text;
	for (size_t seen = 0; *at != '\0';) {
		const char *begin = at;
		at += spell(at, &character);
		if (character == 0)
			continue;
		window = window << 8 | character;
		begins[seen++ % LOG_SECRET_RUN] = begin;
		if (seen >= LOG_SECRET_RUN && is_known(window))
			hide(&r, begins[seen % LOG_SECRET_RUN], at);
	}
	write_hidden(&r);
	memmove(r.to, r.from, (size_t)(at - r.from) + 1);
}

/* A short secret, as a word of its own. */
static void hide_word(char *text, const char *word)
{
	const size_t size = strlen(word);
	for (char *at = text; (at = strcasestr(at, word)) != NULL; at += size) {
		const bool begins = at == text || !isalnum((unsigned char)at[-1]);
		if (begins && !isalnum((unsigned char)at[size]))
			memset(at, '*', size);
	}
}

void log_secret_hide(char *text)
{
	if (!log_secret_any())
		return;
	pthread_rwlock_rdlock(&state.lock);
	if (state.table) {
		/* That which sees through most goes first: a mask tears up what another one would find. */
		hide_spelling(text, simplified);
		hide_spelling(text, decoded);
		hide_spelling(text, as_it_is);
	}
	for (size_t i = 0; i < SECRETS_MAX; i++)
		if (state.secrets[i] && strlen(state.secrets[i]) < LOG_SECRET_RUN)
			hide_word(text, state.secrets[i]);
	pthread_rwlock_unlock(&state.lock);
}
