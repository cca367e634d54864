/*
 * nearest.h - the name that somebody probably meant. Pure, any thread.
 */
#ifndef NEAREST_H
#define NEAREST_H

/*
 * The name that a mistyped one is nearest to, by single-character changes, upper and lower case alike; of several the first. NULL where none is near:
 * more than a third of the characters, or more than two, or all of them, would have to be changed. `names` ends with NULL.
 */
const char *nearest_name(const char *mistyped, const char *const *names);

#endif
