/*
 * output.h - what a program has written to standard output has to arrive there; and that memory ran out. Main thread.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

/*
 * Writes out what standard output still holds. Returns `code`, the exit code so far; EXIT_IO in place of 0 where something could not be written, after
 * saying so on standard error in the program's name.
 */
int output_flush(const char *program, int code);

/* Says on standard error, in the program's name, that memory ran out. Returns EXIT_SOFTWARE. */
int output_no_memory(const char *program);

#endif
