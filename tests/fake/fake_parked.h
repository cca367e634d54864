/* fake_parked.h - inside of the stand-in store: a parked command as it is kept there. */
#ifndef FAKE_PARKED_H
#define FAKE_PARKED_H

#include "fake_store_private.h"
#include <string.h>

struct fake_parked {
	struct parked_command command; /* its pointers are copies of ours */
	int64_t not_before_ms;	       /* when somebody should look at it */
	char *claimed_by;	       /* NULL: nobody */
	int64_t lease_until_ms;
};

/* Whether it is that user's, in that lane. */
static inline bool fake_parked_is_of(const struct fake_parked *parked, const char *lane, const char *user)
{
	return strcmp(parked->command.lane, lane) == 0 && strcmp(parked->command.user, user) == 0;
}

#endif
