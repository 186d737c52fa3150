# SPDX-License-Identifier: MIT
# Completion in bash, zsh and fish: options, commands, and the names of the locks that are there.

# shellcheck disable=SC2016 # $ is for the shell inside

load test_helper

setup() {
	clean_environment
	[[ -x $BUILD/exlockctl ]] || skip "exlockctl was not built: no jansson"
	export PATH=$BUILD:$PATH
	printf '1\n' >"$(lock_file nightly)"
	printf '1\n' >"$(lock_file 'two words')"
	COMPLETION=$SOURCE/scripts/completion
}

# Prints what bash offers for LINE, the cursor at its end.
in_bash() {
	[[ -r /usr/share/bash-completion/bash_completion ]] || skip "needs bash-completion"
	bash --norc -c '
		. /usr/share/bash-completion/bash_completion
		. "$1/exlockctl.bash"
		. "$1/exlock-launch.bash"
		COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9
		eval "COMP_WORDS=($2)"
		[[ $2 != *" " ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		$(complete -p "${COMP_WORDS[0]}" | sed "s/.*-F \([^ ]*\) .*/\1/")
		printf "%s\n" "${COMPREPLY[@]}"' bash "$COMPLETION" "$1"
}

in_fish() {
	HOME=$BATS_TEST_TMPDIR LC_ALL=C.UTF-8 COMPLETION=$COMPLETION fish --no-config -c "source \$COMPLETION/exlockctl.fish; source \$COMPLETION/exlock-launch.fish
		complete -C '$1'"
}

in_zsh() {
	/usr/bin/python3 "$BATS_TEST_DIRNAME/helpers/zsh_completes.py" "$COMPLETION" "$@"
}

@test "bash completes commands, options and the names of present locks" {
	[[ $(in_bash 'exlockctl ') == $'list\nstatus\npath\nwait' ]]
	[[ $(in_bash 'exlockctl st') == status ]]
	[[ $(in_bash 'exlockctl --j') == --json ]]
	[[ $(in_bash 'exlockctl status ') == $'nightly\ntwo\\ words' ]]
	[[ $(in_bash 'exlockctl wait two') == 'two\ words' ]]
	[[ $(EXCLUSIVELOCK_DIR='' in_bash "exlockctl -d $LOCKS status n") == nightly ]]
}

@test "bash completes the options of the launcher, its values, and then the command" {
	[[ $(in_bash 'exlock-launch --sc') == --scope ]]
	[[ $(in_bash 'exlock-launch -s ') == $'process\ntree' ]]
	[[ $(in_bash 'exlock-launch -n night') == nightly ]]
	run -0 in_bash 'exlock-launch -n x -w base'
	[[ $output == *basename* ]]
}

@test "fish completes commands, options and the names of present locks" {
	command -v fish >/dev/null || skip "needs fish"
	[[ $(in_fish 'exlockctl st') == status* ]]
	run -0 in_fish 'exlockctl status '
	[[ $output == *nightly*two* ]]
	[[ $(in_fish 'exlock-launch --by') == --by-args* ]]
	run -0 in_fish 'exlock-launch -s '
	[[ $output == *process*tree* ]]
}

@test "zsh completes commands, options and the names of present locks" {
	command -v zsh >/dev/null || skip "needs zsh"
	in_zsh 'exlockctl st' status
	in_zsh 'exlockctl status nigh' nightly
	in_zsh 'exlock-launch --by' by-args
}

@test "every option of the programs is completed by every shell, and no other" {
	local program shell options completed
	for program in exlock-launch exlockctl; do
		options=$("$BUILD/$program" --help | grep -E '^ +-' | grep -oE -- '--[a-z][a-z-]+' | sort -u)
		for shell in "$program.bash" "_$program" "$program.fish"; do
			# What is completed may come from a call of exlockctl, with options of its own.
			completed=$(grep -vE '^#|^set ' "$COMPLETION/$shell" | sed 's/exlockctl[^)]*--names list//g' |
				grep -oE -- '(--|-l )[a-z][a-z-]+' | sed 's/^-l /--/' | sort -u)
			diff <(echo "$options") <(echo "$completed") || { echo "in $shell" && return 1; }
		done
	done
}
