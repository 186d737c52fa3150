# SPDX-License-Identifier: MIT
# fish completion for exlockctl(1).

set -l commands list status path wait
complete -c exlockctl -f
complete -c exlockctl -n "not __fish_seen_subcommand_from $commands" -a list -d 'All lock files'
complete -c exlockctl -n "not __fish_seen_subcommand_from $commands" -a status -d 'One lock'
complete -c exlockctl -n "not __fish_seen_subcommand_from $commands" -a path -d 'Path of its lock file'
complete -c exlockctl -n "not __fish_seen_subcommand_from $commands" -a wait -d 'Wait until it is free'
complete -c exlockctl -n '__fish_seen_subcommand_from status path wait' -a '(exlockctl --names list 2>/dev/null)'
complete -c exlockctl -s d -l dir -x -a '(__fish_complete_directories)' -d 'Directory of the lock files'
complete -c exlockctl -s u -l user -d 'Lock files in a directory of your own'
complete -c exlockctl -s j -l json -d 'For programs, as JSON'
complete -c exlockctl -s 1 -l names -d 'list: the names alone'
complete -c exlockctl -s t -l timeout -x -d 'Wait that many seconds at most'
complete -c exlockctl -l cluster -d 'Locks of a whole cluster'
complete -c exlockctl -l cluster-prefix -x -d 'What is put before their names in etcd'
complete -c exlockctl -s h -l help -d 'Print a summary'
complete -c exlockctl -s V -l version -d 'Print the version'
