# SPDX-License-Identifier: MIT
# Typed at a prompt.
set -m
sh -c 'kill -STOP $$; exit 5'
jobs | grep -c .
fg >/dev/null
echo "back with $?"
# Not before it is waited for: busybox forgets a job that it has told of.
(until ps -o stat= -p $$ | grep -q ^S; do :; done; exit 6) &
wait $!
echo "job $?"
sh -c 'kill -TERM $$'; echo "ended $?"
# Its marks only: whether it runs or sleeps at this moment is chance.
[ -t 0 ] && ps -o stat= -p $$ | tr -d 'RSDNl<L'
test "$(ps -o tpgid= -p $$)" -gt 0 && echo "a terminal with a foreground group"
"$GATE/gate"
exit 42
