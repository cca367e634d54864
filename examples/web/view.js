/*
 * What the page shows, made of elements. Whatever came from elsewhere goes through textContent, never through HTML: the name of a contact is a text, even
 * where it looks like a tag. (The server's policy, require-trusted-types-for 'script', has the browser insist on it.)
 */
const COLOURS = {
	red: "#e03e45", yellow: "#f4c430", blue: "#3f7fe0", green: "#4fae4f", black: "#3d3a3f", purple: "#8d4fc4", orange: "#f08a24",
	pink: "#f08fb1", white: "#f4efe4", brown: "#96603a", gold: "#dba520", gray: "#9a9a9a", silver: "#c3c8ce", turquoise: "#2bb8b0",
};
const UNKNOWN_COLOUR = "#b9a992";
const AVATARS = 6;

export const element = (id) => document.getElementById(id);

/* make("p", {className, ..}, child..): properties, and aria-* as `label`. */
export function make(name, { label, ...properties } = {}, ...children) {
	const made = Object.assign(document.createElement(name), properties);
	if (label) made.setAttribute("aria-label", label);
	made.append(...children);
	return made;
}

export function show(id, shown) {
	element(id).hidden = !shown;
}

export function say(id, text) {
	if (element(id).textContent !== text) element(id).textContent = text;
}

export function appleOf(colour) {
	const apple = element("apple").content.firstElementChild.cloneNode(true);
	apple.style.color = Object.hasOwn(COLOURS, colour) ? COLOURS[colour] : UNKNOWN_COLOUR;
	return apple;
}

export function appleItem(colour, number) {
	const item = make("li", {}, appleOf(colour), make("span", { textContent: colour }));
	item.style.setProperty("--number", number);
	return item;
}

export function dressAvatar(avatar, name) {
	let sum = 0;
	for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 997;
	avatar.className = `avatar tone-${sum % AVATARS}`;
	avatar.textContent = [...name][0]?.toUpperCase() ?? "?";
	return avatar;
}

const avatarOf = (name) => dressAvatar(make("span", { ariaHidden: "true" }), name);

export function userItem(name, onChosen) {
	const button = make("button", { type: "button", value: name, onclick: () => onChosen(name) }, avatarOf(name), make("span", { className: "name", textContent: name }));
	return make("li", {}, button);
}

/* buttons: [[text, what a screen reader says, class, called when it is pressed], ..] */
export function personItem(name, note, className, buttons) {
	const words = make("span", { className: "words" }, make("span", { className: "name", textContent: name }), make("span", { className: "soft", textContent: note }));
	const item = make("li", { className }, avatarOf(name), words);
	const row = make("span", { className: "row" });
	for (const [textContent, label, className, onclick] of buttons) row.append(make("button", { type: "button", textContent, label, className, onclick }));
	if (buttons.length > 0) item.append(row);
	return item;
}

const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/* A line of the log: what it is, in which direction, with what. Its parts are there to be changed later. */
export class LogLine {
	constructor({ outward, name, payload, at }) {
		this.note = make("span", { className: "note" });
		const text = payload === undefined ? "(not JSON)" : JSON.stringify(payload);
		this.item = make("li", { className: outward ? "out" : "in" },
			make("span", { className: "arrow", ariaHidden: "true", textContent: outward ? "↑" : "↓" }),
			make("span", { className: "what" },
				make("span", { className: "sr", textContent: outward ? "sent: " : "came: " }),
				make("code", { textContent: name }), this.note,
				make("span", { className: "payload", textContent: text.length > 300 ? `${text.slice(0, 300)}…` : text })),
			make("time", { textContent: clock(at) }));
	}

	mark(className, text) {
		this.note.className = `note ${className}`;
		this.note.textContent = text;
	}
}
