/*
 * store_clock.h - inside of store/: what time it is at the database, kept as its difference from a clock of this machine.
 *
 * Happy path: store_clock_note() each time the server has told its time, store_clock_now_us() whenever it is asked for. The answer was on its way for
 * a while, so each difference is known to half of that; the best one is kept, until a newer one contradicts it (the server's clock was set, or
 * it is another server) or it is a minute old. A better difference does not make time go back: it stands still until the server has caught up, but
 * for a step that is too large for that, and that the differences do not explain by what they left open. The clock here is CLOCK_BOOTTIME: nobody sets it, and it goes on while the machine sleeps.
 */
#ifndef STORE_CLOCK_H
#define STORE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { STORE_CLOCK_STEP_MS = 1000 };

struct store_clock {
	pthread_mutex_t lock;
	bool known;
	int64_t difference_us; /* of the server's clock from ours */
	int64_t within_us;     /* it is true to that much */
	int64_t noted_us;      /* on our clock */
	int64_t told_us;       /* the latest time that was told */
	int64_t open_us; /* what differences that agree have left open, until the server has caught up */
};

/* The time is not known yet. store_clock_destroy() when nobody asks it any more. */
void store_clock_init(struct store_clock *clock);
void store_clock_destroy(struct store_clock *clock);

/* CLOCK_BOOTTIME in microseconds. */
int64_t store_clock_here_us(void);

/* The server, asked and answered at those times of our clock, said it was server_ms: Unix time. */
void store_clock_note(struct store_clock *clock, int64_t asked_us, int64_t answered_us, int64_t server_ms);

/* The server's time; this machine's wall clock before the first note. What is asked for later is not earlier, but where the server's clock was
 * set back by STORE_CLOCK_STEP_MS and more. Any thread. */
int64_t store_clock_now_us(struct store_clock *clock);

/* Whether an answer has told the time. Any thread. */
bool store_clock_known(struct store_clock *clock);

/*
 * How far this machine's wall clock is ahead of the server's, less than 0: behind; less what the answer's way leaves open, so it is never more than
 * it is. False where that way took STORE_CLOCK_FAR_MS and more, or nothing has been noted: then it is not known. Any thread.
 */
enum { STORE_CLOCK_FAR_MS = 2000 };
bool store_clock_wall_ahead_us(struct store_clock *clock, int64_t *ret_us);

#endif
