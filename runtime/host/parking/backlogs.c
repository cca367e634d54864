/*
 * backlogs.c - see host_parked.h. A hash table with chains.
 */
#include "backlogs.h"

#include "fingerprint.h"
#include "store.h"
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned bucket_of(const char *lane_id, const char *user)
{
	const uint64_t lane = fingerprint_text(lane_id, strlen(lane_id)),
		       hash = fingerprint_text(user, strlen(user));
	return (unsigned)((lane * 31 + hash) % PARKED_BUCKETS);
}

struct parked_backlog *parked_find(const struct parked *parked, const char *lane_id, const char *user)
{
	if (parked->count == 0)
		return NULL;
	struct parked_backlog *backlog = parked->buckets[bucket_of(lane_id, user)];
	while (backlog != NULL &&
		(strcmp(backlog->user, user) != 0 || strcmp(backlog->lane_id, lane_id) != 0))
		backlog = backlog->next;
	return backlog;
}

struct parked_backlog *parked_add(struct parked *parked, struct lane *lane, const char *lane_id,
	const char *user, int64_t not_before_ms)
{
	struct parked_backlog *backlog = parked_find(parked, lane_id, user);
	if (backlog != NULL)
		return backlog;
	const size_t lane_size = strlen(lane_id) + 1, user_size = strlen(user) + 1;
	backlog = malloc(sizeof(*backlog) + lane_size + user_size);
	if (backlog == NULL)
		return NULL;
	struct parked_backlog **bucket = &parked->buckets[bucket_of(lane_id, user)];
	*backlog = (struct parked_backlog){.next = *bucket,
		.lane = lane,
		.not_before_ms = not_before_ms,
		.lane_id = backlog->texts,
		.user = backlog->texts + lane_size};
	memcpy(backlog->texts, lane_id, lane_size);
	memcpy(backlog->texts + lane_size, user, user_size);
	*bucket = backlog;
	parked->count++;
	return backlog;
}

void parked_drop(struct parked *parked, struct parked_backlog *backlog)
{
	if (backlog->running || backlog->parking > 0 || backlog->in_line)
		abort();
	struct parked_backlog **at = &parked->buckets[bucket_of(backlog->lane_id, backlog->user)];
	while (*at != backlog)
		at = &(*at)->next;
	*at = backlog->next;
	parked->count--;
	free(backlog);
}

void parked_drop_all(struct parked *parked)
{
	for (size_t i = 0; i < PARKED_BUCKETS; i++) {
		for (struct parked_backlog *backlog = parked->buckets[i], *next; backlog != NULL;
			backlog = next) {
			next = backlog->next;
			free(backlog);
		}
	}
	*parked = (struct parked){0};
}

void parked_line(struct parked *parked, struct parked_backlog *backlog)
{
	if (backlog->in_line || backlog->running)
		return;
	backlog->in_line = true;
	backlog->due_next = NULL;
	if (parked->line != NULL)
		parked->line_last->due_next = backlog;
	else
		parked->line = backlog;
	parked->line_last = backlog;
}

struct parked_backlog *parked_next(struct parked *parked)
{
	struct parked_backlog *backlog = parked->line;
	if (backlog == NULL)
		return NULL;
	parked->line = backlog->due_next;
	backlog->in_line = false;
	return backlog;
}

void parked_hold(struct parked *parked, struct parked_backlog *backlog)
{
	backlog->in_line = true;
	backlog->due_next = parked->held;
	parked->held = backlog;
}

void parked_unhold(struct parked *parked)
{
	struct parked_backlog *backlog = parked->held, *next;
	parked->held = NULL;
	for (; backlog != NULL; backlog = next) {
		next = backlog->due_next;
		backlog->in_line = false;
		parked_line(parked, backlog);
	}
}

/* ---- Marks ---- */

struct parked_marks *parked_marks_new(const char *lane_id)
{
	const size_t size = strlen(lane_id) + 1;
	struct parked_marks *marks = calloc(1, sizeof(*marks) + size);
	if (marks != NULL)
		memcpy(marks->lane_id, lane_id, size);
	return marks;
}

void parked_marks_free(struct parked_marks *marks)
{
	if (marks == NULL)
		return;
	for (size_t i = 0; i < marks->first_count; i++)
		free(marks->firsts[i].user);
	free(marks->firsts);
	free(marks->copies);
	free(marks);
}

static size_t grown(size_t capacity)
{
	return capacity == 0 ? 64 : 2 * capacity;
}

static bool add_first(struct parked_marks *marks, const struct parked_mark *mark)
{
	/* They come by user, the first of each first. */
	if (marks->first_count > 0 && strcmp(marks->firsts[marks->first_count - 1].user, mark->user) == 0)
		return true;
	if (marks->first_count == marks->first_capacity) {
		const size_t capacity = grown(marks->first_capacity);
		struct parked_first *firsts = realloc(marks->firsts, capacity * sizeof(*firsts));
		if (firsts == NULL)
			return false;
		marks->firsts = firsts;
		marks->first_capacity = capacity;
	}
	char *user = strdup(mark->user);
	if (user == NULL)
		return false;
	marks->firsts[marks->first_count++] = (struct parked_first){.user = user,
		.held_position = strcmp(marks->begun_user, mark->user) == 0 ? marks->begun_position : 0,
		.not_before_ms = mark->not_before_ms};
	return true;
}

void parked_before_write(unsigned char ret[static PARKED_BEFORE_SIZE], uint16_t mid, uint64_t key)
{
	mid = htole16(mid);
	key = htole64(key);
	memcpy(ret, &mid, sizeof(mid));
	memcpy(ret + sizeof(mid), &key, sizeof(key));
}

static bool add_copy(struct parked_marks *marks, const struct parked_copy *copy)
{
	if (marks->copy_count == marks->copy_capacity) {
		const size_t capacity = grown(marks->copy_capacity);
		struct parked_copy *copies = realloc(marks->copies, capacity * sizeof(*copies));
		if (copies == NULL)
			return false;
		marks->copies = copies;
		marks->copy_capacity = capacity;
	}
	marks->copies[marks->copy_count++] = *copy;
	return true;
}

static bool add_before(struct parked_marks *marks, const struct parked_mark *mark)
{
	const unsigned char *at = mark->before;
	for (size_t left = mark->before_size; left >= PARKED_BEFORE_SIZE; left -= PARKED_BEFORE_SIZE) {
		struct parked_copy copy = {.position = mark->position, .before = true};
		memcpy(&copy.mid, at, sizeof(copy.mid));
		memcpy(&copy.key, at + sizeof(copy.mid), sizeof(copy.key));
		copy.mid = le16toh(copy.mid);
		copy.key = le64toh(copy.key);
		at += PARKED_BEFORE_SIZE;
		if (!add_copy(marks, &copy))
			return false;
	}
	return true;
}

static void visit(void *context, const struct parked_mark *mark)
{
	struct parked_marks *marks = context;
	if (mark->position > marks->last_position)
		marks->last_position = mark->position;
	if (mark->before_size > 0) {
		snprintf(marks->begun_user, sizeof(marks->begun_user), "%s", mark->user);
		marks->begun_position = mark->position;
	}
	const struct parked_copy copy = {.key = mark->key, .position = mark->position, .mid = mark->mid};
	if ((!mark->done && !add_first(marks, mark)) || (mark->mid != 0 && !add_copy(marks, &copy)) ||
		!add_before(marks, mark))
		marks->error = -ENOMEM;
}

static int later_first(const void *a, const void *b)
{
	const struct parked_copy *one = a, *two = b;
	return (one->position < two->position) - (one->position > two->position);
}

static int by_mid(const void *a, const void *b)
{
	const struct parked_copy *one = a, *two = b;
	return one->mid - two->mid;
}

void parked_marks_read(struct parked_marks *marks, struct store_client *client, size_t copies_max)
{
	const int rc = parked_command_marks(client, marks->lane_id, visit, marks);
	if (marks->error == 0)
		marks->error = rc;
	if (marks->copy_count > copies_max) {
		qsort(marks->copies, marks->copy_count, sizeof(*marks->copies), later_first);
		marks->copy_count = copies_max;
	}
	if (marks->copy_count > 0)
		qsort(marks->copies, marks->copy_count, sizeof(*marks->copies), by_mid);
}

void parked_marks_acknowledged(struct parked_marks *marks, int64_t position)
{
	size_t kept = 0;
	for (size_t i = 0; i < marks->copy_count; i++)
		if (marks->copies[i].position > position)
			marks->copies[kept++] = marks->copies[i];
	marks->copy_count = kept;
}

bool parked_marks_take(struct parked_marks *marks, uint16_t mid, uint64_t key, struct parked_copy *ret)
{
	size_t low = 0, high = marks->copy_count;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		if (marks->copies[middle].mid < mid)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < marks->copy_count && marks->copies[low].mid == mid; low++) {
		if (marks->copies[low].key != key)
			continue;
		*ret = marks->copies[low];
		marks->copy_count--;
		memmove(&marks->copies[low], &marks->copies[low + 1],
			(marks->copy_count - low) * sizeof(marks->copies[0]));
		return true;
	}
	return false;
}

int parked_load(struct parked *parked, struct lane *lane, const struct parked_marks *marks)
{
	for (size_t i = 0; i < PARKED_BUCKETS; i++)
		for (struct parked_backlog *backlog = parked->buckets[i]; backlog != NULL;
			backlog = backlog->next)
			backlog->marked = false;
	for (size_t i = 0; i < marks->first_count; i++) {
		const struct parked_first *first = &marks->firsts[i];
		struct parked_backlog *backlog =
			parked_add(parked, lane, marks->lane_id, first->user, first->not_before_ms);
		if (backlog == NULL)
			return -ENOMEM;
		backlog->not_before_ms = first->not_before_ms;
		backlog->held_position = first->held_position;
		backlog->marked = true;
	}
	for (size_t i = 0; i < PARKED_BUCKETS; i++)
		for (struct parked_backlog *backlog = parked->buckets[i]; backlog != NULL;
			backlog = backlog->next)
			if (!backlog->marked && backlog->lane == lane && backlog->parking == 0)
				parked_line(parked, backlog);
	return 0;
}
