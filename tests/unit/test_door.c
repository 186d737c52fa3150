// SPDX-License-Identifier: MIT
// The door to the system, as libexclusivelock has it, with flopen(3) behind it.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/libutil.h>

// As many as there may be of processes that have gone while all are looked at.
static void look_at_missing(const char *path)
{
	struct stat status;

	for (int i = 0; i < 20; i++)
		assert_int_equal(fstatat(AT_FDCWD, path, &status, 0), -1);
}

static void test_lock_after_looks_at_what_is_gone(void **state)
{
	char path[] = "/tmp/exlock-door.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	look_at_missing("/proc/0");
	fd = flopen(path, O_RDWR | O_NONBLOCK);
	(void)unlink(path);
	assert_true(fd >= 0);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lock_after_looks_at_what_is_gone) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
