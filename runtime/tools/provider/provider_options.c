/* provider_options.c - see provider_options.h. */
#include "provider_options.h"

#include "duration.h"
#include "exit_codes.h"
#include "output.h"
#include "provider_address.h"
#include "provider_file.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char help_jwks[] =
	"Usage: cashew-token jwks ISSUER --out FILE [--ca-file FILE]\n"
	"\n"
	"Fetches the keys of an identity provider (OpenID Connect) into FILE, a JWK Set\n"
	"for the broker's plugin and for cashew-token exchange. ISSUER is the provider's\n"
	"https:// address byte for byte as it calls itself, also a / at its end:\n"
	"  cashew-token jwks https://example.eu.auth0.com/ --out jwks.json\n"
	"\n"
	"  --out FILE       replaced whole, and only by keys that can be used; when it\n"
	"                   has changed one line says so\n"
	"  --ca-file FILE   PEM: the authorities that may vouch for the provider's\n"
	"                   certificates; without it those of the system\n"
	"\n"
	"It asks twice, for the discovery document and for the keys that this names, for\n"
	"10 s each; https_proxy is heeded, redirects are not followed.\n"
	"\n"
	"Exit codes: 0, 64 wrong command line, 65 the answer cannot be used, 69 the\n"
	"provider is away, 70 internal failure, 74 FILE or output failed. But for 0\n"
	"FILE is as it was.\n";

static const char help_exchange[] =
	"Usage: cashew-token exchange --issuer ISSUER --client-id ID --jwks FILE\n"
	"                             [OPTION...] < ID_TOKEN\n"
	"\n"
	"Verifies the ID token on standard input and prints a user's token for brokers\n"
	"that know JWT_SECRET only, which ends no later than the ID token.\n"
	"\n"
	"  --issuer ISSUER        its iss, byte for byte\n"
	"  --client-id ID         its aud, and its azp if it has one; once for each of\n"
	"                         your applications\n"
	"  --jwks FILE            the provider's keys, see cashew-token jwks --help; when\n"
	"                         a kid is not in it they are fetched, once a minute at\n"
	"                         most (FILE.asked says when)\n"
	"  --trust-audience NAME  may stand in aud beside one of these; once for each\n"
	"  --claim-user NAME      the claim that is the user id; sub\n"
	"  --nonce TEXT           what nonce must be\n"
	"  --expires TIME         90s, 15m, 1h or 30d from now, at most; 1h\n"
	"  --ca-file FILE         PEM: who may vouch for the provider's certificates\n"
	"  --env-file FILE        where JWT_SECRET is, instead of .env\n"
	"\n"
	"Exit codes: 0, 1 the ID token is refused, 64 wrong command line, 65 the\n"
	"provider's answer cannot be used, 69 it is away, 70 internal failure, 74 output\n"
	"or the file of the keys failed, 75 it has not the kid, and the provider was\n"
	"asked less than a minute ago, 78 no usable secret.\n";

enum {
	OPTION_OUT = 256,
	OPTION_CA,
	OPTION_ISSUER,
	OPTION_CLIENT,
	OPTION_TRUST,
	OPTION_CLAIM,
	OPTION_NONCE,
	OPTION_EXPIRES,
	OPTION_ENV,
	OPTION_HELP
};

static const struct option options_jwks[] = {
	{"out", required_argument, NULL, OPTION_OUT},
	{"ca-file", required_argument, NULL, OPTION_CA},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static const struct option options_exchange[] = {
	{"issuer", required_argument, NULL, OPTION_ISSUER},
	{"client-id", required_argument, NULL, OPTION_CLIENT},
	{"jwks", required_argument, NULL, OPTION_OUT},
	{"trust-audience", required_argument, NULL, OPTION_TRUST},
	{"claim-user", required_argument, NULL, OPTION_CLAIM},
	{"nonce", required_argument, NULL, OPTION_NONCE},
	{"expires", required_argument, NULL, OPTION_EXPIRES},
	{"ca-file", required_argument, NULL, OPTION_CA},
	{"env-file", required_argument, NULL, OPTION_ENV},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

bool provider_options_are_meant(int count, char **values)
{
	return count > 1 && (strcmp(values[1], "jwks") == 0 || strcmp(values[1], "exchange") == 0);
}

__attribute__((format(printf, 2, 3))) static int wrong(
	const struct provider_options *options, const char *format, ...)
{
	const char *command = options->is_exchange ? "exchange" : "jwks";
	va_list arguments;
	va_start(arguments, format);
	(void)fprintf(stderr, "cashew-token %s: ", command);
	(void)vfprintf(stderr, format, arguments);
	(void)fprintf(stderr, " (see cashew-token %s --help)\n", command);
	va_end(arguments);
	return EXIT_USAGE;
}

static int text_add(const struct provider_options *options, const char *name, const char *value,
	struct token_texts *texts)
{
	if (value[0] == '\0')
		return wrong(options, "%s is empty", name);
	if (texts->count == TOKEN_TEXTS_MAX)
		return wrong(options, "%s: expected %d at most", name, TOKEN_TEXTS_MAX);
	texts->texts[texts->count++] = value;
	return PROVIDER_OPTIONS_GO_ON;
}

static int option_take(int option, char *value, struct provider_options *ret)
{
	switch (option) {
	case OPTION_OUT: ret->file = value; break;
	case OPTION_CA: ret->source.ca_file = value; break;
	case OPTION_ISSUER: ret->source.issuer = value; break;
	case OPTION_CLIENT: return text_add(ret, "--client-id", value, &ret->client_ids);
	case OPTION_CLAIM: ret->claim_user = value; break;
	case OPTION_NONCE: ret->nonce = value; break;
	case OPTION_TRUST: return text_add(ret, "--trust-audience", value, &ret->trusted);
	case OPTION_EXPIRES:
		ret->lifetime_s = duration_read(value);
		if (ret->lifetime_s == 0)
			return wrong(ret, "--expires: " DURATION_EXPECTED);
		break;
	case OPTION_ENV:
		ret->env_file = value;
		ret->env_file_given = true;
		break;
	}
	return PROVIDER_OPTIONS_GO_ON;
}

static int options_take(int count, char **values, struct provider_options *ret)
{
	const struct option *options = ret->is_exchange ? options_exchange : options_jwks;
	int option, code = PROVIDER_OPTIONS_GO_ON;
	while (code == PROVIDER_OPTIONS_GO_ON &&
		(option = getopt_long(count, values, ":", options, NULL)) != -1) {
		switch (option) {
		case OPTION_HELP:
			(void)fputs(ret->is_exchange ? help_exchange : help_jwks, stdout);
			return output_flush("cashew-token", EXIT_OK);
		case ':': return wrong(ret, "%s needs a value", values[optind - 1]);
		case '?': return wrong(ret, "unknown option");
		default: code = option_take(option, optarg, ret);
		}
	}
	return code;
}

/* What has to be there, and what it may be. */
static int options_check(const struct provider_options *options)
{
	const struct {
		const char *name, *value;
		bool is_needed;
	} texts[] = {
		{options->is_exchange ? "--issuer" : "ISSUER", options->source.issuer, true},
		{options->is_exchange ? "--jwks" : "--out", options->file, true},
		{"--client-id", options->client_ids.texts[0], options->is_exchange},
		{"--ca-file", options->source.ca_file, false},
		{"--claim-user", options->claim_user, false},
		{"--nonce", options->nonce, false},
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].is_needed && !texts[i].value)
			return wrong(options, "%s is missing", texts[i].name);
		if (texts[i].value && texts[i].value[0] == '\0')
			return wrong(options, "%s is empty", texts[i].name);
	}
	if (strlen(options->file) > PROVIDER_FILE_PATH_MAX)
		return wrong(options, "%s is longer than %d bytes", texts[1].name, PROVIDER_FILE_PATH_MAX);
	const char *oddity = provider_address_issuer_oddity(options->source.issuer);
	if (oddity)
		return wrong(options, "the issuer %s", oddity);
	return PROVIDER_OPTIONS_GO_ON;
}

int provider_options_parse(int count, char **values, struct provider_options *ret)
{
	*ret = (struct provider_options){.is_exchange = strcmp(values[1], "exchange") == 0,
		.source = {.timeout_ms = PROVIDER_TIMEOUT_MS},
		.claim_user = "sub",
		.env_file = ".env",
		.lifetime_s = 3600};
	/* The command's own word is to the others what a program's name is. */
	count--;
	values++;
	const int code = options_take(count, values, ret);
	if (code != PROVIDER_OPTIONS_GO_ON)
		return code;
	if (!ret->is_exchange && optind < count)
		ret->source.issuer = values[optind++];
	if (optind < count)
		return wrong(ret, ret->is_exchange
					  ? "only options are expected: the ID token comes on standard input"
					  : "expected one issuer");
	return options_check(ret);
}
