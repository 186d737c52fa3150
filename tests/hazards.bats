# SPDX-License-Identifier: MIT
# HAZARDS.md says for each known way to break which test tries it, and DECIDES.md for each user what it can bring about: the tests are
# there, and no line is without an answer.

load test_helper

setup() {
	LISTS=("$BATS_TEST_DIRNAME"/{HAZARDS,DECIDES}.md)
}

# Prints the tests that the lists name, `TOPIC: NAME`, a line each.
# shellcheck disable=SC2016 # backquotes as they stand there
named_tests() {
	grep -ohE '`[a-z/-]+: [^`]+`' "${LISTS[@]}" | tr -d '`'
}

@test "every test that the lists of hazards and of who decides name exists" {
	local named count=0 missing=0
	while read -r named; do
		count=$((count + 1))
		grep -qxF "@test \"${named#*: }\" {" "$BATS_TEST_DIRNAME/${named%%: *}.bats" && continue
		echo "no such test: $named"
		missing=$((missing + 1))
	done < <(named_tests)
	((count > 50 && missing == 0))
}

@test "every line of the lists has a test or the reason why it is a limit" {
	local unanswered
	unanswered=$(grep -h '^| ' "${LISTS[@]}" | grep -vF '| tested by |' | grep -vE '`[a-z/-]+: |limit: ' || :)
	echo "$unanswered"
	[[ $unanswered == "" ]]
}

# shellcheck disable=SC2016 # backquotes as they stand there
@test "every topic is in the index, and every topic in the index is there" {
	local topics index
	topics=$(cd "$BATS_TEST_DIRNAME" && printf '%s\n' *.bats wild/*.bats | sed 's/\.bats$//' | sort)
	index=$(sed -n '/^## Which topic/,$ s/.*|\([^|]*\)|$/\1/p' "$BATS_TEST_DIRNAME/README.md" | grep -o '`[^`]*`' | tr -d '`' | sort)
	diff <(echo "$topics") <(echo "$index")
}
