# SPDX-License-Identifier: MIT

# shellcheck shell=bash source=tests/setup_suite.bash
source "${BASH_SOURCE[0]%/*}/../setup_suite.bash"
