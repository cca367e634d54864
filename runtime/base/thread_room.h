/*
 * thread_room.h - whether so many threads can be made now, beside those that there are (ulimit -u, pids.max, memory).
 *
 * For threads of a library that does not say when it could not make them, and goes on without: the database's driver would never find a server.
 */
#ifndef THREAD_ROOM_H
#define THREAD_ROOM_H

/* Makes them all and lets them end. 0; -EAGAIN or another negative errno of the one that could not be made. Any thread. */
__attribute__((warn_unused_result)) int thread_room(unsigned count);

#endif
