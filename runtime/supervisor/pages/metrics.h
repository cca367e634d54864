/*
 * metrics.h - the board as text for Prometheus (exposition format 0.0.4). Names of metrics begin with cashewd_, and each has a line of help.
 */
#ifndef METRICS_H
#define METRICS_H

#include <stdio.h>

struct view;

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Returns HTTP_OK. The server's thread. */
unsigned metrics_write(struct view *view, FILE *out);

#endif
