/* handler_token.c - see handler_token.h. */
#include "handler_token.h"

#include "settings.h"
#include "token.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_file(const char *path, char **ret_token)
{
	char buffer[TOKEN_SIZE_MAX + 2];
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return -errno;
	const size_t size = fread(buffer, 1, sizeof(buffer) - 1, file);
	fclose(file);
	buffer[size] = '\0';
	buffer[strcspn(buffer, "\r\n")] = '\0';
	char *token = strdup(buffer);
	explicit_bzero(buffer, sizeof(buffer));
	if (token == NULL)
		return -ENOMEM;
	*ret_token = token;
	return 0;
}

int handler_token(const struct settings *settings, int64_t now, char **ret_token)
{
	if (settings->handler_token_file[0] != '\0')
		return read_file(settings->handler_token_file, ret_token);
	return token_sign_handler(
		settings->jwt_secret, settings->handler_name, now, settings->token_lifetime_s, ret_token);
}

void handler_token_free(char *token)
{
	if (token != NULL)
		explicit_bzero(token, strlen(token));
	free(token);
}
