/*
 * provider_parts.h - what tests of cashew-token's ways to an identity provider share: a folder with certificates, files, and a provider that lies when told.
 *
 * Included by one file of a test, after cmocka. Happy path: parts_setup() and parts_teardown() around the tests, parts_honest() before each. What cannot be
 * made fails the test.
 */
#ifndef PROVIDER_PARTS_H
#define PROVIDER_PARTS_H

#include "liar_server.h"
#include "token_maker.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARTS		static __attribute__((unused))
#define PARTS_DISCOVERY "/.well-known/openid-configuration"
#define PARTS_KEYS	"/keys"

static char parts_folder[] = "/tmp/cashewd-test-XXXXXX";
static struct liar_server *parts_server;
static EVP_PKEY *parts_rsa, *parts_point;
static char parts_issuer[64]; /* of the server; the certificate is for localhost */

/* ---- Files ---- */

/* In the folder; lives until the next four calls. */
PARTS const char *parts_path(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];
	(void)snprintf(path, sizeof(paths[0]), "%s/%s", parts_folder, name);
	return path;
}

PARTS void parts_write(const char *name, const char *text)
{
	FILE *file = fopen(parts_path(name), "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

/* To be freed; NULL: it is not there. */
PARTS char *parts_read(const char *name)
{
	FILE *file = fopen(parts_path(name), "re");
	if (!file)
		return NULL;
	char *text = calloc(1, 1 << 17);
	assert_non_null(text);
	assert_in_range(fread(text, 1, (1 << 17) - 1, file), 0, (1 << 17) - 2);
	(void)fclose(file);
	return text;
}

/* expected NULL: it is not there. */
PARTS void parts_expect(const char *what, const char *name, const char *expected)
{
	char *text = parts_read(name);
	if (!text != !expected || (text && strcmp(text, expected) != 0))
		fail_msg("%s: %s holds \"%.200s\"", what, name, text ? text : "(it is not there)");
	free(text);
}

static int parts_remove(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

/* How many files are in the folder. */
PARTS unsigned parts_count(void)
{
	char command[64];
	unsigned count = 0;
	(void)snprintf(command, sizeof(command), "ls -A %s | wc -l", parts_folder);
	FILE *pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%u", &count), 1);
	(void)pclose(pipe);
	return count;
}

/* ---- The provider ---- */

/* The public key as a JWK Set with these members, to be freed. */
PARTS char *parts_set(EVP_PKEY *key, const char *members)
{
	char *jwk = maker_jwk(key, NULL, members), *set = NULL;
	assert_true(asprintf(&set, "{\"keys\":[%s]}", jwk) > 0);
	free(jwk);
	return set;
}

/* Its discovery document, with that issuer and that address of the keys; to be freed. */
PARTS char *parts_document(const char *issuer, const char *keys)
{
	char *document = NULL;
	assert_true(asprintf(&document,
			    "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/auth\",\"jwks_uri\":\"%s\","
			    "\"id_token_signing_alg_values_supported\":[\"RS256\"]}",
			    issuer, issuer, keys) > 0);
	return document;
}

PARTS void parts_say(const char *path, const struct liar_answer *answer)
{
	liar_server_say(parts_server, path, answer);
}

/* From now on it says its own issuer, and the RSA key with that kid. */
PARTS void parts_honest(const char *kid)
{
	char keys[128], members[128];
	(void)snprintf(keys, sizeof(keys), "%s" PARTS_KEYS, parts_issuer);
	(void)snprintf(members, sizeof(members), "\"kid\":\"%s\",\"use\":\"sig\",\"alg\":\"RS256\",", kid);
	char *document = parts_document(parts_issuer, keys), *set = parts_set(parts_rsa, members);
	parts_say(PARTS_DISCOVERY,
		&(struct liar_answer){.headers = "Content-Type: application/json\r\n", .body = document});
	parts_say(PARTS_KEYS, &(struct liar_answer){.body = set});
	free(document);
	free(set);
}

PARTS struct liar_server *parts_start(const char *certificate)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s", parts_path(certificate));
	return liar_server_start(path, parts_path("server.key"));
}

/* ---- Life ---- */

PARTS int parts_setup(void **state)
{
	(void)state;
	if (!mkdtemp(parts_folder))
		return -1;
	/* Without a shell: the checkout may lie anywhere. */
	const char *const argv[] = {SOURCE_DIR "/examples/broker/certificates", parts_folder, "--bad", NULL};
	pid_t pid;
	int status;
	if (posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) != 0 ||
		waitpid(pid, &status, 0) != pid || status != 0)
		return -1;
	parts_rsa = maker_rsa(2048, 65537);
	parts_point = maker_curve("P-256");
	parts_server = parts_start("server.crt");
	(void)snprintf(
		parts_issuer, sizeof(parts_issuer), "https://localhost:%u", liar_server_port(parts_server));
	return 0;
}

PARTS int parts_teardown(void **state)
{
	(void)state;
	liar_server_stop(parts_server);
	EVP_PKEY_free(parts_rsa);
	EVP_PKEY_free(parts_point);
	return nftw(parts_folder, parts_remove, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
