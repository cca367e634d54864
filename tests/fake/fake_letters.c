/* fake_letters.c - the stand-in store's dead letters: an array in the order they came. */
#include "fake_store_private.h"
#include <string.h>

/* ---- copies ---- */

static struct dead_letter *copy_of(const struct dead_letter *letter)
{
	struct dead_letter *copy = checked(calloc(1, sizeof(*copy)));

	*copy = *letter;
	copy->topic = fake_text_copy(letter->topic);
	copy->payload = fake_bytes_copy(letter->payload, letter->payload_size);
	copy->correlation =
		letter->correlation ? fake_bytes_copy(letter->correlation, letter->correlation_size) : NULL;
	copy->response_topic = letter->response_topic ? fake_text_copy(letter->response_topic) : NULL;
	copy->user = fake_text_copy(letter->user);
	copy->handler = fake_text_copy(letter->handler);
	copy->reason = fake_text_copy(letter->reason);
	copy->host = fake_text_copy(letter->host);
	return copy;
}

void dead_letter_free(struct dead_letter *letter)
{
	if (!letter)
		return;
	fake_forget(letter->topic);
	fake_forget(letter->payload);
	fake_forget(letter->correlation);
	fake_forget(letter->response_topic);
	fake_forget(letter->user);
	fake_forget(letter->handler);
	fake_forget(letter->reason);
	fake_forget(letter->host);
	free(letter);
}

void fake_letters_free_all(struct store *store)
{
	for (size_t i = 0; i < store->letters_count; i++)
		dead_letter_free(store->letters[i]);
	free(store->letters);
}

/* ---- store.h ---- */

struct store_id store_new_id(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static unsigned next;
	struct store_id id = {{0}};

	pthread_mutex_lock(&lock);
	const unsigned number = ++next;
	pthread_mutex_unlock(&lock);
	memcpy(id.bytes, &number, sizeof(number));
	return id;
}

/* letters_count where there is none. */
static size_t place_of(const struct store *store, const struct store_id *id)
{
	size_t place = 0;

	while (place < store->letters_count &&
		memcmp(store->letters[place]->id.bytes, id->bytes, sizeof(id->bytes)) != 0)
		place++;
	return place;
}

int dead_letter_add(struct store_client *client, const struct dead_letter *letter)
{
	struct store *store = client->store;
	struct dead_letter *copy;
	const int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	if (place_of(store, &letter->id) < store->letters_count)
		return fake_operation_end(client, 0);
	copy = copy_of(letter);
	copy->when_ms = fake_now_ms(store);
	copy->expires_ms =
		letter->keep_days > 0 ? copy->when_ms + (int64_t)letter->keep_days * 24 * 3600 * 1000 : 0;
	store->letters =
		checked(realloc(store->letters, (store->letters_count + 1) * sizeof(store->letters[0])));
	store->letters[store->letters_count++] = copy;
	return fake_operation_end(client, 0);
}

static bool asked_for(const struct dead_letter *letter, const struct dead_letter_query *query)
{
	return (!query->handler || strcmp(letter->handler, query->handler) == 0) &&
	       (!query->user || strcmp(letter->user, query->user) == 0) &&
	       (query->since_ms == 0 || letter->when_ms >= query->since_ms) &&
	       (query->until_ms == 0 || letter->when_ms <= query->until_ms);
}

static size_t copy_asked_for(
	const struct store *store, const struct dead_letter_query *query, struct dead_letter **copies)
{
	size_t count = 0;

	for (size_t i = 0; i < store->letters_count; i++) {
		const struct dead_letter *letter =
			store->letters[query->oldest_first ? i : store->letters_count - 1 - i];

		if (!asked_for(letter, query))
			continue;
		if (query->limit > 0 && count == query->limit)
			break;
		copies[count] = copy_of(letter);
		if (query->no_payload) {
			fake_forget(copies[count]->payload);
			fake_forget(copies[count]->correlation);
			fake_forget(copies[count]->response_topic);
			copies[count]->payload = copies[count]->correlation = NULL;
			copies[count]->payload_size = copies[count]->correlation_size = 0;
			copies[count]->response_topic = NULL;
		}
		count++;
	}
	return count;
}

int dead_letter_list(struct store_client *client, const struct dead_letter_query *query,
	dead_letter_visitor visit, void *context)
{
	struct dead_letter **copies;
	bool more = true;
	size_t count;
	int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	copies = checked(calloc(client->store->letters_count + 1, sizeof(*copies)));
	count = copy_asked_for(client->store, query, copies);
	r = fake_operation_end(client, 0);
	for (size_t i = 0; i < count; i++) {
		more = more && r == 0 && visit(copies[i], context);
		dead_letter_free(copies[i]);
	}
	free(copies);
	return r;
}

int dead_letter_count(struct store_client *client, const struct dead_letter_query *query, uint64_t *ret_count)
{
	uint64_t count = 0;
	int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	for (size_t i = 0; i < client->store->letters_count; i++)
		if (asked_for(client->store->letters[i], query))
			count++;
	r = fake_operation_end(client, 0);
	if (r == 0)
		*ret_count = count;
	return r;
}

int dead_letter_get(struct store_client *client, const struct store_id *id, struct dead_letter **ret_letter)
{
	struct store *store = client->store;
	struct dead_letter *copy;
	size_t place;
	int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	place = place_of(store, id);
	if (place == store->letters_count)
		return fake_operation_end(client, STORE_E_NOT_FOUND);
	copy = copy_of(store->letters[place]);
	r = fake_operation_end(client, 0);
	if (r == 0)
		*ret_letter = copy;
	else
		dead_letter_free(copy);
	return r;
}

static void remove_at(struct store *store, size_t place)
{
	dead_letter_free(store->letters[place]);
	store->letters_count--;
	memmove(&store->letters[place], &store->letters[place + 1],
		(store->letters_count - place) * sizeof(store->letters[0]));
}

int dead_letter_drop(struct store_client *client, const struct store_id *id)
{
	struct store *store = client->store;
	size_t place;
	const int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	place = place_of(store, id);
	if (place == store->letters_count)
		return fake_operation_end(client, STORE_E_NOT_FOUND);
	remove_at(store, place);
	return fake_operation_end(client, 0);
}

int dead_letter_drop_all(
	struct store_client *client, const struct dead_letter_query *query, uint64_t *ret_count)
{
	struct store *store = client->store;
	uint64_t count = 0;
	int r = fake_operation_begin(client);

	if (r != 0)
		return r;
	for (size_t i = store->letters_count; i-- > 0;) {
		if (!asked_for(store->letters[i], query))
			continue;
		remove_at(store, i);
		count++;
	}
	r = fake_operation_end(client, 0);
	if (r == 0)
		*ret_count = count;
	return r;
}

/* ---- fake_store.h ---- */

size_t fake_store_dead_letters(struct store *store)
{
	size_t count;

	pthread_mutex_lock(&store->lock);
	count = store->letters_count;
	pthread_mutex_unlock(&store->lock);
	return count;
}

const struct dead_letter *fake_store_dead_letter(struct store *store, size_t i)
{
	const struct dead_letter *letter;

	pthread_mutex_lock(&store->lock);
	letter = i < store->letters_count ? store->letters[i] : NULL;
	pthread_mutex_unlock(&store->lock);
	return letter;
}

void fake_letters_dump(struct store *store, FILE *out)
{
	for (size_t i = 0; i < store->letters_count; i++)
		fprintf(out, "dead_letters %s, handler \"%s\": %s\n", store->letters[i]->topic,
			store->letters[i]->handler, store->letters[i]->reason);
}
