/* handler_token.c - see handler_token.h. */
#include "handler_token.h"

#include "log_secret.h"
#include "settings.h"
#include "small_file.h"
#include "token.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for what may follow the token's line. */
enum { FILE_SIZE_MAX = 65536 };

static int read_file(const char *path, char **ret_token)
{
	char *bytes = NULL;
	size_t size = 0;
	const int error = small_file_read(path, FILE_SIZE_MAX, &bytes, &size);
	if (error != 0)
		return error;
	char *token = strndup(bytes, strcspn(bytes, "\r\n"));
	small_file_free(bytes, size);
	if (!token)
		return -ENOMEM;
	*ret_token = token;
	return 0;
}

int handler_token(const struct settings *settings, int64_t now, char **ret_token)
{
	char *token = NULL;
	int error = settings->handler_token_file[0] != '\0'
			    ? read_file(settings->handler_token_file, &token)
			    : token_sign_handler(settings->jwt_secret, settings->handler_name, now,
				      settings->token_lifetime_s, &token);
	/* A broker may say in a reason what it was sent. */
	if (error == 0)
		error = log_secret_add_passing(token);
	if (error == 0)
		*ret_token = token;
	else
		handler_token_free(token);
	return error;
}

void handler_token_free(char *token)
{
	if (token)
		explicit_bzero(token, strlen(token));
	free(token);
}
