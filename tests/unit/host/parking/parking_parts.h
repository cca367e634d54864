/* parking_parts.h - host_parts.h, and what is done with parked commands in the stand-in store: for the tests
 * of parking.c and host_suspects.c. */
#ifndef PARKING_PARTS_H
#define PARKING_PARTS_H

#include "host_parts.h"

static inline void turn(void)
{
	parts_turn(GROUP_COMPANY_MS);
}

static inline struct store *store(void)
{
	return parts.host.light.store;
}

static inline const struct parked_command *parked(size_t i)
{
	const struct parked_command *found = fake_store_parked_command(store(), i);
	assert_non_null(found);
	return found;
}

static inline void in_store(size_t waiting, size_t done)
{
	assert_int_equal(fake_store_parked(store()), waiting);
	assert_int_equal(fake_store_tombstones(store()), done);
}

static inline void ended(unsigned done, unsigned rejected, unsigned dead, unsigned parked_ones)
{
	assert_int_equal(parts_board.account.done, done);
	assert_int_equal(parts_board.account.rejected, rejected);
	assert_int_equal(parts_board.account.dead, dead);
	assert_int_equal(parts_board.account.parked, parked_ones);
}

static inline int begin(void **state)
{
	if (parts_begin(state) != 0)
		return -1;
	parts.settings.workers = 4;
	parts_connect(false);
	turn();
	return 0;
}

/* Its handler fails until it is parked. */
static inline void park(uint16_t mid, const char *topic, const char *payload)
{
	const char *steps = parts.one.steps;
	parts.one.steps = "r";
	const struct command *command = parts_read(mid, topic, payload);
	while (command->state != COMMAND_PARKING) {
		parts_work_on(parts.submitted_count - 1);
		parts_turn(command->state == COMMAND_RETRYING ? 400 : 0);
	}
	parts_work_on(parts.submitted_count - 1);
	parts.one.steps = steps;
}

/* Until nothing can be done before more time passes. */
static inline void work_all(void)
{
	do {
		while (parts.submitted_count > 0)
			parts_work();
		parts_events_end();
		parts_turn(0);
	} while (parts.submitted_count > 0);
}

/* After that time the store is asked what is due, and that is done. */
static inline void after(unsigned ms)
{
	parts.host.now_ms += ms;
	parts_due(false);
	parts_turn(0);
	work_all();
}

#endif
