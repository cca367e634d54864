/*
 * cashewd_host.c - the program cashewd-host: what cashewd, the supervisor, starts to run handlers. It is a
 * program of its own so that libraries which only the supervisor needs take no memory here.
 *
 * Happy path: cashewd starts it without an argument, or with --trial to try settings out; host_begin() is the
 * rest. Failure: with any other argument, or started by hand, it says so and exits with 64.
 */
#include "exit_codes.h"
#include "handler_table.h"
#include "hardening.h"
#include "host.h"

#include <stdio.h>
#include <string.h>

int main(int count, char **values)
{
	const bool trial = count == 2 && strcmp(values[1], "--trial") == 0;
	if (count > 1 && !trial) {
		fputs("cashewd-host: unexpected argument: cashewd starts this program; see cashewd --help\n",
			stderr);
		return EXIT_USAGE;
	}
	hardening_apply();
	return host_begin(handler_table, trial);
}
