/*
 * test_setup.c - what a handler makes before its first command: .load once in a process, .init once in each thread that runs handlers; and
 * that a host whose handler cannot be set up does not start, and says why.
 */
#include "device.h"
#include "harness.h"

static struct host *new_host(struct harness *h, const char *fails)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "WORKERS", "3");
	host_set(host, "SETUP_FAILS", fails);
	host_start(host);
	return host;
}

HARNESS_CASE(loads_once_and_inits_in_each_thread)
{
	struct host *host = new_host(h, "");
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "test_setup", "{}");
	/* three workers, and the thread that runs light handlers */
	device_expect_json(phone, "set_up", "{\"loads\":1,\"inits\":4}");
	host_stop(host);
}

static void fails(struct harness *h, const char *which, const char *event, const char *reason)
{
	struct host *host = new_host(h, which);
	host_may_die(host);
	(void)host_expect_log(host, event, "handler", "test_setup", "reason", reason);
	host_kill(host);
}

HARNESS_CASE(load_that_fails_is_told)
{
	fails(h, "load", "handler_load_failed", "told to fail in load");
}

HARNESS_CASE(init_that_fails_is_told)
{
	fails(h, "init", "handler_init_failed", "told to fail in init");
}

HARNESS_MAIN(HARNESS_TEST(loads_once_and_inits_in_each_thread), HARNESS_TEST(load_that_fails_is_told),
	HARNESS_TEST(init_that_fails_is_told))
