/*
 * cashew_parts.h - what tests of cashew.h's functions share: a run, set up and torn down for each case.
 *
 * Include it in one source file.
 */
#ifndef CASHEW_PARTS_H
#define CASHEW_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "handler_run.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct cashew_test *t;

static int set_up(void **state)
{
	(void)state;
	t = cashew_test_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cashew_test_free(t);
	return 0;
}

#endif
