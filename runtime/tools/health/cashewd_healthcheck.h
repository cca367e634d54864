/* cashewd_healthcheck.h - `cashewd healthcheck`: what a container's engine asks, by an exit code. */
#ifndef CASHEWD_HEALTHCHECK_H
#define CASHEWD_HEALTHCHECK_H

/* values[0] is "healthcheck". Returns the exit code. */
int cashewd_healthcheck(int count, char **values);

#endif
