/* test_unpromised.c - unpromised.c: commands without a promise are bounded, counted, and told of now and then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <unistd.h>

#include "board.h"
#include "context.h"
#include "log_lines.h"
#include "settings.h"
#include "unpromised.h"
#include "users.h"

enum { WINDOW = 3 };

static struct settings settings = {.window = WINDOW, .user_window = WINDOW};
static struct host host;
static struct host_lane home = {.host = &host};

static int begin(void **state)
{
	int fd;
	(void)state;
	host = (struct host){.settings = &settings, .now_ms = 100000};
	home.unpromised = 0;
	home.users = users_new();
	assert_non_null(home.users);
	assert_int_equal(board_new(&host.board, &fd), 0);
	close(fd);
	log_lines_keep();
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_lines_leave();
	board_unmap(host.board);
	users_free(home.users);
	return 0;
}

/* As many as the window has room for; one more when one has ended. */
static void test_window(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WINDOW; i++)
		assert_true(unpromised_admit(&home, "u/x", 0));
	assert_false(unpromised_admit(&home, "u/x", 0));
	assert_int_equal(home.unpromised, WINDOW);
	unpromised_end(&home);
	assert_true(unpromised_admit(&home, "u/x", 0));
	assert_false(unpromised_admit(&home, "u/x", 2));
	assert_int_equal(board_read(&host.board->account.qos0), WINDOW + 3);
	assert_int_equal(board_read(&host.board->account.qos0_dropped), 2);
}

/* That there are any is told once for each QoS. */
static void test_told_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * WINDOW; i++) {
		if (unpromised_admit(&home, "u/x", i % 2 == 0 ? 0 : 2))
			unpromised_end(&home);
	}
	assert_int_equal(log_lines_count("QoS 0, which carries no promise"), 1);
	assert_int_equal(log_lines_count("QoS 2, of an old subscription"), 1);
	assert_int_equal(log_lines_count("is dropped"), 0);
}

/* The first that is dropped at once, of the others their number, once in ten seconds. */
static void test_dropped(void **state)
{
	(void)state;
	unpromised_dropped(&host, "u/x", "u", 2, "busy");
	assert_int_equal(log_lines_count("\"dropped\":1,"), 1);
	for (unsigned i = 0; i < 1000; i++) {
		host.now_ms += 9;
		unpromised_dropped(&host, "u/x", NULL, 0, "busy");
	}
	assert_int_equal(log_lines_count("is dropped"), 1);
	host.now_ms += 1000;
	unpromised_dropped(&host, "u/x", NULL, 0, "busy");
	assert_int_equal(log_lines_count("is dropped"), 2);
	assert_int_equal(log_lines_count("\"dropped\":1001,"), 1);
	assert_int_equal(board_read(&host.board->account.qos0_dropped), 1002);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_window),
		TEST(test_told_once),
		TEST(test_dropped),
	};
	return cmocka_run_group_tests_name("unpromised", tests, NULL, NULL);
}
