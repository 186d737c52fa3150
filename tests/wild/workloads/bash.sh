# SPDX-License-Identifier: MIT
# What bash and zsh have beyond a POSIX shell.
cat <(echo one) <(seq 2 3)
echo "teed" | tee >(cat >teed) >/dev/null
while [[ ! -s teed ]]; do :; done
cat teed
if [[ -n $BASH_VERSION ]]; then
	coproc { read -r line; echo "coprocess: $line"; }
	echo "down" >&"${COPROC[1]}"
	read -r answer <&"${COPROC[0]}"
	echo "$answer"
	shopt -s lastpipe
	exec {descriptor}<<<'a here string'
	read -r line <&"$descriptor"
	echo "$line"
	exported() { echo "exported function"; }
	export -f exported
	bash -c exported
	echo "jobs $(jobs -p | wc -l)"
	trap 'echo "ERR $?"' ERR
	trap 'echo "DEBUG"' DEBUG
	(exit 4)
	trap - DEBUG ERR
	[[ $BASHPID == "$$" ]] && echo "BASHPID"
else
	coproc { read -r line; echo "coprocess: $line"; }
	print -p "down"
	read -rp answer
	echo "$answer"
	zmodload zsh/system
	[[ $sysparams[pid] == $$ ]] && echo "sysparams"
	zshexit() { echo "zshexit"; }
fi
seq 3 | { read -r first; echo "$first"; }
echo "statuses ${PIPESTATUS[*]:-${pipestatus[*]}}"
wait
trap 'echo "EXIT $?"' EXIT
"$GATE/gate"
exit 42
