/*
 * quota_table.h - what is known of each user id, or of each address, that has done something lately: a hash table that is bounded.
 *
 * Happy path: quota_table_get() finds the entry or makes one, and marks it as the one used last; quota_table_sweep() visits all entries bit by bit.
 * Failure modes: when the table is full, the entry that was not used for longest and is not pinned makes room, so that a flood of names costs what
 * is known of the others, and no memory; where all are pinned, or there is no memory, there is no entry.
 *
 * The broker's one thread. Times are milliseconds of a clock that never goes back.
 */
#ifndef QUOTA_TABLE_H
#define QUOTA_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUOTA_NAME_MAX = 64 }; /* of a user id, and of an address */

/* At the beginning of whatever an entry is. */
struct quota_node {
	struct quota_node *next;	  /* in its bucket */
	struct quota_node *newer, *older; /* by use */
	int64_t used_ms;		  /* when it was got last */
	unsigned pins;			  /* as long as there are any it stays */
	char name[QUOTA_NAME_MAX + 1];
};

struct quota_table {
	struct quota_node **buckets;
	size_t bucket_count; /* a power of two */
	size_t count, max;
	size_t node_size;
	uint64_t seed;
	size_t swept; /* the bucket that is to be swept next */
	struct quota_node *newest, *oldest;
	void (*drop)(void *node); /* frees what hangs on an entry, before the entry itself is freed */
};

/* Room for `max` entries of `node_size` bytes each, which begin with a struct quota_node. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int quota_table_init(
	struct quota_table *table, size_t max, size_t node_size, void (*drop)(void *node));
void quota_table_free(struct quota_table *table);

/* The entry of that name, of QUOTA_NAME_MAX bytes at most: a longer one is cut. A new one is all zero but for its name. NULL: none can be made. */
void *quota_table_get(struct quota_table *table, const char *name, int64_t now_ms);

/* The same where there is one: else NULL. */
void *quota_table_find(struct quota_table *table, const char *name);

/*
 * Visits a 60th of the entries, the next at the next call. An entry for which `keep` says false, and that is not pinned, is freed.
 * `keep` must not call the table.
 */
void quota_table_sweep(struct quota_table *table, bool (*keep)(void *node, void *context), void *context);

#endif
