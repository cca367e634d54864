/*
 * json_memory.c - see json_memory.h.
 */
#include "json_memory.h"

#include <jansson.h>
#include <stdlib.h>

static _Thread_local enum { JSON_MEMORY_IDLE, JSON_MEMORY_WATCHED, JSON_MEMORY_FAILED } json_memory;

static void *json_memory_alloc(size_t size)
{
	if (json_memory == JSON_MEMORY_FAILED)
		return NULL;
	void *memory = malloc(size);
	if (!memory && json_memory == JSON_MEMORY_WATCHED)
		json_memory = JSON_MEMORY_FAILED;
	return memory;
}

/* Before main, because it must not change while another thread is inside jansson. */
__attribute__((constructor)) static void json_memory_install(void)
{
	json_set_alloc_funcs(json_memory_alloc, free);
}

/* The broker's plugin may be gone before the last one in the process that uses jansson. */
__attribute__((destructor)) static void json_memory_remove(void)
{
	json_set_alloc_funcs(malloc, free);
}

void json_memory_begin(void)
{
	json_memory = JSON_MEMORY_WATCHED;
}

bool json_memory_end(void)
{
	const bool failed = json_memory == JSON_MEMORY_FAILED;
	json_memory = JSON_MEMORY_IDLE;
	return failed;
}
