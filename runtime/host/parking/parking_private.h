/*
 * parking_private.h - what parking.c and parking_job.c share and nobody else sees.
 */
#ifndef PARKING_PRIVATE_H
#define PARKING_PRIVATE_H

#include "parking.h"
#include "storing.h"

enum {
	PARKING_WALK_MS = 20,	 /* between two walks over all backlogs */
	PARKING_RETRY_MS = 1000, /* after what should not be */
};

struct parking {
	struct parking_options options;
	struct backlog *backlogs;	  /* linked by next */
	struct backlog *line, **line_end; /* those that are due, linked by line_next */
	struct parking_job *repeated;	  /* linked by next: when the store answers again */
	size_t jobs;			  /* that the pool has */
	size_t claimed;			  /* backlogs that are not RESTING */
	size_t in_memory;		  /* commands of them */
	int64_t walk_at_ms;
	int64_t now_ms;
	bool stopping;
};

/* A storing job, and what its inputs live in. */
struct parking_job {
	struct storing storing; /* first */
	struct parking_job *next;
	struct backlog *backlog; /* NULL: it buries */
	struct command *buried;
	struct dead_letter letter;
	struct backlog_list list; /* APPEND: whose documents */
	struct store_id first;	  /* that it leases, or gives back */
	void *inputs[];		  /* APPEND: their documents; FINISH: their ids */
};

void backlog_list_add(struct backlog_list *list, struct command *command);
struct command *backlog_list_take(struct backlog_list *list);

/* Each begins a job for the backlog, which is not busy. Without memory it stays so, and is looked at again. */
void parking_job_append(struct parking *parking, struct backlog *backlog);
void parking_job_claim(struct parking *parking, struct backlog *backlog);
void parking_job_finish(struct parking *parking, struct backlog *backlog, size_t count);
void parking_job_postpone(struct parking *parking, struct backlog *backlog);
void parking_job_renew(struct parking *parking, struct backlog *backlog);
void parking_job_release(struct parking *parking, struct backlog *backlog);

/* Hands it to the pool, for the first time or again. */
void parking_submit(struct parking *parking, struct parking_job *job);

#endif
