/* fake_hosts.c - the stand-in store's leases of hosts: an array, in the order they came. */
#include "fake_store_private.h"
#include <string.h>

struct fake_host {
	char *client_id;
	char *owner; /* NULL: nobody */
	int64_t until_ms;
	int64_t asked_ms; /* in vain */
	struct host_groups groups;
};

void fake_hosts_free_all(struct store *store)
{
	for (size_t i = 0; i < store->hosts_count; i++) {
		free(store->hosts[i].client_id);
		free(store->hosts[i].owner);
		host_groups_free(&store->hosts[i].groups);
	}
	free(store->hosts);
}

static struct fake_host *host_of(struct store *store, const char *client_id)
{
	for (size_t i = 0; i < store->hosts_count; i++)
		if (strcmp(store->hosts[i].client_id, client_id) == 0)
			return &store->hosts[i];
	store->hosts = checked(realloc(store->hosts, (store->hosts_count + 1) * sizeof(store->hosts[0])));
	store->hosts[store->hosts_count] = (struct fake_host){.client_id = fake_text_copy(client_id)};
	return &store->hosts[store->hosts_count++];
}

int host_lease_hold(struct store_client *client, const char *client_id, const char *owner, unsigned lease_ms,
	struct host_lease *ret)
{
	struct host_lease lease = {.ours = false};
	int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_host *host = host_of(client->store, client_id);
	const int64_t now_ms = fake_now_ms(client->store);
	const bool mine = host->owner && strcmp(host->owner, owner) == 0;
	if (host->owner && !mine && host->until_ms > now_ms) {
		lease.free_in_ms = host->until_ms - now_ms;
		host->asked_ms = now_ms;
	} else {
		lease.ours = true;
		lease.taken = !mine;
		lease.awaited = mine && host->asked_ms > now_ms - HOST_STANDBY_SEEN_MS;
		free(host->owner);
		host->owner = fake_text_copy(owner);
		host->until_ms = now_ms + lease_ms;
	}
	error = fake_operation_end(client, 0);
	if (error == 0)
		*ret = lease;
	return error;
}

int host_lease_release(struct store_client *client, const char *client_id, const char *owner)
{
	const int error = fake_operation_begin(client);

	if (error != 0)
		return error;
	struct fake_host *host = host_of(client->store, client_id);
	if (host->owner && strcmp(host->owner, owner) == 0) {
		free(host->owner);
		host->owner = NULL;
	}
	return fake_operation_end(client, 0);
}

/* ---- Groups ---- */

void host_groups_free(struct host_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->names[i]);
	free(groups->names);
	*groups = (struct host_groups){.count = 0};
}

static void add_group(struct host_groups *groups, const char *name)
{
	groups->names = checked(realloc(groups->names, (groups->count + 1) * sizeof(*groups->names)));
	groups->names[groups->count++] = fake_text_copy(name);
}

int host_groups_note(
	struct store_client *client, const char *client_id, const char *group, struct host_groups *ret)
{
	int error = fake_operation_begin(client);
	struct host_groups others = {.count = 0};

	if (error != 0)
		return error;
	struct fake_host *host = host_of(client->store, client_id);
	bool known = group[0] == '\0';
	for (size_t i = 0; i < host->groups.count; i++) {
		if (strcmp(host->groups.names[i], group) == 0)
			known = true;
		else
			add_group(&others, host->groups.names[i]);
	}
	if (!known)
		add_group(&host->groups, group);
	error = fake_operation_end(client, 0);
	if (error == 0)
		*ret = others;
	else
		host_groups_free(&others);
	return error;
}

/* ---- fake_store.h ---- */

const char *fake_store_active_host(struct store *store, const char *client_id)
{
	pthread_mutex_lock(&store->lock);
	const struct fake_host *host = host_of(store, client_id);
	const char *owner = host->until_ms > fake_now_ms(store) ? host->owner : NULL;
	pthread_mutex_unlock(&store->lock);
	return owner;
}
