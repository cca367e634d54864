/* test_unpromised.c - unpromised.c: commands without a promise are bounded, counted, and told of now and then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "board.h"
#include "context.h"
#include "log.h"
#include "settings.h"
#include "unpromised.h"

enum { WINDOW = 3 };

static char lines[16 * 1024];
static size_t lines_size;

static void keep(void *context, const char *text, size_t size)
{
	(void)context;
	assert_true(lines_size + size < sizeof(lines));
	memcpy(lines + lines_size, text, size);
	lines_size += size;
	lines[lines_size] = '\0';
}

static unsigned count(const char *text)
{
	unsigned found = 0;
	for (const char *at = lines; (at = strstr(at, text)); at++)
		found++;
	return found;
}

static struct settings settings = {.window = WINDOW};
static struct host host;
static struct host_lane home = {.host = &host};

static int begin(void **state)
{
	int fd;
	(void)state;
	host = (struct host){.settings = &settings, .now_ms = 100000};
	home.unpromised = 0;
	lines_size = 0;
	lines[0] = '\0';
	assert_int_equal(board_new(&host.board, &fd), 0);
	close(fd);
	log_set_tap(keep, NULL);
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_set_tap(NULL, NULL);
	board_unmap(host.board);
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
	assert_int_equal(count("QoS 0, which carries no promise"), 1);
	assert_int_equal(count("QoS 2, of an old subscription"), 1);
	assert_int_equal(count("is dropped"), 0);
}

/* The first that is dropped at once, of the others their number, once in ten seconds. */
static void test_dropped(void **state)
{
	(void)state;
	unpromised_dropped(&host, "u/x", "u", 2, "busy");
	assert_int_equal(count("\"dropped\":1,"), 1);
	for (unsigned i = 0; i < 1000; i++) {
		host.now_ms += 9;
		unpromised_dropped(&host, "u/x", NULL, 0, "busy");
	}
	assert_int_equal(count("is dropped"), 1);
	host.now_ms += 1000;
	unpromised_dropped(&host, "u/x", NULL, 0, "busy");
	assert_int_equal(count("is dropped"), 2);
	assert_int_equal(count("\"dropped\":1001,"), 1);
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
