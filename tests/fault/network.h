/*
 * network.h - the faults of the network: what a relay does to the host's connections to its broker or its database. See fault.h.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "fault.h"

/* The relay before what the fault is meant for, once there is a connection to break. */
struct relay *network_linked_relay(struct round *round, struct fault_run *run);

/* An end: all passes again. */
void network_pass_again(struct round *round, struct fault_run *run);

/* Connections are cut, in either way. */
void network_cut_begin(struct round *round, struct fault_run *run);

/* Connections are cut while what the host has said is under way. */
void network_lost_pubacks_begin(struct round *round, struct fault_run *run);

/* One end of each connection is gone, and the other one does not know. */
void network_half_open_begin(struct round *round, struct fault_run *run);
void network_half_open_end(struct round *round, struct fault_run *run);

/* Nothing passes, and nothing is closed. */
void network_black_hole_begin(struct round *round, struct fault_run *run);

/* All takes longer, in both directions. */
void network_delay_begin(struct round *round, struct fault_run *run);

/* Byte by byte. */
void network_bytes_begin(struct round *round, struct fault_run *run);

/* Answers of the database are lost, and its connection with them. */
void network_lost_replies_begin(struct round *round, struct fault_run *run);

#endif
