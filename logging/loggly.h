/*
 * loggly.h - ships the log to Loggly: lines of JSON in, batches over HTTPS out, a spool on disk for what
 * cannot be sent now.
 *
 * Happy path: loggly_open(), loggly_put() for every line, loggly_close(). A thread of its own makes events of
 * the lines (loggly_event.h) and sends them once a second or once they fill a request. loggly_put() copies
 * the line and never waits: for no network, no disk and no other thread's work. Failure modes: no room in
 * memory: the line is lost and counted. Loggly does not answer, or asks for patience: everything goes to the
 * spool (log_spool.h), and is tried again with growing, random pauses. It refuses a batch for good: that is
 * set aside beside the spool. It refuses the token: said, and tried again after a long pause. No disk: what
 * is in memory stays there. What was lost is told in an event of its own ("loggly_lost").
 */
#ifndef LOGGLY_H
#define LOGGLY_H

#include <stddef.h>
#include <stdint.h>

struct loggly;

struct loggly_options {
	const char *url, *token, *tags;
	const char *ca_file;	  /* NULL or "": the system's certificate authorities */
	const char *spool_folder; /* NULL or "": without a spool */
	uint64_t spool_max;	  /* bytes */
	/* What follows is for tests; 0: as is written behind it. */
	const char *host_name;		       /* of this machine */
	size_t memory;			       /* bytes for lines that wait for the thread: 4 MiB */
	size_t batch_size;		       /* bytes of a request: 1 MB */
	unsigned batch_ms;		       /* 1 s */
	unsigned connect_ms;		       /* 3 s */
	unsigned total_ms;		       /* 15 s */
	unsigned retry_first_ms, retry_max_ms; /* 1 s, 5 min */
	unsigned pause_ms;		       /* after a refusal: 5 min */
	unsigned disk_ms;		       /* between attempts to use a spool that cannot be used: 5 s */
	unsigned tell_ms;		       /* between events that tell of losses: 10 s */
};

/* The account, in events; see struct log_account. */
struct loggly_figures {
	uint64_t emitted, shipped;
	uint64_t in_memory; /* now, those under way too */
	uint64_t spooled, aside;
	uint64_t lost_memory, lost_spool, lost_disk, lost_killed;
	uint64_t spool_bytes; /* no events: what the spool takes on disk */
};

/* 0 or a negative errno. Main thread, once at a time: starts a thread. */
__attribute__((warn_unused_result)) int loggly_open(
	const struct loggly_options *options, struct loggly **ret);

/* Whole lines, each one JSON object without a line end inside; a last one without its line end gets it. Any
 * thread, but not after loggly_close() has begun to run. */
void loggly_put(struct loggly *loggly, const char *lines, size_t size);

/* Any thread. */
void loggly_read(struct loggly *loggly, struct loggly_figures *ret);

/*
 * Ships what there is for timeout_ms at most, as long as Loggly takes it, and puts the rest into the spool.
 * ret, which may be NULL: what became of all. NULL is allowed. Main thread.
 */
void loggly_close(struct loggly *loggly, unsigned timeout_ms, struct loggly_figures *ret);

/* The pause after so many failures in a row: at random up to first_ms, doubled with each, up to max_ms. */
unsigned loggly_pause_ms(unsigned failures, unsigned first_ms, unsigned max_ms, uint64_t random);

#endif
