/*
 * store_error.c - what the driver's and the server's errors mean: the labels, then the one table.
 *
 * AWAY: the server was not reached, refused to let us in, or the connection broke, so the outcome is unknown.
 * TRANSIENT: the server answered that it cannot now, by a label or by a code. DUPLICATE is for the caller to judge: an insert by a derived _id is
 * done then. What has neither label nor place in the table is PERMANENT: trying again would only repeat it.
 *
 * Numbers and names: MongoDB's src/mongo/base/error_codes.yml. Which of them say "try again": the drivers'
 * specifications "Retryable Writes" and "Retryable Reads" (their RetryableError lists), "Server Discovery and
 * Monitoring" (not writable primary, node is recovering), and the server's own categories RetriableError,
 * Interruption, CancellationError, ExceededTimeLimitError, StaleShardVersionError, SnapshotError and SystemOverloadedError, without
 * what is never sent to a client (InternalOnly). Labels: the same specifications, "Transactions", and "Client Backpressure".
 */
#include "store_error.h"
#include "store.h"
#include <mongoc/mongoc.h>

static const struct {
	int code;
	int store_error;
} server_codes[] = {
	/* DuplicateKey. The second and third are what very old servers call it. */
	{11000, STORE_E_DUPLICATE}, {11001, STORE_E_DUPLICATE}, {12582, STORE_E_DUPLICATE},
	/* The server does not take us for who we say: nothing was done, and nothing is wrong with the
	   command. */
	{18, STORE_E_AWAY},  /* AuthenticationFailed */
	{391, STORE_E_AWAY}, /* ReauthenticationRequired */
	/* Nor is anything wrong with it here; an operator gives the right, and store_rights.h is there to notice that it is missing. */
	{13, STORE_E_TRANSIENT}, /* Unauthorized */
	/* Retryable Writes and Retryable Reads. */
	{6, STORE_E_TRANSIENT},	    /* HostUnreachable: of another member */
	{7, STORE_E_TRANSIENT},	    /* HostNotFound: likewise */
	{89, STORE_E_TRANSIENT},    /* NetworkTimeout: likewise */
	{91, STORE_E_TRANSIENT},    /* ShutdownInProgress */
	{134, STORE_E_TRANSIENT},   /* ReadConcernMajorityNotAvailableYet */
	{189, STORE_E_TRANSIENT},   /* PrimarySteppedDown */
	{262, STORE_E_TRANSIENT},   /* ExceededTimeLimit */
	{9001, STORE_E_TRANSIENT},  /* SocketException: of another member */
	{10107, STORE_E_TRANSIENT}, /* NotWritablePrimary */
	{11600, STORE_E_TRANSIENT}, /* InterruptedAtShutdown */
	{11602, STORE_E_TRANSIENT}, /* InterruptedDueToReplStateChange */
	{13435, STORE_E_TRANSIENT}, /* NotPrimaryNoSecondaryOk */
	{13436, STORE_E_TRANSIENT}, /* NotPrimaryOrSecondary */
	/* Server Discovery and Monitoring has one more. */
	{10058, STORE_E_TRANSIENT}, /* LegacyNotPrimary */
	/* Somebody else was at the same document, collection or lock. */
	{24, STORE_E_TRANSIENT},    /* LockTimeout */
	{46, STORE_E_TRANSIENT},    /* LockBusy */
	{107, STORE_E_TRANSIENT},   /* LockFailed */
	{112, STORE_E_TRANSIENT},   /* WriteConflict */
	{117, STORE_E_TRANSIENT},   /* ConflictingOperationInProgress */
	{175, STORE_E_TRANSIENT},   /* QueryPlanKilled */
	{215, STORE_E_TRANSIENT},   /* DatabaseDropPending */
	{276, STORE_E_TRANSIENT},   /* IndexBuildAborted */
	{285, STORE_E_TRANSIENT},   /* IndexBuildAlreadyInProgress */
	{314, STORE_E_TRANSIENT},   /* ObjectIsBusy */
	{50915, STORE_E_TRANSIENT}, /* BackupCursorOpenConflictWithCheckpoint */
	{12586, STORE_E_TRANSIENT}, /* BackgroundOperationInProgressForDatabase */
	{12587, STORE_E_TRANSIENT}, /* BackgroundOperationInProgressForNamespace */
	/* Out of time, or interrupted. */
	{43, STORE_E_TRANSIENT},       /* CursorNotFound */
	{50, STORE_E_TRANSIENT},       /* MaxTimeMSExpired */
	{64, STORE_E_TRANSIENT},       /* WriteConcernTimeout, once WriteConcernFailed */
	{202, STORE_E_TRANSIENT},      /* NetworkInterfaceExceededTimeLimit */
	{237, STORE_E_TRANSIENT},      /* CursorKilled */
	{279, STORE_E_TRANSIENT},      /* ClientDisconnect */
	{290, STORE_E_TRANSIENT},      /* TransactionExceededLifetimeLimitSeconds */
	{355, STORE_E_TRANSIENT},      /* InterruptedDueToStorageChange */
	{407, STORE_E_TRANSIENT},      /* PooledConnectionAcquisitionExceededTimeLimit */
	{453, STORE_E_TRANSIENT},      /* InterruptedDueToReshardingCriticalSection */
	{11601, STORE_E_TRANSIENT},    /* Interrupted */
	{46841, STORE_E_TRANSIENT},    /* ClientMarkedKilled */
	{90, STORE_E_TRANSIENT},       /* CallbackCanceled */
	{310, STORE_E_TRANSIENT},      /* PeriodicJobIsStopped */
	{281, STORE_E_TRANSIENT},      /* TransactionCoordinatorSteppingDown */
	{282, STORE_E_TRANSIENT},      /* TransactionCoordinatorReachedAbortDecision */
	{91331, STORE_E_TRANSIENT},    /* RetriableRemoteCommandFailure */
	{10045600, STORE_E_TRANSIENT}, /* InterruptedDueToFCVChange */
	/* A cluster that is rearranging itself. */
	{94, STORE_E_TRANSIENT},    /* NotYetInitialized: a replica set that is being set up */
	{145, STORE_E_TRANSIENT},   /* PooledConnectionsDropped: of one member to another */
	{149, STORE_E_TRANSIENT},   /* NoConfigPrimary */
	{199, STORE_E_TRANSIENT},   /* ReplicaSetMonitorRemoved: a shard has gone, or comes back anew */
	{303, STORE_E_TRANSIENT},   /* SplitHorizonChange */
	{338, STORE_E_TRANSIENT},   /* ReshardCollectionInProgress */
	{342, STORE_E_TRANSIENT},   /* ReshardingCriticalSectionTimeout */
	{343, STORE_E_TRANSIENT},   /* ShardCannotRefreshDueToLocksHeld */
	{414, STORE_E_TRANSIENT},   /* AddOrRemoveShardInProgress */
	{56846, STORE_E_TRANSIENT}, /* ConfigServerUnreachable */
	{63, STORE_E_TRANSIENT},    /* StaleShardVersion */
	{133, STORE_E_TRANSIENT},   /* FailedToSatisfyReadPreference */
	{150, STORE_E_TRANSIENT},   /* StaleEpoch */
	{216, STORE_E_TRANSIENT},   /* ElectionInProgress */
	{249, STORE_E_TRANSIENT},   /* StaleDbVersion */
	{319, STORE_E_TRANSIENT},   /* MovePrimaryInProgress */
	{371, STORE_E_TRANSIENT},   /* UserWritesBlocked: while a cluster is being copied */
	{406, STORE_E_TRANSIENT},   /* MigrationBlockingOperationCoordinatorCleaningUp */
	{412, STORE_E_TRANSIENT},   /* UpdatesStillPending */
	{13388, STORE_E_TRANSIENT}, /* StaleConfig */
	/* Transactions of a handler's own: the whole handler is run again, so a new one begins. */
	{239, STORE_E_TRANSIENT}, /* SnapshotTooOld */
	{246, STORE_E_TRANSIENT}, /* SnapshotUnavailable */
	{250, STORE_E_TRANSIENT}, /* StaleChunkHistory */
	{251, STORE_E_TRANSIENT}, /* NoSuchTransaction */
	{272, STORE_E_TRANSIENT}, /* MigrationConflict */
	{358, STORE_E_TRANSIENT}, /* InternalTransactionNotSupported */
	{225, STORE_E_TRANSIENT}, /* TransactionTooOld */
	{267, STORE_E_TRANSIENT}, /* PreparedTransactionInProgress */
	{363, STORE_E_TRANSIENT}, /* RetryableTransactionInProgress */
	/* The server has too little of something; an operator can help, and nothing is wrong with the
	   command. */
	{146, STORE_E_TRANSIENT},   /* ExceededMemoryLimit */
	{208, STORE_E_TRANSIENT},   /* TooManyLocks */
	{261, STORE_E_TRANSIENT},   /* TooManyLogicalSessions */
	{264, STORE_E_TRANSIENT},   /* TooManyFilesOpen */
	{365, STORE_E_TRANSIENT},   /* TemporarilyUnavailable */
	{402, STORE_E_TRANSIENT},   /* ResourceExhausted */
	{433, STORE_E_TRANSIENT},   /* AdmissionQueueOverflow */
	{449, STORE_E_TRANSIENT},   /* RateLimitExceeded */
	{450, STORE_E_TRANSIENT},   /* PooledConnectionAcquisitionRejected */
	{462, STORE_E_TRANSIENT},   /* IngressRequestRateLimitExceeded */
	{14031, STORE_E_TRANSIENT}, /* OutOfDiskSpace */
	/* Not MongoDB's own, but of services that speak its protocol. */
	{16500, STORE_E_TRANSIENT}, /* Azure Cosmos DB: the request rate is large */
	{8000, STORE_E_TRANSIENT}, /* Atlas, whatever its proxy says: also of a quota, or of rights, which an operator can mend */
	/* The server itself failed, in its storage engine for one: a write to a full disk can say so. If it
	   is the command that does it, its attempts come to an end. */
	{1, STORE_E_TRANSIENT}, /* InternalError */
	{8, STORE_E_TRANSIENT}, /* UnknownError */
};

static int classify_code(int code)
{
	for (size_t i = 0; i < sizeof(server_codes) / sizeof(server_codes[0]); i++)
		if (server_codes[i].code == code)
			return server_codes[i].store_error;
	return STORE_E_PERMANENT;
}

/*
 * Whether the server, or the driver, says in so many words that it may be tried again. "NoWritesPerformed" does not: a server puts it on any error
 * before which it has written nothing, of a bad value too.
 */
static bool labelled(const bson_t *reply)
{
	static const char *const labels[] = {
		"RetryableWriteError",
		"TransientTransactionError",
		"UnknownTransactionCommitResult",
		"RetryableError",
		"SystemOverloadedError",
	};

	for (size_t i = 0; reply && i < sizeof(labels) / sizeof(labels[0]); i++)
		if (mongoc_error_has_label(reply, labels[i]))
			return true;
	return false;
}

static int classify_error(const bson_error_t *error)
{
	/* The driver's header has an enum of them, but the field is a plain number: others are for the
	 * default. */
	switch (error->domain) {
	case MONGOC_ERROR_SERVER: return classify_code((int)error->code);
	case MONGOC_ERROR_WRITE_CONCERN:
		/* It was written, but not as durably as was asked for: neither done nor to be given up. */
		return STORE_E_TRANSIENT;
	case MONGOC_ERROR_SERVER_SELECTION:
	case MONGOC_ERROR_STREAM:
	case MONGOC_ERROR_PROTOCOL: /* an answer cut short, or a server too old for the driver */
	case MONGOC_ERROR_SASL:
	case MONGOC_ERROR_SCRAM: return STORE_E_AWAY;
	case MONGOC_ERROR_CLIENT:
		switch (error->code) {
		case MONGOC_ERROR_STREAM_CONNECT:
		case MONGOC_ERROR_CLIENT_NOT_READY:
		case MONGOC_ERROR_CLIENT_GETNONCE:
		case MONGOC_ERROR_CLIENT_AUTHENTICATE:
		case MONGOC_ERROR_CLIENT_NO_ACCEPTABLE_PEER:
		case MONGOC_ERROR_CLIENT_SESSION_FAILURE: /* no session could be had from the server */
			return STORE_E_AWAY;
		default: return STORE_E_PERMANENT;
		}
	default: return STORE_E_PERMANENT;
	}
}

int store_classify(const bson_t *reply, const bson_error_t *error)
{
	const int r = classify_error(error);

	return r != STORE_E_AWAY && labelled(reply) ? STORE_E_TRANSIENT : r;
}

int store_classify_read(const bson_t *reply, const bson_error_t *error)
{
	const int r = store_classify(reply, error);

	return r == STORE_E_DUPLICATE ? STORE_E_PERMANENT : r;
}

/* ---- Writes ---- */

/* A duplicate key is what any other error outranks. */
static bool is_worse(int error, int than)
{
	return than == 0 || (than == STORE_E_DUPLICATE && error != 0) ||
	       (error != STORE_E_DUPLICATE && error > than);
}

/*
 * The worst that the statements of a write came to, as an unordered one tells of each; 0 where it tells of none. Sets *ret_words to those of the
 * error that counts.
 */
static int classify_statements(const bson_t *reply, const char **ret_words)
{
	bson_iter_t iter, errors, field;
	int worst = 0;

	if (!bson_iter_init_find(&iter, reply, "writeErrors") || !bson_iter_recurse(&iter, &errors))
		return 0;
	while (bson_iter_next(&errors)) {
		int r = STORE_E_PERMANENT;

		if (bson_iter_recurse(&errors, &field) && bson_iter_find(&field, "code"))
			r = classify_code((int)bson_iter_as_int64(&field));
		if (!is_worse(r, worst))
			continue;
		worst = r;
		if (bson_iter_recurse(&errors, &field) && bson_iter_find(&field, "errmsg") &&
			BSON_ITER_HOLDS_UTF8(&field))
			*ret_words = bson_iter_utf8(&field, NULL);
	}
	return worst;
}

/* Whether the server wrote, but not as durably as was asked for; sets *ret_words to what it says. In a list, as the driver's write functions have
 * it, or as the answer to one command. */
static bool find_concern_error(const bson_t *reply, const char **ret_words)
{
	bson_iter_t iter, field;

	if (bson_iter_init_find(&iter, reply, "writeConcernErrors") && bson_iter_recurse(&iter, &iter)) {
		if (!bson_iter_next(&iter))
			return false;
	} else if (!bson_iter_init_find(&iter, reply, "writeConcernError")) {
		return false;
	}
	if (bson_iter_recurse(&iter, &field) && bson_iter_find(&field, "errmsg") &&
		BSON_ITER_HOLDS_UTF8(&field))
		*ret_words = bson_iter_utf8(&field, NULL);
	return true;
}

int store_classify_write(
	bool succeeded, const bson_t *reply, const bson_error_t *error, const char **ret_words)
{
	int worst = 0;

	*ret_words = error->message;
	if (reply)
		worst = classify_statements(reply, ret_words);
	if (worst == 0 && !succeeded)
		worst = classify_error(error);
	/* The driver tells of a statement's error first; only a duplicate key does not outrank what it hides: that the document is there, but not
	 * yet as durably as was asked for. */
	if (reply && (worst == 0 || worst == STORE_E_DUPLICATE) && find_concern_error(reply, ret_words))
		worst = STORE_E_TRANSIENT;
	return worst != 0 && worst != STORE_E_AWAY && labelled(reply) ? STORE_E_TRANSIENT : worst;
}
