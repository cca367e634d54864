/*
 * port.h - a TCP port on 127.0.0.1 that is free, and stays this program's until it ends.
 *
 * A port that a test merely found free may be taken before its server listens, or while that is restarted. So
 * ports are taken below those that the system hands out by itself, and each is held by a lock on a byte of
 * one file, which goes with the program.
 */
#ifndef PORT_H
#define PORT_H

/* A port number, or a negative errno. */
__attribute__((warn_unused_result)) int port_reserve(void);

#endif
