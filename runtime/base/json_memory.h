/*
 * json_memory.h - jansson's memory: a parse that runs out of it ends, and says so.
 *
 * jansson (2.14) does not look whether the buffer of its lexer could grow: a byte of a text is lost, and if
 * that is the closing quote, it reads on behind the buffer. So between begin and end the first allocation
 * that fails makes all later ones fail, which ends the parse before it gets there, and tells us that it was
 * memory and not the JSON. Whatever uses jansson in the program takes its memory through here.
 */
#ifndef JSON_MEMORY_H
#define JSON_MEMORY_H

#include <stdbool.h>

/* From here to json_memory_end() on this thread; not nested. Any thread. */
void json_memory_begin(void);

/* The same, but jansson takes its memory from a reserve that is filled here: for libraries that crash where
 * it has none. False when there is no memory for the reserve: then there is nothing to end. */
__attribute__((warn_unused_result)) bool json_memory_begin_reserved(void);

/* Whether an allocation failed since: then whatever came of the parse is not to be used. */
__attribute__((warn_unused_result)) bool json_memory_end(void);

#endif
