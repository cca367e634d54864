/*
 * driver_log.h - inside of store/: what MongoDB's driver says by itself, in our log ("mongodb_driver").
 *
 * Happy path: driver_log_begin() before the driver is started. Failure: what the driver says again and again, as of a wrong password at each of its
 * attempts, is logged the first time, and then once a minute with the number of times that it was not. Numbers in a text make it no other one.
 */
#ifndef DRIVER_LOG_H
#define DRIVER_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum { DRIVER_LOG_TEXTS = 32, DRIVER_LOG_PAUSE_MS = 60000 };

/* What was said lately. All-zero is fine. Not locked. */
struct driver_log {
	struct driver_log_text {
		uint64_t fingerprint; /* 0: none */
		int64_t said_ms;
		uint64_t held_back; /* since then */
	} texts[DRIVER_LOG_TEXTS];
};

/* Whether it is to be logged now; then *ret_held_back says how many of it were not since the last time. now_ms: clock_ms(). */
bool driver_log_may(struct driver_log *self, const char *message, int64_t now_ms, uint64_t *ret_held_back);

/* The driver's lines go to our log from now on. */
void driver_log_begin(void);

#endif
