# SPDX-License-Identifier: MIT
load test_helper
setup() { clean_environment; }
teardown() { end_processes; }
