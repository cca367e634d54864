/* pings.h - numbered pings of one phone, of which each is answered, once or more often: for tests that break the way meanwhile. */
#ifndef PINGS_H
#define PINGS_H

#include "harness.h"
#include <stdlib.h>

enum { PINGS = 300 };

struct pings {
	struct device *phone;
	size_t seen; /* of its messages, which are all answers */
	bool answered[PINGS];
};

/* Those from begin to before end; their numbers are their payloads. */
static inline void pings_send(struct harness *h, struct device *phone, int begin, int end)
{
	for (int i = begin; i < end; i++)
		device_publish(phone, "ping", harness_format(h, "%d", i));
}

/* For harness_wait(): whether all have been. */
static inline bool pings_answered(void *context)
{
	struct pings *pings = context;
	size_t count = 0;
	for (; pings->seen < pings->phone->message_count; pings->seen++) {
		const int number = atoi(pings->phone->messages[pings->seen].payload);
		assert_in_range(number, 0, PINGS - 1);
		pings->answered[number] = true;
	}
	for (size_t i = 0; i < PINGS; i++)
		count += pings->answered[i];
	return count == PINGS;
}

#endif
