/*
 * provider_asked.h - that tokens with an unknown kid, which anybody can make, have the provider asked once a minute at most, by all processes together.
 *
 * When it was asked stands in FILE.asked beside the file of the keys, in seconds since 1970, and whoever asks holds that file's lock. Happy path:
 * provider_asked_begin(), the provider is asked, provider_asked_end(). Whoever comes meanwhile waits, and is then told that it was just asked: the file
 * of the keys may be a new one by then. Failure modes: asked too short a time ago, the file cannot be made or written.
 */
#ifndef PROVIDER_ASKED_H
#define PROVIDER_ASKED_H

#include "provider.h"

/*
 * Whether it is time to ask. 0: yes, and that is written down; *ret_lock is for provider_asked_end(). PROVIDER_E_SOON; PROVIDER_E_FILE and the reason.
 * A time in the future, of a clock that was set back, is none. Waits for another process that asks.
 */
__attribute__((warn_unused_result)) int provider_asked_begin(
	const char *path, int *ret_lock, char reason[static PROVIDER_REASON_SIZE]);

/* Whoever waits may ask on. lock: of provider_asked_begin(), once. */
void provider_asked_end(int lock);

#endif
