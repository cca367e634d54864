/*
 * thread_room.c - see thread_room.h.
 */
#include "thread_room.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Address space alone; what libraries keep for each thread has room in it, a sanitizer's too. */
enum { STACK_SIZE = 256 * 1024 };

static void *wait_for_all(void *context)
{
	pthread_mutex_t *gate = context;
	pthread_mutex_lock(gate);
	pthread_mutex_unlock(gate);
	return NULL;
}

int thread_room(unsigned count)
{
	pthread_t *threads = calloc(count > 0 ? count : 1, sizeof(*threads));
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	pthread_attr_t attributes;
	if (!threads)
		return -ENOMEM;
	int error = pthread_attr_init(&attributes);
	if (error != 0) {
		free(threads);
		return -error;
	}
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	unsigned made = 0;
	/* None ends before all are there. */
	pthread_mutex_lock(&gate);
	while (error == 0 && made < count) {
		error = pthread_create(&threads[made], &attributes, wait_for_all, &gate);
		made += error == 0;
	}
	pthread_mutex_unlock(&gate);
	for (unsigned i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
	pthread_attr_destroy(&attributes);
	free(threads);
	return -error;
}
