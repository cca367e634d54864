/*
 * job.h - something for a thread of a pool (pool.h) to do: embedded in what is done.
 *
 * It belongs to the pool from the moment it is submitted until it is collected.
 */
#ifndef JOB_H
#define JOB_H

struct job {
	struct job *
		next; /* in the pool's queues, in the list of what was collected, and of those that are run together */
	/* On a thread of the pool; context: that thread's. With those that joined it behind it; the list stays as it is. */
	void (*run)(struct job *job, void *context);
};

#endif
