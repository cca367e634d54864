/*
 * disk.h - a small file system that can be filled: a tmpfs that only this program and its children see, and
 * that goes with them.
 */
#ifndef DISK_H
#define DISK_H

#include <stddef.h>

/* Mounts it at that folder, which exists and is empty; 0 or a negative errno: -EPERM where mounting is not
 * allowed. */
__attribute__((warn_unused_result)) int disk_mount(const char *folder, size_t size_mib);

/* Whether disk_mount() is allowed here. */
int disk_allowed(void);

/* Leaves no byte free; gives back what disk_fill() took. Both fail the test where they cannot. */
void disk_fill(const char *folder);
void disk_free(const char *folder);

#endif
