/* store_clock.c - the database's time: see store_clock.h. */
#include "store_clock.h"
#include <stdlib.h>
#include <time.h>

enum { KEPT_US = 60 * 1000 * 1000, SERVER_UNIT_US = 1000 };

void store_clock_init(struct store_clock *clock)
{
	*clock = (struct store_clock){.known = false};
	if (pthread_mutex_init(&clock->lock, NULL) != 0)
		abort(); /* glibc's does not fail */
}

void store_clock_destroy(struct store_clock *clock)
{
	pthread_mutex_destroy(&clock->lock);
}

static int64_t read_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t store_clock_here_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

void store_clock_note(struct store_clock *clock, int64_t asked_us, int64_t answered_us, int64_t server_ms)
{
	const int64_t within_us = (answered_us - asked_us) / 2 + SERVER_UNIT_US / 2;
	const int64_t middle_us = asked_us + (answered_us - asked_us) / 2;
	const int64_t difference_us = server_ms * SERVER_UNIT_US + SERVER_UNIT_US / 2 - middle_us;

	pthread_mutex_lock(&clock->lock);
	const int64_t apart_us = llabs(difference_us - clock->difference_us);
	if (!clock->known || within_us <= clock->within_us || apart_us > within_us + clock->within_us ||
		answered_us - clock->noted_us > KEPT_US) {
		const bool agrees = clock->known && apart_us <= within_us + clock->within_us;
		const int64_t open_us = agrees ? within_us + clock->within_us : 0;
		clock->open_us = agrees && clock->open_us > open_us ? clock->open_us : open_us;
		clock->known = true;
		clock->difference_us = difference_us;
		clock->within_us = within_us;
		clock->noted_us = answered_us;
	}
	pthread_mutex_unlock(&clock->lock);
}

int64_t store_clock_now_us(struct store_clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	int64_t us = clock->known ? store_clock_here_us() + clock->difference_us : read_us(CLOCK_REALTIME);
	const int64_t back_us = clock->told_us - us;
	if (back_us > 0 && (back_us < STORE_CLOCK_STEP_MS * INT64_C(1000) || back_us <= clock->open_us))
		us = clock->told_us;
	else
		clock->open_us = 0; /* it has caught up, or was set back */
	clock->told_us = us;
	pthread_mutex_unlock(&clock->lock);
	return us;
}

bool store_clock_wall_ahead_us(struct store_clock *clock, int64_t *ret_us)
{
	pthread_mutex_lock(&clock->lock);
	const bool known = clock->known && clock->within_us < STORE_CLOCK_FAR_MS * INT64_C(500);
	const int64_t within_us = clock->within_us;
	const int64_t ahead_us = read_us(CLOCK_REALTIME) - store_clock_here_us() - clock->difference_us;
	pthread_mutex_unlock(&clock->lock);
	if (!known)
		return false;
	if (llabs(ahead_us) <= within_us)
		*ret_us = 0;
	else
		*ret_us = ahead_us > 0 ? ahead_us - within_us : ahead_us + within_us;
	return true;
}

bool store_clock_known(struct store_clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	const bool known = clock->known;
	pthread_mutex_unlock(&clock->lock);
	return known;
}
