# SPDX-License-Identifier: MIT
# What scripts for any POSIX shell do: pipelines, background jobs, traps, subshells, redirections, replacing themselves.
echo "arguments $# $*"
for link in /proc/$$/fd/*; do
	[ ! -h "$link" ] || printf 'descriptor %s %s\n' "${link##*/}" "$(readlink "$link")"
done
# Read by the shell itself: while it starts a child its signals may be blocked.
while read -r line; do
	case $line in Sig* | Shd* | Umask* | Threads* | NoNew* | Seccomp*) echo "$line" ;; esac
done </proc/$$/status
ulimit -a
env | grep -vE '^(EXCLUSIVELOCK_|LD_PRELOAD=|_=)' | sort
pwd
"$STATE"
seq 1000 | grep 7 | sort -rn | head -n 3
(exit 3); echo "subshell $?"
false | true; echo "pipeline $?"
"$SHELL_UNDER_TEST" -c 'echo the same program; exit 4'; echo "own kind $?"
"$SHELL_UNDER_TEST" -c 'kill -KILL $$'; echo "killed $?"
(exec "$SHELL_UNDER_TEST" -c 'exit 5'); echo "replaced $?"
no-such-command; echo "not found $?"
{ sh -c 'exit 6'; } & wait $!; echo "background $?"
for number in 1 2 3 4; do (echo "$number" >"job.$number") & done
wait
cat job.?
trap 'echo "handled USR1"' USR1
kill -USR1 $$
trap '' PIPE
sh -c "$STATE /dev/stdout | grep 'signal 13 '"
trap - PIPE
exec 5>five
echo into five >&5
sh -c 'echo from a child >&5'
exec 5>&-
cat five
while read -r word; do echo "read $word"; done <<END
one
$(echo two)
END
mkfifo fifo
cat fifo &
echo through a fifo >fifo
wait
umask 077
: >private
trap 'echo "end with $?"; cat private; sh -c "exit 7"; echo "its child $?"; exit 42' EXIT
"$GATE/gate"
exit 9
