/*
 * quota_table.c - see quota_table.h. Buckets of single linked lists, and one list of all entries by use. Where names fall is told by a hash with
 * a seed that changes at each start, so that nobody can choose addresses that fall into one bucket.
 */
#include "quota_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SWEEPS = 60, BUCKETS_MIN = 16 };

int quota_table_init(struct quota_table *table, size_t max, size_t node_size, void (*drop)(void *node))
{
	*table = (struct quota_table){.max = max, .node_size = node_size, .drop = drop};
	if (getrandom(&table->seed, sizeof(table->seed), GRND_NONBLOCK) != sizeof(table->seed))
		table->seed = (uint64_t)(uintptr_t)
			table; /* at the start of a machine: the addresses are random as well */
	table->bucket_count = BUCKETS_MIN;
	while (table->bucket_count < max)
		table->bucket_count *= 2;
	table->buckets = calloc(table->bucket_count, sizeof(struct quota_node *));
	return table->buckets ? 0 : -ENOMEM;
}

static struct quota_node **bucket_of(struct quota_table *table, const char *name, size_t size)
{
	uint64_t hash = table->seed ^ UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	hash ^= hash >> 32;
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return &table->buckets[(hash >> 32) & (table->bucket_count - 1)];
}

/* ---- The list by use ---- */

static void unlink_used(struct quota_table *table, struct quota_node *node)
{
	*(node->newer ? &node->newer->older : &table->newest) = node->older;
	*(node->older ? &node->older->newer : &table->oldest) = node->newer;
}

static void link_newest(struct quota_table *table, struct quota_node *node)
{
	node->newer = NULL;
	node->older = table->newest;
	*(table->newest ? &table->newest->newer : &table->oldest) = node;
	table->newest = node;
}

/* ---- Entries ---- */

static void node_free(struct quota_table *table, struct quota_node **place)
{
	struct quota_node *node = *place;
	*place = node->next;
	unlink_used(table, node);
	table->count--;
	if (table->drop)
		table->drop(node);
	free(node);
}

void quota_table_free(struct quota_table *table)
{
	for (size_t i = 0; table->buckets && i < table->bucket_count; i++)
		while (table->buckets[i])
			node_free(table, &table->buckets[i]);
	free(table->buckets);
	*table = (struct quota_table){0};
}

/* Pinned entries that are passed become the newest: so no two calls pass the same ones, and a call costs little on average. */
static bool make_room(struct quota_table *table)
{
	for (size_t passed = 0; passed < table->count; passed++) {
		struct quota_node *node = table->oldest;
		if (node->pins == 0) {
			struct quota_node **place = bucket_of(table, node->name, strlen(node->name));
			while (*place != node)
				place = &(*place)->next;
			node_free(table, place);
			return true;
		}
		unlink_used(table, node);
		link_newest(table, node);
	}
	return false;
}

static struct quota_node **place_of(struct quota_table *table, const char *name, size_t size)
{
	struct quota_node **place = bucket_of(table, name, size);
	while (*place && (strncmp((*place)->name, name, size) != 0 || (*place)->name[size] != '\0'))
		place = &(*place)->next;
	return place;
}

void *quota_table_find(struct quota_table *table, const char *name)
{
	return *place_of(table, name, strnlen(name, QUOTA_NAME_MAX));
}

void *quota_table_get(struct quota_table *table, const char *name, int64_t now_ms)
{
	size_t size = strnlen(name, QUOTA_NAME_MAX);
	struct quota_node *node = *place_of(table, name, size);
	if (node) {
		unlink_used(table, node);
	} else {
		if (table->count >= table->max && !make_room(table))
			return NULL;
		node = calloc(1, table->node_size);
		if (!node)
			return NULL;
		memcpy(node->name, name, size);
		struct quota_node **place = bucket_of(table, name, size);
		node->next = *place;
		*place = node;
		table->count++;
	}
	link_newest(table, node);
	node->used_ms = now_ms;
	return node;
}

void quota_table_sweep(struct quota_table *table, bool (*keep)(void *node, void *context), void *context)
{
	for (size_t left = table->bucket_count / SWEEPS + 1; left > 0; left--) {
		for (struct quota_node **place = &table->buckets[table->swept]; *place;) {
			if (keep(*place, context) || (*place)->pins > 0)
				place = &(*place)->next;
			else
				node_free(table, place);
		}
		table->swept = (table->swept + 1) & (table->bucket_count - 1);
	}
}
