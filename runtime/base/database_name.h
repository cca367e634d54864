/*
 * database_name.h - which names a MongoDB database may have. Pure functions, any thread.
 *
 * Rules: MongoDB's manual, "MongoDB Limits and Thresholds", naming restrictions. Those of Windows are the narrower ones, and hold for a server on any
 * system, so that data can be moved.
 */
#ifndef DATABASE_NAME_H
#define DATABASE_NAME_H

#include <stdbool.h>

enum { DATABASE_NAME_MAX = 63 };

/* Whether it is UTF-8, as all texts in BSON are, and all its characters are allowed. Its length is not looked at. */
bool database_name_plain(const char *name);

/* Whether it is one of MongoDB's own: admin, local, config. */
bool database_name_reserved(const char *name);

#endif
