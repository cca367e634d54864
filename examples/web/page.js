/*
 * The page: who is logged in, the basket, the contacts, and what has been said. device.js has the connection, view.js what is seen.
 *
 * What is shown is what cashewd has said. A list of contacts is asked for whenever something may have changed it: at each connection, at each event about
 * contacts, and together with each command about them, whose own event goes to the other one.
 */
import { Device } from "./device.js";
import { LogLine, appleItem, appleOf, dressAvatar, element, personItem, say, show, userItem } from "./view.js";

const LOG_LINES = 60;
const SENT_KNOWN = 200;
const APPLES_SHOWN = 60;
const LISTS = [["get_contact_requests", {}], ["get_contact_list", {}]];
const LIST_EVENTS = ["contact_requests", "contact_list"];
const NEWS = ["contact_requested", "contact_approved", "contact_declined", "contact_removed"];
const REMEMBERED = "user"; // in this window alone, and no token

let demo; // {broker, users}
let me = null; // what there is of who is logged in

/* ---- Who one is ---- */

async function tokenOf(user) {
	const answer = await fetch("/token", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user }) });
	if (!answer.ok) throw new Error("there is no token to be had");
	return (await answer.json()).token;
}

function logIn(user) {
	sessionStorage.setItem(REMEMBERED, user);
	me = { user, baskets: new Map(), contacts: [], requests: [], asked: new Set(), sent: new Map(), state: {}, everReady: false };
	dressAvatar(element("my-avatar"), user);
	say("my-name", user);
	document.title = `${user} · Apples and friends`;
	element("others").replaceChildren(...demo.users.filter((name) => name !== user).map((name) => new Option(name)));
	element("apples").replaceChildren();
	element("log").replaceChildren();
	show("login", false);
	show("home", true);
	tell("");
	showWaiting([]);
	me.device = new Device({
		broker: demo.broker, user, fetchToken: () => tokenOf(user), onState, onEvent, onSent, onAnswered, onWaiting: showWaiting,
	});
	showBasket();
	showContacts();
}

function logOut(why = "") {
	me?.device.end();
	me = null;
	sessionStorage.removeItem(REMEMBERED);
	document.title = "Apples and friends";
	show("home", false);
	show("login", true);
	show("login-problem", why !== "");
	say("login-problem", why);
}

/* ---- The connection ---- */

function onState(state) {
	if (state.state === "refused") return logOut(`The broker does not let you in: ${state.why}`);
	me.state = state;
	me.failures = state.state === "lost" ? (me.failures ?? 0) + 1 : me.failures;
	if (state.state === "ready") {
		me.everReady = true;
		me.failures = 0;
		me.device.send(LISTS, "contact_list"); // what came while there was no connection
	}
	showState();
}

function showState() {
	if (!me) return;
	const { state, retryAt, why } = me.state;
	element("state").className = `pill ${state}`;
	say("state", { connecting: "Connecting", ready: "Connected", lost: "Offline" }[state] ?? "");
	show("banner", me.failures > 0);
	show("now", state === "lost");
	show("banner-hint", !me.everReady && me.failures > 1);
	if (!me.failures) return;
	const left = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
	if (why) me.why = why;
	const what = me.everReady ? "The connection is lost" : "There is no connection";
	say("banner-text", `${what}: ${me.why}.`);
	say("banner-when", state === "lost" ? `Next try in ${left} s.` : "Trying again …"); // not read out, each second
}

/* ---- What goes out ---- */

function addLine(line) {
	element("log").prepend(line.item);
	while (element("log").childElementCount > LOG_LINES) element("log").lastElementChild.remove();
	show("no-log", false);
}

function onSent({ id, commands, tries }) {
	const before = me.sent.get(id);
	if (before) {
		before.line.mark("again", `sent ${tries} times`);
		return;
	}
	const [name, payload] = commands[0];
	const line = new LogLine({ outward: true, name, payload, at: Date.now() });
	const quiet = commands === LISTS;
	me.sent.set(id, { line, quiet, sentAt: performance.now(), about: payload.contact_id });
	if (me.sent.size > SENT_KNOWN) me.sent.delete(me.sent.keys().next().value);
	if (!quiet) addLine(line);
}

function onAnswered({ id, tries }) {
	const { line, sentAt } = me.sent.get(id) ?? {};
	line?.mark("fast", `✓ ${tries > 1 ? `sent ${tries} times` : tookText(performance.now() - sentAt)}`);
}

function showWaiting(waiting) {
	const names = [...new Set(waiting.map(({ names }) => names[0]))].join(", ");
	// What is answered within a moment need not flicker.
	clearTimeout(showWaiting.timer);
	const text = waiting.length === 0 ? "" : `Waits for an answer: ${names}`;
	showWaiting.timer = setTimeout(() => say("waits", text), text ? 400 : 0);
}

const aboutContact = (command, contact_id) => me.device.send([[command, { contact_id }], ...LISTS], "contact_list");

function askFor(name) {
	tell("");
	if (!/^[A-Za-z0-9._|-]{1,64}$/.test(name)) return tell("A user id is 1 to 64 of A-Z a-z 0-9 . _ | -");
	if (name === me.user) return tell("That is you.");
	me.asked.add(name);
	aboutContact("request_contact", name);
	showContacts();
}

function tell(problem) {
	show("problem", problem !== "");
	say("problem", problem);
}

/* ---- What comes ---- */

function onEvent({ event, payload, id }) {
	const at = Date.now();
	const sent = me.sent.get(id);
	// The lists that the page asks for by itself would hide what happens.
	if (!sent || !LIST_EVENTS.includes(event)) addLine(new LogLine({ outward: false, name: event, payload, at }));
	if (event === "got_apples") takeApples(payload, id);
	else if (event === "contact_list") takeContacts(payload);
	else if (event === "contact_requests") me.requests = listOf(payload?.contact_requests, "user_id");
	else if (event === "contact_declined") takeDeclined(payload);
	else if (event === "command_rejected") takeBadEnd(payload, payload?.reason, sent);
	else if (event === "command_failed") takeBadEnd(payload, "it can not be done", sent);
	if (NEWS.includes(event)) me.device.send(LISTS, "contact_list");
	showContacts();
}

const tookText = (ms) => (ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`);

/* Only what has the form that is expected, whoever has sent it. */
const listOf = (list, member) => (Array.isArray(list) ? list.filter((entry) => typeof entry?.[member] === "string") : []);

function takeApples(colours, id) {
	if (!Array.isArray(colours)) return;
	// An event may come twice.
	const key = `${id} ${JSON.stringify(colours)}`;
	if (me.baskets.has(key)) return;
	me.baskets.set(key, colours.length);
	const items = colours.map((colour, number) => appleItem(String(colour), number));
	element("apples").append(...items);
	while (element("apples").childElementCount > APPLES_SHOWN) element("apples").firstElementChild.remove();
	showBasket();
}

function takeContacts(payload) {
	me.contacts = listOf(payload?.contacts, "contact_id");
	for (const { contact_id } of me.contacts) me.asked.delete(contact_id);
}

function takeDeclined(payload) {
	if (!me.asked.delete(payload?.contact_id)) return;
	tell(`${payload.contact_id} does not want to be your contact.`);
}

function takeBadEnd(payload, reason, sent) {
	if (payload?.command === "request_contact") me.asked.delete(sent?.about);
	tell(`${payload?.command}: ${reason}`);
}

function showBasket() {
	const count = [...me.baskets.values()].reduce((sum, more) => sum + more, 0);
	say("basket-count", count === 0 ? "" : `${count} ${count === 1 ? "apple" : "apples"}`);
	show("no-apples", count === 0);
	show("apples", count > 0);
}

const since = (text) => {
	const at = new Date(text);
	return Number.isNaN(at.getTime()) ? "contact" : `since ${at.toLocaleDateString([], { day: "numeric", month: "long", year: "numeric" })}`;
};

function showContacts() {
	if (!me) return;
	element("requests").replaceChildren(...me.requests.map(({ user_id }) => personItem(user_id, "wants to be your contact", "request", [
		["Accept", `Accept ${user_id}`, "main", () => aboutContact("accept_contact", user_id)],
		["Decline", `Decline ${user_id}`, "", () => aboutContact("decline_contact", user_id)],
	])));
	const contacts = me.contacts.map(({ contact_id, since: text }) => personItem(contact_id, since(text), "", [
		["Remove", `Remove ${contact_id}`, "plain", () => aboutContact("remove_contact", contact_id)],
	]));
	const asked = [...me.asked].map((name) => personItem(name, "asked, no answer yet", "asked", []));
	element("contacts").replaceChildren(...contacts, ...asked);
	const count = me.contacts.length;
	say("contacts-count", count === 0 ? "" : String(count));
	show("no-contacts", count + me.asked.size + me.requests.length === 0);
}

/* ---- The beginning ---- */

function wire() {
	element("get-apples").onclick = () => me.device.send([["get_apples", {}]], "got_apples");
	element("get-more").onclick = () => me.device.send([["get_more_apples", {}]], "got_apples");
	element("logout").onclick = () => logOut();
	element("now").onclick = () => me.device.connectNow();
	element("ask").onsubmit = (event) => {
		event.preventDefault();
		askFor(element("ask-name").value.trim());
		element("ask").reset();
	};
	// A phone that wakes up, or has a network again, does not wait for the next try.
	addEventListener("online", () => me?.device.connectNow());
	document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && me?.device.connectNow());
	setInterval(showState, 1000);
}

async function begin() {
	element("no-apples").prepend(appleOf(""));
	element("orchard").append(...["green", "red", "yellow"].map(appleOf));
	demo = await (await fetch("/demo.json")).json();
	element("users").replaceChildren(...demo.users.map((name) => userItem(name, logIn)));
	element("banner-link").href = demo.broker.replace(/^wss:/, "https:");
	wire();
	const user = sessionStorage.getItem(REMEMBERED);
	if (demo.users.includes(user)) logIn(user);
	else logOut();
}

begin();
