/*
 * doctor_advice.c - see doctor_advice.h. Numbers and names: MongoDB's src/mongo/base/error_codes.yml; those that are not in there are told of.
 */
#include "doctor_advice.h"

#include "cashew_store.h"
#include <stddef.h>
#include <string.h>

enum cause {
	RIGHTS,
	QUOTA,
	CREDENTIALS,
	NAME,
	CASE_OF_NAME,
	OTHER_SERVER,
	STABLE_API,
	CONCERN,
	PRIMARY,
	ROOM,
	THROUGHPUT,
	KIND,
	RETRIES,
	BLOCKED,
	/* by the store's error, where the code is not in the table */
	AWAY,
	TRANSIENT,
	PERMANENT,
};

static const struct doctor_advice advices[] = {
	[RIGHTS] = {"give the user in MONGO_DB_URL the role readWrite on the database",
		", or find, insert, update and remove on each of its collections"},
	[QUOTA] =
		{"a limit of the service is reached, or the user in MONGO_DB_URL has not the role readWrite on the database",
			": the service's console tells"},
	[CREDENTIALS] =
		{.text = "are user, password and authSource in MONGO_DB_URL right? Each of : / ? # [ ] @ % in user or password has to be "
			 "percent-encoded"},
	[NAME] =
		{"the server does not take this name, the database's or a collection's: set MONGO_DB_NAME, now",
			", to one of letters, digits, _ and -"},
	[CASE_OF_NAME] =
		{"there is a database whose name differs by upper and lower case alone: set MONGO_DB_NAME, now",
			", to that one's"},
	[OTHER_SERVER] =
		{.text = "the server does not know what cashewd asks of it: it is too old, or not MongoDB's own. docs/operations.md says "
			 "which servers will do"},
	[STABLE_API] =
		{.text = "the server insists on a version of the Stable API, and cashewd names none: set requireApiVersion to false there"},
	[CONCERN] =
		{.text = "the server has fewer members than w in MONGO_DB_URL asks for, or they are down or behind: bring them back, or take w out "
			 "of MONGO_DB_URL, which then is w=majority"},
	[PRIMARY] =
		{.text = "the replica set has no primary now, or is changing it: look at rs.status() there"},
	[ROOM] = {.text = "there is no room left on the server's disk: make some"},
	[THROUGHPUT] = {.text = "more requests come than the service lets through: raise its throughput"},
	[KIND] = {.text = "it is no ordinary collection: drop it, and cashewd makes one that is"},
	[RETRIES] =
		{.text = "take retryWrites=true out of MONGO_DB_URL: the server does not do that, and cashewd repeats commands anyway"},
	[BLOCKED] = {.text = "its operators let nobody write for now, as while a cluster is copied"},
	[AWAY] =
		{.text = "is it running at the address in MONGO_DB_URL, does it let this machine in "
			 "(bindIp, firewall, TLS), and are user, password and authSource right? Members of a replica set are "
			 "reached by the names that the set has for them, unless MONGO_DB_URL says directConnection=true"},
	[TRANSIENT] = {.text = "it is there and cannot now: is there a primary, is its disk full?"},
	[PERMANENT] = {"the server answers, and says why: its log may say more"},
};

static const struct {
	int code;
	enum cause cause;
} causes[] = {
	{13, RIGHTS},	       /* Unauthorized */
	{8000, QUOTA},	       /* Atlas's proxy, for rights and quotas alike */
	{18, CREDENTIALS},     /* AuthenticationFailed */
	{391, CREDENTIALS},    /* ReauthenticationRequired */
	{73, NAME},	       /* InvalidNamespace */
	{13297, CASE_OF_NAME}, /* DatabaseDifferCase */
	{59, OTHER_SERVER},    /* CommandNotFound */
	{115, OTHER_SERVER},   /* CommandNotSupported */
	{238, OTHER_SERVER},   /* NotImplemented */
	{352, OTHER_SERVER},   /* UnsupportedOpQueryCommand */
	{9, OTHER_SERVER},     /* FailedToParse */
	{72, OTHER_SERVER},    /* InvalidOptions */
	{40415, OTHER_SERVER}, /* a field that the command does not have */
	{322, STABLE_API},     /* APIVersionError */
	{323, STABLE_API},     /* APIStrictError */
	{324, STABLE_API},     /* APIDeprecationError */
	{498870, STABLE_API},  /* there is no apiVersion: in the server's source, next to requireApiVersion */
	{64, CONCERN},	       /* WriteConcernTimeout */
	{79, CONCERN},	       /* UnknownReplWriteConcern */
	{100, CONCERN},	       /* UnsatisfiableWriteConcern */
	{91, PRIMARY},	       /* ShutdownInProgress */
	{189, PRIMARY},	       /* PrimarySteppedDown */
	{10107, PRIMARY},      /* NotWritablePrimary */
	{11600, PRIMARY},      /* InterruptedAtShutdown */
	{11602, PRIMARY},      /* InterruptedDueToReplStateChange */
	{13435, PRIMARY},      /* NotPrimaryNoSecondaryOk */
	{13436, PRIMARY},      /* NotPrimaryOrSecondary */
	{14031, ROOM},	       /* OutOfDiskSpace */
	{16500, THROUGHPUT},   /* Azure Cosmos DB's */
	{166, KIND},	       /* CommandNotSupportedOnView */
	{20, RETRIES},	       /* IllegalOperation: a standalone server's answer to a retryable write */
	{301, RETRIES},	       /* Amazon DocumentDB's */
	{371, BLOCKED},	       /* UserWritesBlocked */
};

static enum cause cause_of(int error, int code, const char *words)
{
	for (size_t i = 0; code != 0 && i < sizeof(causes) / sizeof(causes[0]); i++)
		if (causes[i].code == code)
			return causes[i].cause;
	/* The first of all questions is the driver's own, and of its answer only the words are left. */
	if (strstr(words, "apiVersion"))
		return STABLE_API;
	return error == STORE_E_AWAY ? AWAY : error == STORE_E_TRANSIENT ? TRANSIENT : PERMANENT;
}

struct doctor_advice doctor_advice_of(int error, int code, const char *words)
{
	return advices[cause_of(error, code, words)];
}
