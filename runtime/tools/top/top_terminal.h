/*
 * top_terminal.h - the terminal that `cashewd top` draws on: standard output, and standard input for
 * its keys.
 *
 * Happy path: terminal_open(), then terminal_show() takes the alternate screen, without echo, line mode and
 * cursor; terminal_draw() as often as wanted; terminal_close() gives all of it back. It is given back as well
 * before the process stops (terminal_suspend()) and when it crashes. In the background nothing is shown, and
 * nothing touched. Signals are blocked and read from a descriptor. One terminal, one thread.
 */
#ifndef TOP_TERMINAL_H
#define TOP_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

enum terminal_event { TERMINAL_NOTHING, TERMINAL_CHANGED, TERMINAL_SUSPEND, TERMINAL_LEAVE };

/* Whether there is one that can be drawn on. */
bool terminal_usable(void);

/* 0 and the descriptor of signals, the terminal's until terminal_close(); or a negative errno. */
__attribute__((warn_unused_result)) int terminal_open(int *ret_signal_fd);
void terminal_close(void);

/* Takes the screen where it does not have it and may. Whether it has it now. */
bool terminal_show(void);

/* Gives the screen back, stops the process as SIGTSTP does, and returns when it goes on. */
void terminal_suspend(void);

/* What the signals that came ask for: the last of these that anything asked for. */
enum terminal_event terminal_signals(void);

/* The same for what was typed; -1 is returned by terminal_keys_fd() where nothing can be typed now. */
enum terminal_event terminal_keys(void);
int terminal_keys_fd(void);

/* In columns and rows, as standard output says it now; 80 and 24 where it says nothing. */
void terminal_size(unsigned *ret_width, unsigned *ret_height);

/* Draws lines that each end in \n over what was there before. Gives up when a signal comes meanwhile, or the
 * terminal takes nothing for a second. */
void terminal_draw(const char *lines);

#endif
