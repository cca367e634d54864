/* cashewd_top.h - `cashewd top`: what a running cashewd does, on a terminal. */
#ifndef CASHEWD_TOP_H
#define CASHEWD_TOP_H

/* values[0] is "top". forget_secrets: called once the settings are read. Returns the exit code. */
int cashewd_top(int count, char **values, void (*forget_secrets)(void));

#endif
