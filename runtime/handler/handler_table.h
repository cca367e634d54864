/* handler_table.h - the handlers built in: one per file of handlers/, ended by NULL. The build writes the table. */
#ifndef HANDLER_TABLE_H
#define HANDLER_TABLE_H

#include "cashew.h"

extern const struct cashew_handler *const handler_table[];

#endif
