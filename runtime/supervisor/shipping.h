/*
 * shipping.h - the log goes to Loggly as well, where there is a token for it.
 *
 * Happy path: shipping_open() when the log is open, shipping_close() when everything has been logged. Failure modes are logged, and the program goes
 * on without; see loggly.h.
 */
#ifndef SHIPPING_H
#define SHIPPING_H

struct loggly;
struct settings;

/* All-zero: closed. */
struct shipping {
	struct loggly *loggly;
};

/* Says where the log goes, or that it is not shipped. Main thread. */
void shipping_open(struct shipping *self, const struct settings *settings);

/* Opens it anew if the settings differ in what matters here; does not wait: the spool takes over. Main
 * thread. */
void shipping_change(struct shipping *self, const struct settings *before, const struct settings *after);

/* Ships the rest, for five seconds at most. Main thread. */
void shipping_close(struct shipping *self);

#endif
