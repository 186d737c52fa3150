# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# bash completion for exlockctl(1): its options and commands, and the names of the locks that are there.

# The names of present locks that begin with $cur, quoted for the command line.
_exlockctl_names() {
	local name prefix options=() i
	printf -v prefix '%b' "${cur//\\/}"
	for ((i = 1; i < ${#words[@]}; i++)); do
		case ${words[i]} in
		-u | --user) options+=(--user) ;;
		-d | --dir) options+=(--dir "${words[i + 1]}") ;;
		esac
	done
	COMPREPLY=()
	while IFS= read -r name; do
		[[ $name != "$prefix"* ]] || COMPREPLY+=("$(printf '%q' "$name")")
	done < <(exlockctl "${options[@]}" --names list 2>/dev/null)
}

_exlockctl() {
	local cur prev words cword word
	_init_completion -n : || return
	case $prev in
	-d | --dir) _filedir -d && return ;;
	-t | --timeout | --cluster-prefix) return ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '--dir --user --json --names --timeout --cluster --cluster-prefix --help --version' -- "$cur")
		return
	fi
	for word in "${words[@]:1:cword-1}"; do
		case $word in
		status | path | wait)
			_exlockctl_names
			return
			;;
		list) return ;;
		esac
	done
	mapfile -t COMPREPLY < <(compgen -W 'list status path wait' -- "$cur")
}
complete -F _exlockctl exlockctl
