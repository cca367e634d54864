/* deny.c - the deny list: see deny.h. Entries are sorted by "user 68946", and looked up so. */
#include "deny.h"

#include "small_file.h"
#include "topic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "handler " and a name, "token " and a jti, and a NUL */
enum { KEY_SIZE = 8 + TOKEN_ID_MAX + 1 };

struct entry {
	const char *key; /* in the text */
	int64_t before;	 /* INT64_MAX: never let in */
};

struct deny {
	char *text;
	size_t text_size;
	size_t count;
	struct entry *entries;
};

/* The later one of two times first, which is the stricter one. */
static int entry_compare(const void *a, const void *b)
{
	const struct entry *first = a, *second = b;
	const int keys = strcmp(first->key, second->key);
	return keys != 0 ? keys : (first->before < second->before) - (first->before > second->before);
}

/* ---- Reading ---- */

/* Ends the word at `at` and is what follows behind its blanks. */
static char *word_end(char *at)
{
	char *end = at + strcspn(at, " \t");
	char *next = end + strspn(end, " \t");
	*end = '\0';
	return next;
}

/* Seconds since 1970. */
static bool time_parse(const char *text, int64_t *ret_time)
{
	const size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 15 || text[digits] != '\0')
		return false;
	*ret_time = strtoll(text, NULL, 10);
	return true;
}

/* One line without what is around it. The key is written over its beginning. */
static bool line_parse(char *line, struct entry *ret_entry)
{
	char *name = word_end(line);
	const bool is_token = strcmp(line, "token") == 0;
	if (!is_token && strcmp(line, "user") != 0 && strcmp(line, "handler") != 0)
		return false;
	char *rest = word_end(name);
	const size_t size = strlen(name);
	if (is_token ? size < 1 || size > TOKEN_ID_MAX : !topic_user_valid(name, size))
		return false;
	int64_t before = INT64_MAX;
	if (rest[0] != '\0') {
		char *when = word_end(rest);
		if (is_token || strcmp(rest, "before") != 0 || !time_parse(when, &before))
			return false;
	}
	/* One blank between the words, whatever there was. */
	const size_t kind_size = strlen(line);
	line[kind_size] = ' ';
	memmove(line + kind_size + 1, name, size + 1);
	*ret_entry = (struct entry){line, before};
	return true;
}

/* Where its comment begins, or its end. A # within a word is part of that: a jti may have one. */
static size_t comment_at(const char *line)
{
	size_t at = 0;
	while (line[at] != '\0' &&
		(line[at] != '#' || (at > 0 && line[at - 1] != ' ' && line[at - 1] != '\t')))
		at++;
	return at;
}

/* Cuts the line at its comment and its blanks. */
static char *line_trim(char *line)
{
	line[comment_at(line)] = '\0';
	line += strspn(line, " \t");
	size_t size = strlen(line);
	while (size > 0 && strchr(" \t\r", line[size - 1]))
		line[--size] = '\0';
	return line;
}

static size_t count_lines(const char *text)
{
	size_t count = 1;
	for (; (text = strchr(text, '\n')); text++)
		count++;
	return count;
}

/* 0, or the number of the line that is wrong. */
static size_t text_parse(struct deny *deny)
{
	size_t number = 0;
	if (strlen(deny->text) != deny->text_size)
		return 1;
	for (char *next = deny->text, *line; (line = strsep(&next, "\n"));) {
		number++;
		line = line_trim(line);
		if (line[0] != '\0' && !line_parse(line, &deny->entries[deny->count++]))
			return number;
	}
	if (deny->count == 0)
		return 0;
	qsort(deny->entries, deny->count, sizeof(deny->entries[0]), entry_compare);
	size_t kept = 1;
	for (size_t i = 1; i < deny->count; i++)
		if (strcmp(deny->entries[i].key, deny->entries[kept - 1].key) != 0)
			deny->entries[kept++] = deny->entries[i];
	deny->count = kept;
	return 0;
}

static int text_take(const char *path, char *owned_text, size_t size, struct deny **ret_deny, keys_tell tell)
{
	char words[512];
	struct deny *deny = calloc(1, sizeof(*deny));
	if (!deny) {
		small_file_free(owned_text, size);
		return -ENOMEM;
	}
	deny->text = owned_text;
	deny->text_size = size;
	deny->entries = calloc(count_lines(deny->text), sizeof(deny->entries[0]));
	const size_t wrong = deny->entries ? text_parse(deny) : 0;
	if (!deny->entries || wrong > 0) {
		const int error = deny->entries ? DENY_E_UNUSABLE : -ENOMEM;
		(void)snprintf(words, sizeof(words),
			"%s:%zu: expected user ID, handler NAME, both with or without before SECONDS, or token JTI",
			path, wrong);
		if (error == DENY_E_UNUSABLE)
			tell(KEYS_ERROR, words);
		deny_free(deny);
		return error;
	}
	(void)snprintf(words, sizeof(words), "%s denies %zu", path, deny->count);
	tell(KEYS_NOTICE, words);
	*ret_deny = deny;
	return 0;
}

int deny_read(const char *path, struct deny **ret_deny, keys_tell tell)
{
	char words[512], *text = NULL;
	size_t size = 0;
	const int error = small_file_read(path, DENY_FILE_MAX, &text, &size);
	if (error == 0)
		return text_take(path, text, size, ret_deny, tell);
	(void)snprintf(words, sizeof(words), "plugin_opt_deny_file %s cannot be read: %s", path,
		small_file_explain(error));
	tell(KEYS_ERROR, words);
	return error == -ENOMEM ? error : DENY_E_UNUSABLE;
}

void deny_free(struct deny *deny)
{
	if (!deny)
		return;
	small_file_free(deny->text, deny->text_size);
	free(deny->entries);
	free(deny);
}

/* ---- Looking up ---- */

static bool holds(const struct deny *deny, const char *kind, const char *name, int64_t issued)
{
	char key[KEY_SIZE];
	(void)snprintf(key, sizeof(key), "%s %s", kind, name);
	size_t low = 0, high = deny->count;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const int order = strcmp(deny->entries[middle].key, key);
		if (order == 0)
			return issued < deny->entries[middle].before;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool deny_holds(const struct deny *deny, const struct token_identity *identity)
{
	if (!deny)
		return false;
	const bool denied = identity->is_handler ? holds(deny, "handler", identity->name, identity->issued)
						 : holds(deny, "user", identity->user_id, identity->issued);
	return denied || (identity->id[0] != '\0' && holds(deny, "token", identity->id, INT64_MIN));
}
