/* cashew_token_jwks.c - see cashew_token_jwks.h. */
#include "cashew_token_jwks.h"

#include "exit_codes.h"
#include "output.h"
#include "provider_keys.h"

#include <stdio.h>
#include <string.h>

int cashew_token_jwks_failed(const char *command, int error, const char *reason)
{
	static const int codes[] = {
		[PROVIDER_E_AWAY] = EXIT_UNAVAILABLE,
		[PROVIDER_E_ANSWER] = EXIT_DATA,
		[PROVIDER_E_FILE] = EXIT_IO,
		[PROVIDER_E_SOON] = EXIT_TEMPORARY,
		[PROVIDER_E_TOKEN] = EXIT_FAILED,
	};
	(void)fprintf(stderr, "cashew-token %s: %s\n", command, error > 0 ? reason : strerror(-error));
	return error > 0 ? codes[error] : EXIT_SOFTWARE;
}

int cashew_token_jwks(const struct provider_options *options)
{
	char reason[PROVIDER_REASON_SIZE] = "";
	struct provider_keys_news news;
	const int error = provider_keys_renew(&options->source, options->file, &news, reason);
	if (error != 0)
		return cashew_token_jwks_failed("jwks", error, reason);
	if (news.changed)
		printf("%s: %zu key%s of %s, %zu passed over\n", options->file, news.key_count,
			news.key_count == 1 ? "" : "s", options->source.issuer, news.passed_over);
	return output_flush("cashew-token", EXIT_OK);
}
