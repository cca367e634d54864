/*
 * json_memory.c - see json_memory.h.
 */
#include "json_memory.h"

#include <jansson.h>
#include <stdlib.h>

/* Twice what signing a token takes. Blocks of malloc's, one by one, because libjwt frees by free() what it
 * got from jansson. A larger piece, or one more, is taken from malloc when it is asked for. */
enum { RESERVE_BLOCKS = 128, RESERVE_BLOCK_SIZE = 512 };

static _Thread_local enum { JSON_MEMORY_IDLE, JSON_MEMORY_WATCHED, JSON_MEMORY_FAILED } json_memory;
static _Thread_local struct {
	void **blocks; /* NULL: there is none */
	size_t left;
} reserve;

static void *json_memory_alloc(size_t size)
{
	if (reserve.left > 0 && size <= RESERVE_BLOCK_SIZE)
		return reserve.blocks[--reserve.left];
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

static void reserve_free(void)
{
	while (reserve.left > 0)
		free(reserve.blocks[--reserve.left]);
	free(reserve.blocks);
	reserve.blocks = NULL;
}

bool json_memory_begin_reserved(void)
{
	reserve.blocks = malloc(RESERVE_BLOCKS * sizeof(*reserve.blocks));
	while (reserve.blocks && reserve.left < RESERVE_BLOCKS) {
		void *block = malloc(RESERVE_BLOCK_SIZE);
		if (!block)
			reserve_free();
		else
			reserve.blocks[reserve.left++] = block;
	}
	if (!reserve.blocks)
		return false;
	json_memory_begin();
	return true;
}

bool json_memory_end(void)
{
	const bool failed = json_memory == JSON_MEMORY_FAILED;
	json_memory = JSON_MEMORY_IDLE;
	reserve_free();
	return failed;
}
