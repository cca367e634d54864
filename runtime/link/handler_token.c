/* handler_token.c - see handler_token.h. */
#include "handler_token.h"

#include "log.h"
#include "log_secret.h"
#include "settings.h"
#include "small_file.h"
#include "token.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for what may follow the token's line. */
enum { FILE_SIZE_MAX = 65536 };

static int read_file(const char *path, char **ret_token, const char **ret_reason)
{
	char *bytes = NULL;
	size_t size = 0;
	const int error = small_file_read(path, FILE_SIZE_MAX, &bytes, &size);
	if (error != 0) {
		*ret_reason = small_file_explain(error);
		return error;
	}
	const size_t line = strcspn(bytes, "\r\n");
	const char *oddity = token_oddity(bytes, line);
	char *token = oddity ? NULL : strndup(bytes, line);
	small_file_free(bytes, size);
	if (token) {
		*ret_token = token;
		return 0;
	}
	*ret_reason = oddity ? oddity : small_file_explain(-ENOMEM);
	return oddity ? HANDLER_TOKEN_E_ODD : -ENOMEM;
}

static int sign(
	const struct settings *settings, const struct handler_topics *topics, int64_t now, char **ret_token)
{
	static const char *const events[] = {"+/#"};
	const char *name, *secret = settings_handler_secret(settings, &name);
	if (topics) {
		char reason[TOKEN_REASON_SIZE] = "";
		const struct token_topics lists = {.subscribe = topics->filters,
			.subscribe_count = topics->count,
			.publish = events,
			.publish_count = 1,
			.client_ids = &settings->client_id,
			.client_ids_count = 1};
		const int error = token_sign_locked_handler(secret, settings->handler_name, &lists, now,
			settings->token_lifetime_s, ret_token, reason);
		if (error != TOKEN_E_REFUSED)
			return error;
		log_warn("token_not_locked",
			"the handler's token is good for all topics: the handlers' own do not go into it",
			LOG_TEXT("reason", reason));
	}
	return token_sign_handler(secret, settings->handler_name, now, settings->token_lifetime_s, ret_token);
}

int handler_token(const struct settings *settings, const struct handler_topics *topics, int64_t now,
	char **ret_token, const char **ret_reason)
{
	char *token = NULL;
	int error;
	if (settings->handler_token_file[0] != '\0') {
		error = read_file(settings->handler_token_file, &token, ret_reason);
	} else {
		error = sign(settings, topics, now, &token);
		if (error != 0)
			*ret_reason = small_file_explain(error);
	}
	if (error != 0)
		return error;
	/* A broker may say in a reason what it was sent. */
	error = log_secret_add_passing(token);
	if (error == 0) {
		*ret_token = token;
	} else {
		*ret_reason = small_file_explain(error);
		handler_token_free(token);
	}
	return error;
}

void handler_token_free(char *token)
{
	if (token)
		explicit_bzero(token, strlen(token));
	free(token);
}
