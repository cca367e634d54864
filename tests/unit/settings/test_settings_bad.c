/* Tests of settings.c and settings_check.c: each value that cannot be used, and what is said of it. */
#include "settings_outcome.h"

struct bad_case {
	const char *name;
	const char *file;
	const char *problems; /* all of them */
};

static struct bad_case bad_cases[] = {
	{"nothing is set", "",
		"BROKER_HOST: it is not set. Host name or address of the MQTT broker; under TLS its certificate must be for this name. Up to 8 names, separated by commas, of one cluster "
		"that shares sessions: if one cannot be reached the next is tried, all at BROKER_PORT.\n"
		"MONGO_DB_URL: it is not set. Connection string of MongoDB, mongodb:// or mongodb+srv://; what it leaves open is set to w=majority, "
		"journal=true, retryWrites=false and time-outs of seconds.\n"
		"JWT_SECRET: it is empty: expected the secret that the broker verifies tokens with, or a HANDLER_TOKEN_FILE\n"},
	{"empty host", SECRET URL "BROKER_HOST=\n",
		".env:3: BROKER_HOST=: it is empty: expected 1 to 2047 bytes\n"},
	{"unknown key", ENOUGH "BROKER_PROT=1883\n",
		".env:4: BROKER_PROT: there is no setting of that name; did you mean BROKER_PORT?\n"},
	{"unknown key in lower case", ENOUGH "broker_port=1883\n",
		".env:4: broker_port: there is no setting of that name; did you mean BROKER_PORT?\n"},
	{"second line of a secret", ENOUGH "Zm9vYmFy==\n",
		".env:4: what stands before the = is no setting, and not shown, as it may be the second line of a secret (--help settings "
		"lists them)\n"},
	{"second line of a secret with one sign", ENOUGH "Zm9vYmE=\n",
		".env:4: what stands before the = is no setting, and not shown, as it may be the second line of a secret (--help settings "
		"lists them)\n"},
	{"a proxy", ENOUGH "https_proxy='http://svc:S3same#1@proxy.example:3128'\nNO_PROXY=a\n",
		".env:4: https_proxy: set it in the environment that cashewd is started with: libraries read it there, and not in this file\n"
		".env:5: NO_PROXY: set it in the environment that cashewd is started with: libraries read it there, and not in this file\n"},
	{"token in place of its file", ENOUGH "HANDLER_TOKEN_FILE=eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl\n",
		"HANDLER_TOKEN_FILE: it is a token (not shown): expected the name of a file that holds it\n"},
	{"line that is none", ENOUGH "BROKER_PORT 1883\n",
		".env:4: this line is neither NAME=value nor a comment\n"},
	{"number that is none", ENOUGH "KEEPALIVE=60s\n",
		".env:4: KEEPALIVE=60s: expected a number from 10 to 65535 s\n"},
	{"empty number", ENOUGH "KEEPALIVE=\n", ".env:4: KEEPALIVE=: expected a number from 10 to 65535 s\n"},
	{"too small", ENOUGH "KEEPALIVE=9\n", ".env:4: KEEPALIVE=9: expected a number from 10 to 65535 s\n"},
	{"too large", ENOUGH "BROKER_PORT=65536\n",
		".env:4: BROKER_PORT=65536: expected a number from 1 to 65535\n"},
	{"negative", ENOUGH "WORKERS=-1\n", ".env:4: WORKERS=-1: expected a number from 1 to 512\n"},
	{"beyond 64 bits", ENOUGH "WORKERS=99999999999999999999\n",
		".env:4: WORKERS=99999999999999999999: expected a number from 1 to 512\n"},
	{"size beyond 64 bits", ENOUGH "EVENT_MAX=9223372036854775807M\n",
		".env:4: EVENT_MAX=9223372036854775807M: expected a number, or one with K or M behind it, from 1024 to 268435455 bytes\n"},
	{"suffix where there is none", ENOUGH "WORKERS=1K\n",
		".env:4: WORKERS=1K: expected a number from 1 to 512\n"},
	{"suffix alone", ENOUGH "PAYLOAD_MAX=K\n",
		".env:4: PAYLOAD_MAX=K: expected a number, or one with K or M behind it, from 16 to 15728640 bytes\n"},
	{"payload that no dead letter can hold", ENOUGH "PAYLOAD_MAX=15728641\n",
		".env:4: PAYLOAD_MAX=15728641: expected a number, or one with K or M behind it, from 16 to 15728640 bytes\n"},
	{"switch", ENOUGH "BROKER_TLS=maybe\n", ".env:4: BROKER_TLS=maybe: expected on or off\n"},
	{"empty switch", ENOUGH "BROKER_TLS=\n", ".env:4: BROKER_TLS=: expected on or off\n"},
	{"choice", ENOUGH "LOG_LEVEL=loud\n",
		".env:4: LOG_LEVEL=loud: expected one of error, warn, info, debug\n"},
	{"group of a shared subscription with other characters", ENOUGH "SHARED_GROUP=a/b\n",
		".env:4: SHARED_GROUP=a/b: expected only A-Z a-z 0-9 . _ | -\n"},
	{"group of a shared subscription with a wildcard", ENOUGH "SHARED_GROUP=a+\n",
		".env:4: SHARED_GROUP=a+: expected only A-Z a-z 0-9 . _ | -\n"},
	{"group of a shared subscription that is too long",
		ENOUGH "SHARED_GROUP=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n",
		".env:4: SHARED_GROUP=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...: expected 0 to 64 bytes of A-Z a-z 0-9 . _ | -\n"},
	{"client id with other characters", ENOUGH "CLIENT_ID=a/b\n",
		".env:4: CLIENT_ID=a/b: expected only A-Z a-z 0-9 . _ | -\n"},
	{"client id too long",
		ENOUGH "CLIENT_ID=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n",
		".env:4: CLIENT_ID=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...: expected 1 to 64 bytes of A-Z a-z 0-9 . _ | -\n"},
	{"control characters", ENOUGH "HANDLERS=\"ping\\nget_apples\"\n",
		".env:4: HANDLERS=ping\\x0aget_apples: expected one line without control characters\n"},
	{"secret too short", "JWT_SECRET=0123456789abcdef0123456789abcde\n" BROKER URL,
		"JWT_SECRET: it has 31 bytes: expected 32 or more (openssl rand -base64 48 makes one); for trials ALLOW_SHORT_SECRET=on accepts "
		"it\n"},
	{"handlers' secret too short", ENOUGH "JWT_HANDLER_SECRET=0123456789abcdef0123456789abcde\n",
		"JWT_HANDLER_SECRET: it has 31 bytes: expected 32 or more (openssl rand -base64 48 makes one); for trials ALLOW_SHORT_SECRET=on "
		"accepts it\n"},
	{"empty secret is always refused", "JWT_SECRET=''\nALLOW_SHORT_SECRET=on\n" BROKER URL,
		"JWT_SECRET: it is empty: expected the secret that the broker verifies tokens with, or a HANDLER_TOKEN_FILE\n"},
	{"host with scheme", SECRET URL "BROKER_HOST=mqtts://localhost\n",
		"BROKER_HOST=mqtts://localhost: expected a host name or an address alone, or several separated by commas without blanks; the port, one for all, goes into BROKER_PORT\n"},
	{"host and nothing", SECRET URL "BROKER_HOST=a,\n",
		"BROKER_HOST=a,: expected a name before and after each comma\n"},
	{"nothing and host", SECRET URL "BROKER_HOST=,a\n",
		"BROKER_HOST=,a: expected a name before and after each comma\n"},
	{"hosts with a blank", SECRET URL "BROKER_HOST=a, b\n",
		"BROKER_HOST=a, b: expected a host name or an address alone, or several separated by commas without blanks; the port, one for all, goes into BROKER_PORT\n"},
	{"second host with a port", SECRET URL "BROKER_HOST=a,b:1883\n",
		"BROKER_HOST=a,b:1883: expected a host name or an address alone, or several separated by commas without blanks; the port, one for all, goes into BROKER_PORT\n"},
	{"host twice", SECRET URL "BROKER_HOST=a,b,A\n", "BROKER_HOST=a,b,A: expected each name once\n"},
	{"nine hosts", SECRET URL "BROKER_HOST=1,2,3,4,5,6,7,8,9\n",
		"BROKER_HOST=1,2,3,4,5,6,7,8,9: expected 8 names at most\n"},
	{"host with port", SECRET URL "BROKER_HOST=localhost:8883\n",
		"BROKER_HOST=localhost:8883: expected a host name or an address alone, or several separated by commas without blanks; the port, one for all, goes into BROKER_PORT\n"},
	{"proxy of another kind", ENOUGH "BROKER_PROXY=socks5://u:hunter2@h:1\n",
		"BROKER_PROXY: expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT: proxies of another kind than HTTP are not known\n"},
	{"proxy without a port", ENOUGH "BROKER_PROXY=http://u:hunter2@h\n",
		"BROKER_PROXY: expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, where the port is from 1 to 65535 and nothing follows it\n"},
	{"proxy's password with a slash", ENOUGH "BROKER_PROXY=http://u:hun/ter2@h:1\n",
		"BROKER_PROXY: expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, where neither user nor password is empty, has control characters, or "
		"has one of blank : / ? # [ ] @ % other than as %20 and the like\n"},
	{"proxy with two line ends", ENOUGH "BROKER_PROXY=\"http://u:hunter2@h:1\\n\\n\"\n",
		".env:4: BROKER_PROXY: expected one line without control characters\n"},
	{"connection string of something else", SECRET BROKER "MONGO_DB_URL=postgres://u:hunter2@h/\n",
		"MONGO_DB_URL: expected it to begin with mongodb:// or mongodb+srv://\n"},
	{"connection string with two line ends",
		SECRET BROKER "MONGO_DB_URL=\"mongodb://u:hunter2@h/\\n\\n\"\n",
		".env:3: MONGO_DB_URL: expected one line without control characters\n"},
	{"database name", ENOUGH "MONGO_DB_NAME=a.b\n",
		"MONGO_DB_NAME=a.b: expected a name in UTF-8 without / \\ . \" $ * < > : | ? and blanks\n"},
	{"database name that other systems refuse", ENOUGH "MONGO_DB_NAME=a|b\n",
		"MONGO_DB_NAME=a|b: expected a name in UTF-8 without / \\ . \" $ * < > : | ? and blanks\n"},
	{"database name that is no UTF-8", ENOUGH "MONGO_DB_NAME=\xe4pfel\n",
		".env:4: MONGO_DB_NAME=\\xe4pfel: expected UTF-8\n"},
	{"host that is no UTF-8", SECRET URL "BROKER_HOST=m\xfcller.example.com\n",
		".env:3: BROKER_HOST=m\\xfcller.example.com: expected UTF-8\n"},
	{"connection string that is no UTF-8", SECRET BROKER "MONGO_DB_URL=mongodb://u:hunter2\xfc@h/\n",
		".env:3: MONGO_DB_URL: expected UTF-8\n"},
	{"database of MongoDB's own", ENOUGH "MONGO_DB_NAME=config\n",
		"MONGO_DB_NAME=config: that is one of MongoDB's own: expected another name\n"},
	{"timeout over an hour", ENOUGH "HANDLER_TIMEOUT=3601\n",
		".env:4: HANDLER_TIMEOUT=3601: expected a number from 1 to 3600 s\n"},
	{"no timeout", ENOUGH "HANDLER_TIMEOUT=0\n",
		".env:4: HANDLER_TIMEOUT=0: expected a number from 1 to 3600 s\n"},
	{"small window", ENOUGH "WINDOW=19\n", ".env:4: WINDOW=19: expected a number from 20 to 65535\n"},
	{"large window", ENOUGH "WINDOW=65536\n",
		".env:4: WINDOW=65536: expected a number from 20 to 65535\n"},
	{"empty window", ENOUGH "WINDOW=\n", ".env:4: WINDOW=: expected a number from 20 to 65535\n"},
	{"0 where it never meant anything", ENOUGH "USER_WINDOW=0\n",
		".env:4: USER_WINDOW=0: expected a number from 1 to 65535\n"},
	{"large window of a user", ENOUGH "USER_WINDOW=65536\n",
		".env:4: USER_WINDOW=65536: expected a number from 1 to 65535\n"},
	{"name with a scheme", ENOUGH "METRICS_HOSTS=http://host1.example.com\n",
		"METRICS_HOSTS=http://host1.example.com: expected host names without ports, like host1.example.com, separated by commas\n"},
	{"name with a port", ENOUGH "METRICS_HOSTS=a.example.com,b.example.com:9883\n",
		"METRICS_HOSTS=a.example.com,b.example.com:9883: expected host names without ports, like host1.example.com, separated by commas\n"},
	{"certificate without key", ENOUGH "BROKER_CERT_FILE=/dev/null\n",
		"BROKER_CERT_FILE is set without BROKER_KEY_FILE: a client certificate needs both\n"},
	{"key without certificate", ENOUGH "BROKER_KEY_FILE=/dev/null\n",
		"BROKER_KEY_FILE is set without BROKER_CERT_FILE: a client certificate needs both\n"},
	{"Loggly without TLS", ENOUGH "LOGGLY_URL=http://localhost\n",
		"LOGGLY_URL: expected https://, a host, and at most a port and a path\n"},
	{"Loggly with a password", ENOUGH "LOGGLY_URL=https://u:hunter2@localhost\n",
		"LOGGLY_URL: expected https://, a host, and at most a port and a path\n"},
	{"tag with a slash", ENOUGH "LOGGLY_TAGS=a/b\n",
		"LOGGLY_TAGS=a/b: expected names of A-Z a-z 0-9 . _ - separated by commas\n"},
	{"no tag", ENOUGH "LOGGLY_TAGS=,\n",
		"LOGGLY_TAGS=,: expected names of A-Z a-z 0-9 . _ - separated by commas\n"},
	{"Loggly's authorities are missing", ENOUGH "LOGGLY_CA_FILE=/nonexistent/ca.pem\n",
		"LOGGLY_CA_FILE=/nonexistent/ca.pem: cannot be opened: No such file or directory\n"},
	{"file that is missing", ENOUGH "BROKER_CA_FILE=/nonexistent/ca.pem\n",
		"BROKER_CA_FILE=/nonexistent/ca.pem: cannot be opened: No such file or directory\n"},
	{"file that is a directory", BROKER URL "HANDLER_TOKEN_FILE=/\n",
		"HANDLER_TOKEN_FILE=/: it is a directory: expected a file\n"},
	{"handler that does not exist", ENOUGH "HANDLERS=ping, get_aples,xyzzy\n",
		"HANDLERS: there is no handler get_aples; did you mean get_apples?\n"
		"HANDLERS: there is no handler xyzzy (--list-handlers shows them)\n"},
	{"handler's name is not its beginning", ENOUGH "HANDLERS=pin\n",
		"HANDLERS: there is no handler pin; did you mean ping?\n"},
	{"no handler", ENOUGH "HANDLERS=\", ,\"\n",
		"HANDLERS=, ,: expected names separated by commas, or nothing for all\n"},
	{"all problems are told", SECRET "BROKER_PORT=0\nKEEP_ALIVE=60\n?\n" URL,
		".env:4: this line is neither NAME=value nor a comment\n"
		".env:3: KEEP_ALIVE: there is no setting of that name; did you mean KEEPALIVE?\n"
		"BROKER_HOST: it is not set. Host name or address of the MQTT broker; under TLS its certificate must be for this name. Up to 8 names, separated by commas, of one cluster "
		"that shares sessions: if one cannot be reached the next is tried, all at BROKER_PORT.\n"
		".env:2: BROKER_PORT=0: expected a number from 1 to 65535\n"},
};

static void test_bad(void **state)
{
	const struct bad_case *c = *state;
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_with(c->file, no_environment, plain_handlers);
	assert_string_equal(got.problems, c->problems);
	assert_int_equal(got.result, SETTINGS_E_INVALID);
	assert_null(got.settings.block);
	assert_string_equal(got.warnings, "");
}

/* Who starts it in the wrong folder, or has none yet, is told so. */
int main(void)
{
	enum { BAD_CASES = sizeof(bad_cases) / sizeof(bad_cases[0]) };
	struct CMUnitTest bad_tests[BAD_CASES];
	for (size_t i = 0; i < BAD_CASES; i++)
		bad_tests[i] = (struct CMUnitTest){
			.name = bad_cases[i].name, .test_func = test_bad, .initial_state = &bad_cases[i]};
	return cmocka_run_group_tests_name("bad settings", bad_tests, NULL, NULL);
}
