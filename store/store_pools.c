/* store_pools.c - see store_pools.h. */
#include "store_pools.h"

#include "certificate.h"
#include "clock.h"
#include "small_file.h"
#include "store_client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SETTLE_MS = 400, REFUSED_AGAIN_MS = 60000, FILE_SIZE_MAX = 4194304 };

static const char *const options[STORE_POOLS_FILES] = {
	MONGOC_URI_TLSCAFILE, MONGOC_URI_TLSCERTIFICATEKEYFILE};

static void free_uri(mongoc_uri_t **uri)
{
	mongoc_uri_destroy(*uri);
}

/* ---- A pool's own files ---- */

/* A copy in memory, from its beginning. */
static int copy_bytes(const char *bytes, size_t size, int *ret_fd)
{
	const int fd = memfd_create("cashewd-certificates", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < size;) {
		const ssize_t written = write(fd, bytes + done, size - done);

		if (written < 0) {
			const int error = -errno;

			close(fd);
			return error;
		}
		done += (size_t)written;
	}
	*ret_fd = fd;
	return 0;
}

/* The driver gets a copy by its descriptor's name, since some versions read the file for each connection and others once: what works
 * is not to be spoiled by what is put into its place. */
static int copy_file(
	struct store_pool *pool, size_t i, mongoc_uri_t *uri, char message[static STORE_MESSAGE_SIZE])
{
	const char *path = mongoc_uri_get_option_as_utf8(uri, options[i], NULL);
	char name[32];
	char *bytes;
	size_t size;
	int64_t ends_s;

	if (!path)
		return 0;
	int error = small_file_read(path, FILE_SIZE_MAX, &bytes, &size);
	if (error != 0) {
		snprintf(message, STORE_MESSAGE_SIZE, "the database URL's %s, %s, cannot be read: %s",
			options[i], path, small_file_explain(error));
		return error == -ENOMEM || error == -EMFILE || error == -ENFILE ? error : STORE_E_PERMANENT;
	}
	error = copy_bytes(bytes, size, &pool->files[i]);
	small_file_free(bytes, size);
	if (error != 0)
		return error;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", pool->files[i]);
	if (certificate_ends(name, &ends_s) == CERTIFICATE_E_NONE) {
		snprintf(message, STORE_MESSAGE_SIZE, "the database URL's %s, %s, holds no certificate",
			options[i], path);
		return STORE_E_PERMANENT;
	}
	return mongoc_uri_set_option_as_utf8(uri, options[i], name) ? 0 : -ENOMEM;
}

/* ---- Pools ---- */

void store_pools_free(struct store_pool *list)
{
	for (struct store_pool *next; list; list = next) {
		next = list->next;
		if (list->clients > 0)
			abort();
		if (list->driver)
			mongoc_client_pool_destroy(list->driver);
		for (size_t i = 0; i < STORE_POOLS_FILES; i++)
			if (list->files[i] >= 0)
				close(list->files[i]);
		free(list);
	}
}

static int make_driver(
	struct store_pools *pools, struct store_pool *pool, char message[static STORE_MESSAGE_SIZE])
{
	__attribute__((cleanup(free_uri))) mongoc_uri_t *uri = mongoc_uri_copy(pools->uri);
	bson_error_t error;

	for (size_t i = 0; i < STORE_POOLS_FILES; i++) {
		const int r = copy_file(pool, i, uri, message);

		if (r != 0)
			return r;
	}
	pool->driver = mongoc_client_pool_new_with_error(uri, &error);
	if (!pool->driver) {
		const bool lookup = mongoc_uri_get_srv_hostname(uri);

		snprintf(message, STORE_MESSAGE_SIZE, "%s: %s",
			lookup ? "the name in the database URL could not be looked up"
			       : "the database URL is not valid",
			error.message);
		return lookup ? STORE_E_AWAY : STORE_E_PERMANENT;
	}
	mongoc_client_pool_max_size(pool->driver, pools->size);
	(void)mongoc_client_pool_set_error_api(pool->driver, MONGOC_ERROR_API_VERSION_2);
	store_waits_observe(pool->driver);
	return 0;
}

static int pool_new(
	struct store_pools *pools, struct store_pool **ret, char message[static STORE_MESSAGE_SIZE])
{
	struct store_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	for (size_t i = 0; i < STORE_POOLS_FILES; i++)
		pool->files[i] = -1;
	const int error = make_driver(pools, pool, message);
	if (error != 0)
		store_pools_free(pool);
	else
		*ret = pool;
	return error;
}

/* ---- Files ---- */

/* Whether there are any, and all of them can be found. */
static bool take_stamps(const mongoc_uri_t *uri, struct store_stamps *ret)
{
	bool any = false, all = true;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < STORE_POOLS_FILES; i++) {
		const char *path = mongoc_uri_get_option_as_utf8(uri, options[i], NULL);
		struct stat is;

		if (!path)
			continue;
		any = true;
		if (stat(path, &is) < 0) {
			all = false;
			continue;
		}
		ret->of[i].device = is.st_dev;
		ret->of[i].inode = is.st_ino;
		ret->of[i].size = is.st_size;
		ret->of[i].modified = is.st_mtim;
		ret->of[i].changed = is.st_ctim;
	}
	return any && all;
}

static bool same_time(struct timespec one, struct timespec other)
{
	return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

static bool same(const struct store_stamps *one, const struct store_stamps *other)
{
	for (size_t i = 0; i < STORE_POOLS_FILES; i++)
		if (one->of[i].device != other->of[i].device || one->of[i].inode != other->of[i].inode ||
			one->of[i].size != other->of[i].size ||
			!same_time(one->of[i].modified, other->of[i].modified) ||
			!same_time(one->of[i].changed, other->of[i].changed))
			return false;
	return true;
}

/* ---- Renewal ---- */

/* With certificates, user and password: by a connection of its own. */
static bool answers_by(struct store_pool *pool, char message[static STORE_MESSAGE_SIZE])
{
	mongoc_client_t *client = mongoc_client_pool_pop(pool->driver);
	bson_t command = BSON_INITIALIZER;
	bson_error_t error;

	BSON_APPEND_INT32(&command, "ping", 1);
	const bool ok = mongoc_client_command_simple(client, "admin", &command, NULL, NULL, &error);
	if (!ok)
		snprintf(message, STORE_MESSAGE_SIZE, "%s", error.message);
	bson_destroy(&command);
	mongoc_client_pool_push(pool->driver, client);
	return ok;
}

struct store_pool *store_pools_renewed(
	struct store_pools *pools, bool answers, bool *ret_refused, char message[static STORE_MESSAGE_SIZE])
{
	struct store_stamps now;
	struct store_pool *fresh = NULL;
	const bool complete = take_stamps(pools->uri, &now);
	const int64_t now_ms = clock_ms();
	/* Two files that belong together are not renewed in the same moment. */
	const bool settled = same(&now, &pools->seen) && now_ms - pools->seen_ms >= SETTLE_MS;
	const bool again = same(&now, &pools->refused);

	*ret_refused = false;
	if (!same(&now, &pools->seen)) {
		pools->seen = now;
		pools->seen_ms = now_ms;
	}
	if (!complete || !settled || same(&now, &pools->used) ||
		(answers && again && now_ms < pools->again_at_ms))
		return NULL;
	const int error = pool_new(pools, &fresh, message);
	if (error == 0 && answers_by(fresh, message)) {
		pools->used = now;
		return fresh;
	}
	store_pools_free(fresh);
	/* Its name cannot be looked up now, or there is no memory. While nothing answers it may as well be the server's fault. */
	if (error < 0 || error == STORE_E_AWAY || !answers)
		return NULL;
	*ret_refused = !again;
	pools->refused = now;
	pools->again_at_ms = now_ms + REFUSED_AGAIN_MS;
	return NULL;
}

void store_pools_replace(struct store_pools *pools, struct store_pool *fresh)
{
	pools->current->next = pools->retired;
	pools->retired = pools->current;
	pools->current = fresh;
}

struct store_pool *store_pools_done(struct store_pools *pools)
{
	struct store_pool *done = NULL;

	for (struct store_pool **at = &pools->retired; *at;) {
		struct store_pool *pool = *at;

		if (pool->clients > 0) {
			at = &pool->next;
			continue;
		}
		*at = pool->next;
		pool->next = done;
		done = pool;
	}
	return done;
}

/* ---- Life ---- */

int store_pools_open(struct store_pools *pools, const mongoc_uri_t *uri, unsigned size,
	char message[static STORE_MESSAGE_SIZE])
{
	*pools = (struct store_pools){.uri = uri, .size = size};
	/* Before the driver may read them. */
	(void)take_stamps(uri, &pools->used);
	return pool_new(pools, &pools->current, message);
}

void store_pools_close(struct store_pools *pools)
{
	store_pools_free(pools->current);
	store_pools_free(pools->retired);
}

struct store_pool *store_pools_join(struct store_pools *pools)
{
	pools->current->clients++;
	return pools->current;
}

void store_pools_leave(struct store_pool *pool, mongoc_client_t *client)
{
	if (client)
		mongoc_client_pool_push(pool->driver, client);
	pool->clients--;
}
