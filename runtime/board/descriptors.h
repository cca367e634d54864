/*
 * descriptors.h - the descriptors that the supervisor hands to a host, by number.
 *
 * The host's program finds its settings, the board, the socket for its log and its own file open under these numbers, one behind the other, and
 * closes the rest on exec. launch.c puts them there, host/begin.c takes them.
 */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

/* The last one is the host's program, which it has no use for. */
enum { DESCRIPTOR_SETTINGS = 3, DESCRIPTOR_BOARD, DESCRIPTOR_LOG, DESCRIPTOR_PROGRAM };

#endif
