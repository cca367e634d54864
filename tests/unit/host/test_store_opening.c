/* Tests of store_opening.c: what is waited for, what is refused, and that a lookup that hangs holds nobody up. */
#include "store_opening.h"

#include "fake_store.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static const struct store_options plain = {.url = "mongodb://h", .database = "d", .pool_size = 1},
				  srv = {.url = "mongodb+srv://h.example.com",
					  .database = "d",
					  .pool_size = 1};

static char reason[STORE_MESSAGE_SIZE];
static _Atomic unsigned tries, failures;
static _Atomic int failure;

static int fail_some(const char *url, char *message)
{
	(void)url;
	snprintf(message, STORE_MESSAGE_SIZE, "told to");
	return atomic_fetch_add(&tries, 1) < atomic_load(&failures) ? atomic_load(&failure) : 0;
}

static void open_fails(unsigned times, int error)
{
	atomic_store(&tries, 0);
	atomic_store(&failures, times);
	atomic_store(&failure, error);
	fake_store_before_open(fail_some);
}

static int teardown(void **state)
{
	(void)state;
	fake_store_before_open(NULL);
	return 0;
}

static void test_opened(void **state)
{
	static const struct store_options *const cases[] = {&plain, &srv};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct store *store = NULL;
		assert_int_equal(store_opening_wait(cases[i], 1, NULL, 0, &store), 0);
		assert_non_null(store);
		store_close(store);
		store = NULL;
		assert_int_equal(store_opening_try(cases[i], &store, reason), 0);
		assert_non_null(store);
		store_close(store);
	}
}

static void test_name_is_waited_for(void **state)
{
	(void)state;
	struct store *store = NULL;
	open_fails(3, STORE_E_AWAY);
	assert_int_equal(store_opening_wait(&srv, 1, NULL, 0, &store), 0);
	assert_int_equal(atomic_load(&tries), 4);
	store_close(store);
	/* Settings that are only tried do not wait. */
	store = NULL;
	open_fails(3, STORE_E_AWAY);
	assert_int_equal(store_opening_try(&srv, &store, reason), STORE_OPENING_E_AWAY);
	assert_string_equal(reason, "told to");
	assert_int_equal(atomic_load(&tries), 1);
	assert_null(store);
}

static void test_refused(void **state)
{
	static const struct {
		int error, expected;
	} cases[] = {{STORE_E_PERMANENT, STORE_OPENING_E_REFUSED}, {-ENOMEM, -ENOMEM}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store *store = NULL;
		open_fails(1, cases[i].error);
		assert_int_equal(store_opening_wait(&srv, 1, NULL, 0, &store), cases[i].expected);
		open_fails(1, cases[i].error);
		assert_int_equal(store_opening_wait(&plain, 1, NULL, 0, &store), cases[i].expected);
		open_fails(1, cases[i].error);
		assert_int_equal(store_opening_try(&srv, &store, reason), cases[i].expected);
		assert_null(store);
	}
}

/* Between two tries, for which it would wait for ever. */
static void test_stopped_while_it_waits(void **state)
{
	(void)state;
	struct store *store = NULL;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	const struct pollfd stops[] = {{.fd = -1}, {.fd = ends[0], .events = POLLIN}};
	open_fails(1000000, STORE_E_AWAY);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(store_opening_wait(&srv, 1000000, stops, 2, &store), STORE_OPENING_E_STOPPED);
	assert_null(store);
	close(ends[1]);
	close(ends[0]);
}

static int hang_ends[2];
static sem_t hang_released, hang_over;

static int hang(const char *url, char *message)
{
	(void)url;
	(void)message;
	/* Now that the lookup is under way, the stop comes. */
	if (write(hang_ends[1], "x", 1) != 1)
		return -EIO;
	while (sem_wait(&hang_released) != 0)
		continue;
	sem_post(&hang_over);
	return 0;
}

/* The thread goes on by itself, and takes what it has opened away again. */
static void test_stopped_while_a_lookup_hangs(void **state)
{
	(void)state;
	struct store *store = NULL;
	assert_int_equal(pipe(hang_ends), 0);
	assert_int_equal(sem_init(&hang_released, 0, 0), 0);
	assert_int_equal(sem_init(&hang_over, 0, 0), 0);
	const struct pollfd stops[] = {{.fd = hang_ends[0], .events = POLLIN}};
	fake_store_before_open(hang);
	assert_int_equal(store_opening_wait(&srv, 1, stops, 1, &store), STORE_OPENING_E_STOPPED);
	assert_null(store);
	sem_post(&hang_released);
	while (sem_wait(&hang_over) != 0)
		continue;
	close(hang_ends[0]);
	close(hang_ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_opened, teardown),
		cmocka_unit_test_teardown(test_name_is_waited_for, teardown),
		cmocka_unit_test_teardown(test_refused, teardown),
		cmocka_unit_test_teardown(test_stopped_while_it_waits, teardown),
		cmocka_unit_test_teardown(test_stopped_while_a_lookup_hangs, teardown),
	};
	return cmocka_run_group_tests_name("store_opening", tests, NULL, NULL);
}
