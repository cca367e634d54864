/* store_apples.h - inside of store/: the apples that are there from the start. */
#ifndef STORE_APPLES_H
#define STORE_APPLES_H

#include "store_client.h"

/* Adds the three colours where they are missing. */
STORE_USE_RESULT int apples_seed(struct store_client *client);

#endif
