/* handler_run_fake.c - handler_run.h on the stand-in store: apart from the rest, which runs on any. */
#include "handler_run.h"

#include "fake_store.h"

struct cashew_test *cashew_test_new(void)
{
	struct cashew_test *t = cashew_test_new_on(fake_store_new());
	cashew_test_own_store(t);
	return t;
}
