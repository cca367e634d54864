/*
 * doctor_advice.h - what to do about what a database has answered.
 *
 * By the server's code first, as two servers say the same in different words. Pure, any thread.
 */
#ifndef DOCTOR_ADVICE_H
#define DOCTOR_ADVICE_H

struct doctor_advice {
	const char *text;
	const char *
		after_name; /* NULL: the text is all; else the database's name follows the text, and then this */
};

/* error: the store's (cashew_store.h); code: the server's, 0 where there is none (store_last_code()); words: what the server or the driver says. */
struct doctor_advice doctor_advice_of(int error, int code, const char *words);

#endif
