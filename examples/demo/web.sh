# shellcheck shell=bash
# The page of examples/demo/run --web, which sources this: examples/web has it. Anybody on this machine may be any of these users.
#
# Of the demo's variables this reads project, state, build and web_users.
# shellcheck disable=SC2154

web_needed() { # before anything is started
	local text
	text=$("$project/examples/web/fetch" --check "$build/web" 2>&1) || {
		printf 'examples/demo/run: --web: %s\n' "$text" >&2
		exit 69
	}
}

start_web() {
	local user users=()
	begin "fetching mqtt.js"
	# It is the part "web" for as long as it takes.
	start web "$state/web.log" "$project/examples/web/fetch" "$build/web"
	finish web || fail "mqtt.js could not be fetched" "$state/web.log"
	for user in "${web_users[@]}"; do
		users+=(--user "$user")
	done
	rm -f -- "$state/web.env"
	start web "$state/web.log" python3 "$project/examples/web/server" --broker "wss://localhost:$BROKER_WEB_PORT" --bundle "$build/web/mqtt.min.js" \
		--certificates "$state/broker/certificates" --tokens "$state/tokens" "${users[@]}" --ready "$state/web.env"
	await_file web "$state/web.env" 30 "$state/web.log"
	# shellcheck source=/dev/null
	source "$state/web.env"
	end "the page is ready"
}

tell_web() {
	line "the page: $WEB_URL"
	printf '%s\n' "Your browser does not know who has signed its certificate. Either go on at its warning (Advanced, Proceed to localhost); Firefox then wants" \
		"that at https://localhost:$BROKER_WEB_PORT, too. Or give it the authority, whose key is thrown away, so that it signs nothing else:" \
		"    $BROKER_CA_FILE" \
		"Open the page in two windows, log in as two users, and let them meet."
}
