/*
 * store_rights.h - whether the database lets us at a collection.
 *
 * Happy path: store_rights_try() asks for what is not there, tells the server to remove that, and to write it by an operator that no server has.
 * Failure: the server refuses one of it for want of rights, and store_last_error() says what and where. Anything else that it says is no matter of
 * rights. What others ask for, handlers with the driver's own functions too, is watched for refusals, so that it need not be tried often.
 */
#ifndef STORE_RIGHTS_H
#define STORE_RIGHTS_H

#include "store.h"

/* What is tried; each of them all before it, too. */
enum store_rights { STORE_RIGHTS_READ, STORE_RIGHTS_DELETE, STORE_RIGHTS_WRITE };

/*
 * Tries it on the collection. Writes no document; but for STORE_RIGHTS_WRITE a server may make the collection where it is not there. A few short
 * round trips. 0: it may be used, or the server has another objection; STORE_E_PERMANENT: it may not; STORE_E_AWAY, STORE_E_TRANSIENT: that is not
 * known now.
 */
STORE_USE_RESULT int store_rights_try(
	struct store_client *client, const char *collection, enum store_rights rights);

/* How many commands of this process were refused so far for want of rights. Any thread. */
unsigned store_rights_refusals(void);

/* Inside of store/: whether the server's code says so; and a command that failed, with that code. Any thread. */
bool store_rights_refuses(int code);
void store_rights_note(int code);

#endif
