// Prints what the parser has against the document, and exits with 1 if that is an error; or if it takes a document that is none.
const { readFileSync } = require("fs");
const { Parser } = require("@asyncapi/parser");

const errors = async (text) => (await new Parser().parse(text)).diagnostics.filter((diagnostic) => diagnostic.severity === 0);

async function main() {
	const text = readFileSync(process.argv[2], "utf8");
	const found = await errors(text);
	for (const { message, path } of found) console.error(`${path.join(".")}: ${message}`);
	const { document } = await new Parser().parse(text);
	const counted = document ? document.operations().length : 0;
	const broken = JSON.parse(text);
	delete broken.info.title;
	if ((await errors(JSON.stringify(broken))).length === 0) found.push("a document without a title was taken");
	console.log(`${counted} operations, ${found.length} errors`);
	return found.length > 0 || counted === 0 ? 1 : 0;
}

main().then((code) => process.exit(code));
