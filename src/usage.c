// SPDX-License-Identifier: MIT
#include "usage.h"

const char usage_version[] = "exlock-launch " EXLOCK_VERSION "\n";

const char usage_text[] =
	"usage: exlock-launch [OPTION...] [--] COMMAND [ARG...]\n"
	"\n"
	"Runs COMMAND unless another one that holds its lock is running.\n"
	"\n"
	"  -n, --name NAME        the lock's name (default: COMMAND's path)\n"
	"  -a, --by-args          the name is COMMAND's path and its arguments\n"
	"  -d, --dir DIR          directory of the lock files (default: /var/lock)\n"
	"  -u, --user             lock files in a directory of your own\n"
	"  -w, --wait             wait until the lock is free\n"
	"  -t, --timeout SECONDS  wait that long at most, as in 0.5 or 5m\n"
	"  -r, --replace[=SECONDS]  end the job that holds the lock; kill it after SECONDS (10)\n"
	"      --older-than TIME  with --replace: only one that has run for TIME, as in 2h\n"
	"  -f, --flag             run anyway, and set EXCLUSIVELOCK_HELD=1\n"
	"  -E, --exit-code N      exit status of a refused start (default: 1)\n"
	"  -q, --quiet            a refused start prints nothing\n"
	"  -v, --verbose          say when the lock is taken and given back\n"
	"  -s, --scope SCOPE      process, or tree: held until every descendant has ended\n"
	"      --close            do not let COMMAND inherit the lock's descriptor\n"
	"  -P, --no-preload       start COMMAND without the preload\n"
	"  -p, --print-lockfile   print the path of the lock file and end\n"
	"      --cluster[=ENDPOINTS]  in a whole cluster, by etcd; see exlock-cluster(7)\n"
	"      --cluster-prefix, --ttl, --cacert, --cert, --key, --cluster-user, --password-file\n"
	"      --at-least SECONDS  keep the name in the cluster that long from the start\n"
	"      --even-on-failure   the same where COMMAND does not end with 0\n"
	"  -h, --help  this text  -V, --version  the version\n"
	"\n"
	"Exit status: COMMAND's; 1 refused, 123 lost in the cluster, 125 error (nothing was\n"
	"started), 126 cannot be run, 127 not found.\n";
