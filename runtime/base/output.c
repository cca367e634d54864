/*
 * output.c - see output.h.
 */
#include "output.h"

#include "exit_codes.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int output_flush(const char *program, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "%s: standard output cannot be written: %s\n", program, strerror(errno));
	return code != 0 ? code : EXIT_IO;
}

int output_no_memory(const char *program)
{
	fprintf(stderr, "%s: out of memory\n", program);
	return EXIT_SOFTWARE;
}
