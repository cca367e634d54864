/*
 * exit_codes.h - what the programs exit with. The numbers are those of sysexits.h, where it has one.
 */
#ifndef EXIT_CODES_H
#define EXIT_CODES_H

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,    /* what was looked at is not as it should be: a failed check, a refused token */
	EXIT_USAGE = 64,    /* the command line */
	EXIT_DATA = 65,	    /* what was given cannot be used */
	EXIT_NO_INPUT = 66, /* what was named is not there */
	EXIT_UNAVAILABLE = 69, /* a service does not answer */
	EXIT_SOFTWARE = 70,    /* out of memory, or the program's own fault */
	EXIT_TEMPORARY = 75,   /* what is missing may be there in a while: to start again helps */
	EXIT_IO = 74,	       /* standard output cannot be written */
	EXIT_CONFIG = 78,      /* settings or handlers that cannot be used: to start again would not help */
};

#endif
