/*
 * parking_private.h - what the files of this folder share and nobody else sees.
 */
#ifndef PARKING_PRIVATE_H
#define PARKING_PRIVATE_H

#include "parking.h"
#include "storing.h"

enum {
	PARKING_WALK_MS = 20,	    /* between two walks over all backlogs */
	PARKING_RETRY_MS = 1000,    /* after what should not be */
	PARKING_REFUSED_MS = 10000, /* after what the database has refused */
	PARKING_JOB_MIN = 10,	    /* documents written or deleted at once, however long that takes */
	PARKING_APPEND_MAX = 500,   /* documents written at once */
};

struct parking {
	struct parking_options options;
	struct backlog *backlogs;	  /* linked by next */
	size_t backlog_count;		  /* of these */
	struct backlog *line, **line_end; /* those that are due, linked by line_next */
	struct parking_job *repeated;	  /* linked by next: after a pause, or when the store answers again */
	int64_t repeat_at_ms; /* when the first of them is due; INT64_MAX: when the store answers */
	/* So many documents are written, and deleted, at once: half of it after each failure. */
	size_t append_max, finish_max;
	size_t jobs;	  /* that the pool has */
	size_t claimed;	  /* backlogs that are not RESTING */
	size_t counted;	  /* of those: they have not stepped aside */
	size_t in_memory; /* commands of them */
	int64_t walk_at_ms;
	int64_t now_ms;
	bool walking; /* all backlogs are looked at: what they write goes together */
	bool stopping;
	bool told_refused[STORING_KINDS]; /* that such jobs are refused, until one is not */
};

/* A storing job, and what its inputs live in. */
struct parking_job {
	struct storing storing; /* first */
	struct parking_job *next;
	unsigned failures;	 /* in a row, that the store answered */
	int64_t pause_ms;	 /* before it is repeated, from the next turn on; 0: that has begun */
	int64_t at_ms;		 /* then; INT64_MAX: when the store answers again */
	struct backlog *backlog; /* NULL: it buries */
	struct command *buried;
	struct dead_letter letter;
	struct backlog_list list; /* APPEND: whose documents */
	struct store_id first;	  /* that it leases, or gives back */
	void *inputs[];		  /* APPEND: their documents; FINISH: their ids */
};

/* ---- parking.c ---- */

/* The backlogs are looked at by then. */
void parking_walk_by(struct parking *parking, int64_t at_ms);

/* Begins what is next for the backlog, if it is not busy. That may be its end. */
void parking_next_step(struct parking *parking, struct backlog *backlog);

/* ---- backlog.c ---- */

/* Takes it out of the line of those that wait to be claimed, if it is in there; and changes its state, with the counts that hang on it. */
void backlog_leave_line(struct parking *parking, struct backlog *backlog);
void backlog_set_state(struct parking *parking, struct backlog *backlog, enum backlog_state state);

/* What had stepped aside is through. */
void backlog_steps_back(struct parking *parking, struct backlog *backlog);

/* Nothing is left of it: it is freed. */
void backlog_end(struct parking *parking, struct backlog *backlog);

/* It may be claimed at that time; what it knew of the store is forgotten. */
void backlog_rest(struct parking *parking, struct backlog *backlog, int64_t due_ms);

/* Gives back what has not begun, or (lost) all that is in memory. */
void backlog_give_back(struct parking *parking, struct backlog *backlog, bool lost);

/* What was on its way into the store is not written, or not by us. Empties the list. */
void backlog_forget(struct parking *parking, struct backlog *backlog, struct backlog_list *list);

/* How many of the first in memory are done, count_max at most. */
size_t backlog_count_done(const struct backlog *backlog, size_t count_max);

/* ---- parking_outcome.c ---- */

/* A job that was not answered is not repeated, since another host may have taken over. Frees it. Its backlog is dropped, and busy no more: what
 * is next for it is the caller's to ask. */
void parking_forget_job(struct parking *parking, struct parking_job *job);

/* ---- parking_job.c ---- */

/* Each begins a job for the backlog, which is not busy. Without memory it stays so, and is looked at again. */
void parking_job_append(struct parking *parking, struct backlog *backlog);
void parking_job_claim(struct parking *parking, struct backlog *backlog);
void parking_job_finish(struct parking *parking, struct backlog *backlog, size_t count);
void parking_job_postpone(struct parking *parking, struct backlog *backlog);
void parking_job_renew(struct parking *parking, struct backlog *backlog);
void parking_job_release(struct parking *parking, struct backlog *backlog);

/* An APPEND or a FINISH of more than PARKING_JOB_MIN documents becomes one of half as many, or of so many: the first ones. The lease goes on to the
 * next one; what is not to be written now is so before all that has come since. */
void parking_job_halve(struct parking_job *job);

/* Hands it to the pool, for the first time or again. */
void parking_submit(struct parking *parking, struct parking_job *job);

#endif
