/*
 * doctor_machine.c - what can be seen on this machine alone: settings, files, limits, the spool, the token.
 *
 * The settings were read before, by what the host reads them with, so that each problem is told in the same
 * words. Nothing is written: whether a folder can be written to is asked, not tried.
 */
#include "clock.h"
#include "doctor.h"

#include "cashew.h"
#include "configuration.h"
#include "doctor_print.h"
#include "file_trust.h"
#include "handler_token.h"
#include "token.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { DESCRIPTORS_SPARE = 64, DAY_S = 24 * 60 * 60, TOKEN_DAYS_MIN = 7 };

static void each_line(
	struct doctor *doctor, const char *lines, void (*say)(struct doctor *doctor, const char *format, ...))
{
	while (*lines != '\0') {
		const size_t size = strcspn(lines, "\n");
		if (size > 0)
			say(doctor, "%.*s", (int)size, lines);
		lines += size + (lines[size] == '\n');
	}
}

static void look_at_secrets(struct doctor *doctor, const struct settings *settings)
{
	const char *name, *secret = settings_handler_secret(settings, &name);
	if (!settings->allow_short_secret || strlen(secret) >= TOKEN_SECRET_MIN ||
		settings->handler_token_file[0] != '\0')
		return;
	doctor_warn(
		doctor, "%s has only %zu bytes: whoever guesses it can be any user", name, strlen(secret));
	doctor_advise(doctor, "give broker and cashewd a longer one: openssl rand -base64 48");
}

void doctor_check_settings(struct doctor *doctor)
{
	const struct configuration *configuration = doctor->configuration;
	if (!configuration) {
		each_line(doctor, doctor->problems, doctor_fail);
		doctor_advise(doctor, "cashewd --help explains every setting");
		return;
	}
	size_t handlers = 0;
	while (configuration->handlers[handlers])
		handlers++;
	char folder[PATH_MAX] = "", where[PATH_MAX + 32] = "";
	if (access(doctor->env_file, F_OK) != 0 && getcwd(folder, sizeof(folder)))
		snprintf(where, sizeof(where), " is not there (in %s),", folder);
	doctor_ok(doctor, "%s%s and the environment can be used: %zu %s in %zu %s, CLIENT_ID=%s",
		doctor->env_file, where, handlers, handlers == 1 ? "handler" : "handlers",
		doctor->routes.lane_count, doctor->routes.lane_count == 1 ? "lane" : "lanes",
		configuration->settings.client_id);
	each_line(doctor, configuration->warnings, doctor_warn);
	look_at_secrets(doctor, &configuration->settings);
}

/* Files with secrets in them; .env is the loader's matter. */
void doctor_check_files(struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	const struct {
		const char *name, *path;
	} files[] = {{"HANDLER_TOKEN_FILE", settings->handler_token_file},
		{"BROKER_KEY_FILE", settings->broker_key_file}};
	unsigned good = 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct stat status;
		if (files[i].path[0] == '\0')
			continue;
		if (stat(files[i].path, &status) != 0) {
			doctor_fail(doctor, "%s=%s: %s", files[i].name, files[i].path, strerror(errno));
		} else if (S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)) != 0) {
			doctor_warn(doctor, "%s=%s: others can read it", files[i].name, files[i].path);
			doctor_advise(doctor, "chmod 600 %s", files[i].path);
		} else {
			good++;
		}
	}
	if (good > 0)
		doctor_ok(doctor, "%u %s with secrets that nobody else can read", good,
			good == 1 ? "file" : "files");
	else if (doctor->outcome == DOCTOR_OK)
		doctor_skip(doctor, "there are no token or key files");
}

void doctor_check_limits(struct doctor *doctor)
{
	struct rlimit limit;
	const size_t need =
		doctor->configuration->settings.workers + doctor->routes.lane_count + DESCRIPTORS_SPARE;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		doctor_warn(doctor, "the limit of open files cannot be read: %s", strerror(errno));
	else if (limit.rlim_cur < need) {
		doctor_warn(doctor, "%llu files may be open at once here, and WORKERS=%u may need %zu",
			(unsigned long long)limit.rlim_cur, doctor->configuration->settings.workers, need);
		doctor_advise(doctor,
			"raise it where cashewd is started (ulimit -n, LimitNOFILE=), or lower WORKERS");
	} else {
		doctor_ok(doctor, "%llu files may be open at once, %zu are needed at most",
			(unsigned long long)limit.rlim_cur, need);
	}
}

static void spool_room(struct doctor *doctor, const char *folder, bool there)
{
	const size_t max = doctor->configuration->settings.log_spool_max;
	const char *path = doctor->configuration->settings.log_spool_dir;
	struct statvfs space;
	if (statvfs(folder, &space) != 0) {
		doctor_warn(
			doctor, "LOG_SPOOL_DIR=%s: its free space cannot be read: %s", path, strerror(errno));
		return;
	}
	const uint64_t room = (uint64_t)space.f_bavail * space.f_frsize;
	if (room < max) {
		doctor_warn(doctor,
			"LOG_SPOOL_DIR=%s: %" PRIu64 " MiB are free, LOG_SPOOL_MAX lets it take %zu MiB",
			path, room >> 20, max >> 20);
		doctor_advise(doctor, "make room, choose another disk, or lower LOG_SPOOL_MAX");
	} else {
		doctor_ok(doctor, "LOG_SPOOL_DIR=%s %s, %" PRIu64 " MiB are free", path,
			there ? "can be written to" : "will be made at start", room >> 20);
	}
}

void doctor_check_spool(struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	char parent[4096];
	struct stat status;
	if (settings->loggly_token[0] == '\0') {
		doctor_skip(doctor, "LOGGLY_TOKEN is not set: the log is not shipped");
		return;
	}
	const char *path = settings->log_spool_dir;
	if (path[0] == '\0') {
		doctor_warn(doctor, "LOG_SPOOL_DIR is empty: what cannot be shipped is kept in memory alone");
		doctor_advise(doctor, "set LOG_SPOOL_DIR to a folder of this cashewd's own");
		return;
	}
	const bool there = lstat(path, &status) == 0;
	char doubt[FILE_TRUST_SIZE];
	snprintf(parent, sizeof(parent), "%s", path);
	const char *folder = there ? path : dirname(parent);
	if (there && S_ISDIR(status.st_mode) && file_trust_doubt(&status, doubt)) {
		doctor_fail(doctor, "LOG_SPOOL_DIR=%s is not used: %s", path, doubt);
		doctor_advise(doctor, "give cashewd a folder of its own, which nobody else can write to");
	} else if (there && !S_ISDIR(status.st_mode)) {
		doctor_fail(doctor, "LOG_SPOOL_DIR=%s is not a folder%s", path,
			S_ISLNK(status.st_mode) ? ", but a link" : "");
		doctor_advise(doctor, "name a folder, or a name where one can be made");
	} else if (access(folder, W_OK | X_OK) != 0) {
		doctor_fail(doctor, "LOG_SPOOL_DIR=%s cannot be written to: %s: %s", path, folder,
			strerror(errno));
		doctor_advise(doctor, "let cashewd's user write there, or choose another folder");
	} else {
		spool_room(doctor, folder, there);
	}
}

/* ---- The handler's token ---- */

static void say_times(struct doctor *doctor, const json_t *claims)
{
	const json_t *exp = json_object_get(claims, "exp"), *iat = json_object_get(claims, "iat");
	const int64_t now = (int64_t)time(NULL);
	if (!json_is_integer(exp)) {
		doctor_warn(doctor,
			"the token in HANDLER_TOKEN_FILE has no time at which it ends (exp): examples/broker's plugin refuses it "
			"unless plugin_opt_allow_unexpiring_tokens is on");
		doctor_advise(doctor, "make one with cashew-token handler");
		return;
	}
	int64_t left = 0;
	if (__builtin_sub_overflow(json_integer_value(exp), now, &left))
		left = json_integer_value(exp) < 0 ? -INT64_MAX : INT64_MAX;
	char span[DOCTOR_SPAN_SIZE];
	doctor_span(span, left < 0 ? -left : left);
	if (left <= 0) {
		doctor_fail(doctor, "the token in HANDLER_TOKEN_FILE ended %s ago", span);
		doctor_advise(doctor, "put a fresh one there (cashew-token handler); is the clock right?");
	} else if (json_is_integer(iat) && json_integer_value(iat) > now + TOKEN_LEEWAY_S) {
		doctor_fail(doctor, "the token in HANDLER_TOKEN_FILE begins in %" PRId64 " s",
			(int64_t)json_integer_value(iat) - now);
		doctor_advise(doctor, "set this machine's clock, or that of the one that made the token");
	} else if (left < (int64_t)TOKEN_DAYS_MIN * DAY_S) {
		doctor_warn(doctor, "the token in HANDLER_TOKEN_FILE ends in %s", span);
		doctor_advise(doctor, "put a fresh one there before that: it is read at each connect");
	} else {
		doctor_ok(doctor, "the token in HANDLER_TOKEN_FILE holds for %" PRId64 " days more",
			left / DAY_S);
	}
}

static void look_into(struct doctor *doctor, const char *token)
{
	char reason[TOKEN_REASON_SIZE], *header = NULL, *claims = NULL;
	const int r = token_show(token, strlen(token), &header, &claims, reason);
	json_t *json = r == 0 ? json_loads(claims, 0, NULL) : NULL;
	if (!json) {
		doctor_fail(doctor, "HANDLER_TOKEN_FILE does not hold a token: %s",
			r == TOKEN_E_REFUSED ? reason : "it cannot be read");
		doctor_advise(doctor, "make one with cashew-token handler");
	} else if (!json_is_object(json_object_get(json, "handler"))) {
		doctor_fail(doctor, "the token in HANDLER_TOKEN_FILE is not a handler's: it has no handler "
				    "claim");
		doctor_advise(doctor, "make one with cashew-token handler");
	} else {
		say_times(doctor, json);
	}
	json_decref(json);
	free(header);
	free(claims);
}

/* Whether it is good for more than the handlers need. */
static void say_locked(struct doctor *doctor, const struct settings *settings)
{
	char reason[TOKEN_REASON_SIZE] = "", *token = NULL;
	const char *name, **filters = NULL;
	struct handler_topics topics;
	if (doctor_topics(doctor, &filters, &topics) != 0)
		return;
	const struct token_topics lists = {.subscribe = topics.filters, .subscribe_count = topics.count};
	const int error = token_sign_locked_handler(settings_handler_secret(settings, &name),
		settings->handler_name, &lists, (int64_t)time(NULL), 1, &token, reason);
	if (error == TOKEN_E_REFUSED) {
		doctor_warn(
			doctor, "it is good for all topics, not only for those of the handlers: %s", reason);
		doctor_advise(doctor, "run fewer handlers in one host (HANDLERS)");
	}
	handler_token_free(token);
	free(filters);
}

/* With the time, by which a person sees whether the clock is right. */
static void signed_here(struct doctor *doctor, const struct settings *settings)
{
	char text[CLOCK_ISO_SIZE];
	const char *name;
	(void)settings_handler_secret(settings, &name);
	clock_iso(clock_unix_ms(), text);
	doctor_ok(doctor, "signed with %s for the handler %s, good for %u s; it is %s here", name,
		settings->handler_name, settings->token_lifetime_s, text);
	say_locked(doctor, settings);
	if (settings->jwt_handler_secret[0] != '\0')
		return;
	doctor_warn(doctor,
		"JWT_SECRET signs handlers' tokens: where it signs users' too, whoever gets a handler claim into a user's token acts for all users");
	doctor_advise(doctor,
		"give the broker a secret for handlers' tokens (plugin_opt_handler_secret_file), and this host the same one as JWT_HANDLER_SECRET");
}

void doctor_check_token(struct doctor *doctor)
{
	const struct settings *settings = &doctor->configuration->settings;
	char *token = NULL;
	const char *reason = "";
	if (handler_token(settings, NULL, (int64_t)time(NULL), &token, &reason) != 0) {
		doctor_fail(doctor, "the handler's token cannot be %s: %s",
			settings->handler_token_file[0] != '\0' ? "read from HANDLER_TOKEN_FILE" : "signed",
			reason);
		return;
	}
	if (settings->handler_token_file[0] != '\0')
		look_into(doctor, token);
	else
		signed_here(doctor, settings);
	handler_token_free(token);
}
