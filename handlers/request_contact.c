/*
 * request_contact - the sender asks another user, {"contact_id": "23412"}, to be a contact.
 *
 * The request is stored, and the other user is sent contact_requested {"user_id": sender}. Those who are
 * contacts already need no request, and when the other user had asked too, both want it and become contacts
 * at once: in both cases both are sent contact_approved {"contact_id": the other}. Asking twice leaves one
 * request. Asking oneself is rejected.
 */
#include <cashew.h>
#include <cashew_store.h>
#include <string.h>

/* 0 when a and b are in each other's list. One way only is a half-done accept or remove, whose command will be run again. */
static int find_both_ways(struct store_client *store, const char *a, const char *b)
{
	const int error = contact_find(store, a, b);
	return error ? error : contact_find(store, b, a);
}

static cashew_result tell_both(cashew_command *cmd, const char *me, const char *contact)
{
	CASHEW_TRY(cashew_send_json(cmd, contact, "contact_approved", json_pack("{s:s}", "contact_id", me)));
	return cashew_reply_json(cmd, "contact_approved", json_pack("{s:s}", "contact_id", contact));
}

static cashew_result request_contact(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *contact = NULL;
	CASHEW_TRY(cashew_user_id(cmd, "contact_id", &contact));
	if (strcmp(contact, me) == 0)
		return cashew_reject(cmd, "contact_id is your own user id: expected another user's");
	struct store_client *store = cashew_store(cmd);

	/*
	 * Insert first, look then: accept_contact, which may be running at the same time, adds the contact
	 * before it removes the request. So either it removes this request, or its contact is seen here: no
	 * request outlives its contact. And of two users who ask each other at once, at least the one who
	 * looks last sees the other's request.
	 */
	CASHEW_TRY(cashew_stored(cmd, contact_request_add(store, me, contact)));

	const int reverse_error = contact_request_find(store, contact, me);
	if (reverse_error == 0) {
		/* the other's request goes last: while it is there, a redelivery after a crash comes through here again */
		CASHEW_TRY(cashew_stored(cmd, contact_add(store, me, contact)));
		CASHEW_TRY(cashew_stored(cmd, contact_request_remove(store, me, contact)));
		CASHEW_TRY(cashew_stored(cmd, contact_request_remove(store, contact, me)));
		CASHEW_TRY(cashew_send_json(
			cmd, contact, "contact_requested", json_pack("{s:s}", "user_id", me)));
		return tell_both(cmd, me, contact);
	}
	if (reverse_error != STORE_E_NOT_FOUND)
		return cashew_stored(cmd, reverse_error);

	const int contact_error = find_both_ways(store, me, contact);
	if (contact_error == 0) {
		/* both, because this may be the redelivery of a command that made them contacts and told nobody */
		CASHEW_TRY(cashew_stored(cmd, contact_request_remove(store, me, contact)));
		return tell_both(cmd, me, contact);
	}
	if (contact_error != STORE_E_NOT_FOUND)
		return cashew_stored(cmd, contact_error);
	return cashew_send_json(cmd, contact, "contact_requested", json_pack("{s:s}", "user_id", me));
}

CASHEW_HANDLER(.topic = "+/request_contact", .handle = request_contact,
	.collections = "contacts, contact_requests");
