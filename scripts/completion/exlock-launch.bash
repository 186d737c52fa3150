# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# bash completion for exlock-launch(1): its options, then the command as if it stood alone.

# Where the command begins among the words before the cursor; 0: not yet.
_exlock_launch_command() {
	local i
	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		--) echo $((i + 1)) && return ;;
		--name | --dir | --timeout | --older-than | --exit-code | --scope | --cluster-prefix | --ttl | --cacert | --cert | --key | --cluster-user | --password-file | --at-least) i=$((i + 1)) ;;
		--*) ;;
		-*[ndtEs]) i=$((i + 1)) ;;
		-*) ;;
		*) echo "$i" && return ;;
		esac
	done
	echo 0
}

_exlock_launch() {
	local cur prev words cword command
	_init_completion -n = || return
	command=$(_exlock_launch_command)
	if ((command > 0 && command <= cword)); then
		_command_offset "$command"
		return
	fi
	case $prev in
	-d | --dir) _filedir -d ;;
	-s | --scope) mapfile -t COMPREPLY < <(compgen -W 'process tree' -- "$cur") ;;
	-n | --name)
		declare -F _exlockctl_names >/dev/null || __load_completion exlockctl
		_exlockctl_names
		;;
	--cacert | --cert | --key | --password-file) _filedir ;;
	-t | --timeout | --older-than | -E | --exit-code | --cluster-prefix | --ttl | --cluster-user | --at-least) ;;
	*)
		if [[ $cur == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W '--name --by-args --dir --user --wait --timeout --replace --older-than --flag --exit-code
				--quiet --verbose --scope --close --no-preload --print-lockfile --cluster --cluster-prefix --ttl --cacert --cert --key
				--cluster-user --password-file --at-least --even-on-failure --help --version' -- "$cur")
		else
			_command_offset "$cword"
		fi
		;;
	esac
}
complete -F _exlock_launch exlock-launch
