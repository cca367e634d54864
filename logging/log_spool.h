/*
 * log_spool.h - events that could not be shipped yet, kept on disk: bounded, and whole after a kill -9.
 *
 * Happy path: log_spool_open(), log_spool_append() for what cannot be sent now; later log_spool_load() gives
 * the oldest segment and log_spool_remove() ends it once it has been shipped. A segment is a file of as many
 * events as make one request; each line of it is "CRC32 EVENT", so that a line which was torn by a kill or
 * changed on disk is known, left out and counted, and all others are read. Failure modes: a full disk refuses
 * an append and leaves nothing of it; past its limit the spool drops its oldest segments and counts their
 * events; another process has it: LOG_SPOOL_E_LOCKED; others can write to it, or own it: LOG_SPOOL_E_FOREIGN, and nothing of it is touched. A file in it
 * that is not the spool's by its name, or that somebody else can change, is passed over and stays. What Loggly has refused is set aside in files of its
 * own, as it is, for people to look at; nothing reads them again.
 *
 * The spool also holds the account of its events in a file that is mapped, so that it is right after a kill.
 * All functions are for one thread; the account's numbers may be read and added to by any.
 */
#ifndef LOG_SPOOL_H
#define LOG_SPOOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What became of the events, since the spool was made. Whenever nothing is in memory:
 * emitted = shipped + spooled + aside + all that was lost; what is missing after a kill was in memory then.
 */
struct log_account {
	_Atomic uint64_t magic;
	_Atomic uint64_t emitted; /* by whoever logs */
	_Atomic uint64_t shipped;
	_Atomic uint64_t spooled;     /* on disk now */
	_Atomic uint64_t aside;	      /* on disk now: refused by Loggly */
	_Atomic uint64_t lost_memory; /* no room in memory */
	_Atomic uint64_t lost_spool;  /* the oldest of a full spool, those set aside too */
	_Atomic uint64_t lost_disk;   /* torn or unreadable on disk, or could not be written when stopping */
	_Atomic uint64_t lost_killed; /* in memory when the process was killed */
	_Atomic uint64_t told;	      /* of those lost: how many an event has told of */
};

struct log_spool;

struct log_spool_options {
	const char *folder;  /* made if it is missing, for this user alone */
	uint64_t limit;	     /* bytes of all its files together, about */
	size_t segment_size; /* bytes of events in a file */
};

enum log_spool_error {
	LOG_SPOOL_E_LOCKED = 1,
	LOG_SPOOL_E_EMPTY,
	LOG_SPOOL_E_FOREIGN, /* others can write to the folder, or to its lock or account; or another user owns it; or it is a link */
};

/* Opens it, and brings its account up to date with what is there. LOG_SPOOL_E_LOCKED, LOG_SPOOL_E_FOREIGN; a negative errno. */
__attribute__((warn_unused_result)) int log_spool_open(
	const struct log_spool_options *options, struct log_spool **ret);

/* What is in it stays. NULL is allowed. */
void log_spool_close(struct log_spool *spool);

/* Lives as long as the spool. */
struct log_account *log_spool_account(struct log_spool *spool);

/* Whether it holds events to ship. */
bool log_spool_is_empty(const struct log_spool *spool);

/* The bytes of all its files, those that are aside too. */
uint64_t log_spool_bytes(const struct log_spool *spool);

/* Adds lines, each ended by \n, not larger than a segment together. 0, or a negative errno: nothing was added. May drop the oldest. */
__attribute__((warn_unused_result)) int log_spool_append(
	struct log_spool *spool, const char *lines, size_t size);

/* Sets lines aside. As log_spool_append(). */
__attribute__((warn_unused_result)) int log_spool_set_aside(
	struct log_spool *spool, const char *lines, size_t size);

/*
 * The events of the oldest segment, in a block that the caller frees; it is not added to or dropped until
 * log_spool_remove() or log_spool_unload(). LOG_SPOOL_E_EMPTY; a negative errno. A segment that cannot be
 * read is lost and counted, and the next one is taken.
 */
__attribute__((warn_unused_result)) int log_spool_load(
	struct log_spool *spool, char **ret_lines, size_t *ret_size);

/* Removes the loaded segment, which is dealt with: its events leave "spooled", and the caller counts what became of them. */
void log_spool_remove(struct log_spool *spool);

/* Lets go of the loaded segment, which stays. */
void log_spool_unload(struct log_spool *spool);

#endif
