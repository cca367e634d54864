/* doctor_shared.h - whether a shared subscription (SHARED_GROUP) brings commands, which no SUBACK tells: brokers grant what they do not do. */
#ifndef DOCTOR_SHARED_H
#define DOCTOR_SHARED_H

struct doctor;

/* A part of the check of subscriptions. Takes nothing from hosts: its group is the doctor's own. */
void doctor_shared_delivery(struct doctor *doctor);

#endif
