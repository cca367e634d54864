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

enum { KEPT_MAX = 128, PASSING_MAX = 16, SECRETS_MAX = KEPT_MAX + PASSING_MAX, MASK_SIZE = 8 };

#define MASK "********"

/* All windows of all secrets. */
struct table {
	uint64_t *windows; /* 0: none */
	size_t room;	   /* a power of two, or 0 */
};

static struct {
	pthread_mutex_t adding; /* whoever adds has it, also while a table is being made */
	pthread_rwlock_t
		lock; /* of all below; who searches holds it, so it is taken to write for a moment only */
	char *secrets[SECRETS_MAX]; /* the kept ones first; NULL: none */
	size_t kept, passing;	    /* how many were ever added */
	struct table table;
	atomic_bool any;
} state = {.adding = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_RWLOCK_INITIALIZER};

/* ---- Spellings ---- */

/* What stands at `at`: how many bytes it takes, and in *ret the character; 0: it counts for nothing. */
static size_t as_it_is(const char *at, unsigned char *ret)
{
	/* A blank counts for nothing: where a secret is made of words, " of the " is no piece of it. */
	*ret = *at == ' ' ? 0 : (unsigned char)tolower((unsigned char)*at);
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

static size_t place_of(const struct table *table, uint64_t window)
{
	return (size_t)((window * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (table->room - 1);
}

/* Where the window is, or is to be put. */
static uint64_t *find_window(const struct table *table, uint64_t window)
{
	size_t i = place_of(table, window);
	while (table->windows[i] != 0 && table->windows[i] != window)
		i = (i + 1) & (table->room - 1);
	return &table->windows[i];
}

static void put_windows(const struct table *table, const char *text, spelling spell)
{
	uint64_t window = 0;
	unsigned char character;
	for (size_t seen = 0; *text != '\0';) {
		text += spell(text, &character);
		if (character == 0)
			continue;
		window = window << 8 | character;
		if (++seen >= LOG_SECRET_RUN)
			*find_window(table, window) = window;
	}
}

static int put_secret(const struct table *table, const char *secret)
{
	char *encoded = percent_encoded(secret);
	if (!encoded)
		return -ENOMEM;
	put_windows(table, secret, as_it_is);
	put_windows(table, secret, decoded);
	put_windows(table, secret, simplified);
	put_windows(table, encoded, as_it_is);
	explicit_bzero(encoded, strlen(encoded));
	free(encoded);
	return 0;
}

static void table_free(struct table *table)
{
	if (table->windows)
		explicit_bzero(table->windows, table->room * sizeof(*table->windows));
	free(table->windows);
	*table = (struct table){.windows = NULL};
}

/* Makes the table of what there is. */
static int make_table(struct table *ret)
{
	size_t windows = 0;
	struct table table = {.room = 1024};
	/* The encoded spelling may take three times as much as each of the others. */
	for (size_t i = 0; i < SECRETS_MAX; i++)
		windows += state.secrets[i] ? 6 * strlen(state.secrets[i]) : 0;
	while (table.room < 2 * windows)
		table.room *= 2;
	table.windows = calloc(table.room, sizeof(*table.windows));
	int error = table.windows ? 0 : -ENOMEM;
	for (size_t i = 0; i < SECRETS_MAX && error == 0; i++)
		if (state.secrets[i])
			error = put_secret(&table, state.secrets[i]);
	if (error != 0)
		table_free(&table);
	else
		*ret = table;
	return error;
}

static void drop(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static bool holds(const char *secret)
{
	for (size_t i = 0; i < SECRETS_MAX; i++)
		if (state.secrets[i] && strcmp(state.secrets[i], secret) == 0)
			return true;
	return false;
}

/* Another thread may search meanwhile; nobody else adds. */
static int add_new(const char *secret, size_t *added, size_t first, size_t room)
{
	struct table table, old_table;
	char *copy = strdup(secret), **place = &state.secrets[first + *added % room];
	if (!copy)
		return -ENOMEM;
	pthread_rwlock_wrlock(&state.lock);
	char *old = *place;
	*place = copy;
	pthread_rwlock_unlock(&state.lock);
	++*added;
	drop(old);
	const int error = make_table(&table);
	if (error != 0)
		return error;
	pthread_rwlock_wrlock(&state.lock);
	old_table = state.table;
	state.table = table;
	pthread_rwlock_unlock(&state.lock);
	table_free(&old_table);
	atomic_store(&state.any, true);
	return 0;
}

static int add(const char *secret, size_t *added, size_t first, size_t room)
{
	if (!secret || strlen(secret) < LOG_SECRET_MIN)
		return 0;
	pthread_mutex_lock(&state.adding);
	const int error = holds(secret) ? 0 : add_new(secret, added, first, room);
	pthread_mutex_unlock(&state.adding);
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
	pthread_mutex_lock(&state.adding);
	pthread_rwlock_wrlock(&state.lock);
	atomic_store(&state.any, false);
	for (size_t i = 0; i < SECRETS_MAX; i++) {
		drop(state.secrets[i]);
		state.secrets[i] = NULL;
	}
	table_free(&state.table);
	state.kept = state.passing = 0;
	pthread_rwlock_unlock(&state.lock);
	pthread_mutex_unlock(&state.adding);
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
		if (seen >= LOG_SECRET_RUN && *find_window(&state.table, window) == window)
			hide(&r, begins[seen % LOG_SECRET_RUN], at);
	}
	write_hidden(&r);
	memmove(r.to, r.from, (size_t)(at - r.from) + 1);
}

/* A short secret, as a word of its own. */
static void hide_word(char *text, const char *word)
{
	const size_t size = strlen(word);
	for (char *at = text; (at = strcasestr(at, word)); at += size) {
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
	if (state.table.windows) {
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
