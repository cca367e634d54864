/*
 * metrics.h - the board as text for Prometheus (exposition format 0.0.4). Names of metrics begin
 * with cashewd_, and each has a line of help.
 */
#ifndef METRICS_H
#define METRICS_H

#include <stdio.h>

struct supervisor_view;

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Returns HTTP_OK. The server's thread. */
unsigned supervisor_metrics_write(struct supervisor_view *view, FILE *out);

#endif
