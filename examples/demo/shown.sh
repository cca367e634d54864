# shellcheck shell=bash
# What examples/demo/run shows: lines with the seconds since its start, and on a terminal what it waits for, with its progress, and at the end what
# came of it. It sources this.
#
# Of its variables this reads state, install and project.
# shellcheck disable=SC2154

terminal=no
[[ ! -t 1 || -n ${CI:-} || ${TERM:-dumb} == dumb ]] || terminal=yes
doing='' told_at=0 ticked_at=0

line() { # line TEXT: with the seconds since the start
	[[ $terminal == no ]] || printf '\r\e[K'
	printf '[%3d s] %s\n' "$SECONDS" "$1"
}

begin() { # begin TEXT: what is being waited for from now on
	doing=$1 told_at=$SECONDS ticked_at=$SECONDS
	if [[ $terminal == yes ]]; then
		printf '\r\e[K[%3d s] %s ..' "$SECONDS" "$doing"
	else
		line "$doing .."
	fi
}

declare -A told_of=()
relay() { # relay FILE BEGINNING: lines of a part's that begin so and that nobody has seen yet, as lines of ours
	local lines text
	[[ -s $1 ]] || return 0
	mapfile -t -s "${told_of[$1]:-0}" lines <"$1"
	told_of[$1]=$((${told_of[$1]:-0} + ${#lines[@]}))
	for text in "${lines[@]}"; do
		[[ $text != "$2"* ]] || line "${text#database: }"
	done
}

tick() { # tick [PART]: called several times a second while waiting
	# How much is being fetched, and how to be rid of it.
	relay "$state/packages.said" ''
	relay "$state/database.log" 'database: installing'
	((SECONDS > ticked_at)) || return 0
	ticked_at=$SECONDS
	if [[ $terminal == yes ]]; then
		# Where it is longer than the terminal is wide, the terminal shows its beginning; it must not go on in a second line.
		printf '\r\e[K\e[?7l[%3d s] %s .. %s\e[?7h' "$SECONDS" "$doing" "$(progress_of "${1:-}")"
	elif ((SECONDS >= told_at + 10)); then
		told_at=$SECONDS
		line "still $doing .. $(progress_of "${1:-}")"
	fi
}

progress_of() { # progress_of PART: how far it is, where its log tells
	case $1 in
	build) tail -n 1 -- "$state/build.log" | sed -n 's/^\[\([0-9]*\)\/\([0-9]*\)\].*/\1 of \2/p' ;;
	database | packages) tail -n 1 -- "$state/$1.log" 2>/dev/null || true ;;
	esac
}

end() { # end TEXT: it has happened
	doing=''
	line "$1"
}

summary() {
	printf '\n%s\n' "$(tail -n 1 -- "$state/apples.log")"
	tail -n 1 -- "$state/contacts.log"
	# What it says of itself when it has stopped.
	sed -n 's/.*"event":"stopped".*"done":\([0-9]*\),"rejected":\([0-9]*\),"dead":\([0-9]*\),.*/cashewd: \1 commands done, \2 rejected, \3 dead/p' \
		"$state/cashewd.log"
	if [[ -e $state/loggly/events ]]; then
		printf 'Loggly would have got %d events, all of them in %s, such as:\n' "$(wc -l <"$state/loggly/events")" \
			"$state/loggly/events"
		grep -m 1 '"event":"ready"' -- "$state/loggly/events" | sed 's/^/    /' || true
	fi
	printf 'all of it in %d seconds; the logs are in %s\n' "$SECONDS" "$state"
}

fail() { # fail TEXT [LOG]
	end "FAILED: $1" >&2
	if [[ -n ${2:-} && -s $2 ]]; then
		printf 'The end of %s:\n' "$2" >&2
		tail -n 15 -- "$2" | sed 's/^/    /' >&2
	fi
	if [[ $install == no ]]; then
		# Perhaps that is why; a program may also be there without Debian's package.
		local missing
		missing=$("$project/examples/packages/install" --list demo 2>/dev/null) || true
		[[ -z $missing ]] || printf 'Nothing was installed (--no-install), and these packages are missing: %s\n' "${missing//$'\n'/ }" >&2
	fi
	exit 1
}
