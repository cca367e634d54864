/*
 * descriptors.h - the descriptors that a supervisor starts a host with.
 */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

/* The last one is the host's program, which it has no use for. */
enum { DESCRIPTOR_SETTINGS = 3, DESCRIPTOR_BOARD, DESCRIPTOR_LOG, DESCRIPTOR_PROGRAM };

#endif
