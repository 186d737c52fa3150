// SPDX-License-Identifier: MIT
#include "fdinfo.h"
#include "keepers.h"
#include "process.h"
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define REST " 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 9 10"

static void stat_is_read_behind_the_last_parenthesis(void **state)
{
	static const char *const names[] = { "sleep", "a b", ") S 1 2 3 (", "x)\ny", "" };
	struct process_stat status;
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		strcpy(text, "42 (");
		strcat(text, names[i]);
		strcat(text, ") R 5" REST);
		assert_true(process_parse_stat(text, strlen(text), &status));
		assert_int_equal(status.pid, 42);
		assert_int_equal(status.parent, 5);
		assert_int_equal(status.state, 'R');
		assert_int_equal(status.threads, 1);
		assert_int_equal(status.start, 987654);
	}
}

static void a_cut_stat_is_refused(void **state)
{
	static const char text[] = "42 (x) R 5" REST;
	const char *behind_start = strstr(text, " 9 10");
	struct process_stat status;

	(void)state;
	for (size_t length = 0; text + length < behind_start - 6; length++)
		assert_false(process_parse_stat(text, length, &status));
	assert_true(process_parse_stat(text, (size_t)(behind_start - text), &status));
}

static void a_time_namespace_is_known_by_its_offset(void **state)
{
	static const struct {
		const char *text;
		bool valid;
		int64_t ticks;
	} cases[] = {
		{ "monotonic           0         0\nboottime            0         0\n", true, 0 },
		{ "monotonic           5         0\nboottime       100000  20000000\n", true, 10000002 },
		{ "boottime      -100000         0\n", true, -10000000 },
		{ "boottime           -1 990000000\n", true, -1 },
		{ "boottime            0         1\n", false, 0 },
		{ "boottime            0 1000000000\n", false, 0 },
		{ "boottime  2147483648 0\n", false, 0 },
		{ "boottime            0", false, 0 },
		{ "boottime  x 0\n", false, 0 },
		{ "boottime", false, 0 },
		{ "boottime  -", false, 0 },
		{ "monotonic           0         0\n", false, 0 },
		{ "", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t ticks = 0;

		assert_true(process_parse_offsets(cases[i].text, strlen(cases[i].text), &ticks) == cases[i].valid);
		assert_true(!cases[i].valid || ticks == cases[i].ticks);
	}
}

static void a_namespace_is_known_by_its_number(void **state)
{
	static const char *const others[] = { "", "pid:[", "pid:[]", "pid:[1", "pid:[1]]", "pid:[1x]", "mnt:[1]", "pid:[18446744073709551616]" };
	const char first[] = "pid:[4026531836]";
	uint64_t number = 0;

	(void)state;
	assert_true(process_parse_namespace(first, strlen(first), &number));
	assert_int_equal(number, 4026531836);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(process_parse_namespace(others[i], strlen(others[i]), &number));
	assert_false(process_parse_namespace(first, strlen(first) - 1, &number));
}

static void a_line_of_maps_is_compared_by_inode_and_device_or_path(void **state)
{
	static const char line[] = "7f00-7f01 ---s 00000000 08:01 1234                      /run/lock/a b.lock";
	const struct mapped_file same = { .device = makedev(8, 1), .inode = 1234, .path = "/elsewhere" };
	const struct mapped_file other_device = { .device = makedev(8, 2), .inode = 1234, .path = "/elsewhere" };
	const struct mapped_file by_path = { .device = makedev(8, 2), .inode = 1234, .path = "/run/lock/a b.lock" };
	const struct mapped_file other_inode = { .device = makedev(8, 1), .inode = 1235, .path = "/run/lock/a b.lock" };

	(void)state;
	assert_true(keepers_line_maps(line, strlen(line), &same));
	assert_true(keepers_line_maps(line, strlen(line), &by_path));
	assert_false(keepers_line_maps(line, strlen(line), &other_device));
	assert_false(keepers_line_maps(line, strlen(line), &other_inode));
	for (size_t length = 0; length < 30; length++)
		assert_false(keepers_line_maps(line, length, &same));
}

static void large_device_numbers_agree_with_makedev(void **state)
{
	static const char line[] = "1-2 ---s 0 103:1abcde 1 /x";
	const struct mapped_file file = { .device = makedev(0x103, 0x1abcde), .inode = 1, .path = "" };

	(void)state;
	assert_true(keepers_line_maps(line, strlen(line), &file));
}

static void a_flock_line_tells_owner_and_waiters(void **state)
{
	static const char taken[] = "3: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF";
	static const char waits[] = "3: -> FLOCK  ADVISORY  WRITE 1235 08:01:5678 0 EOF";
	static const char foreign[] = "3: FLOCK  ADVISORY  WRITE -1 08:01:5678 0 EOF";
	static const char posix[] = "3: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF";
	struct flock_line lock;

	(void)state;
	assert_true(keepers_parse_flock_line(taken, strlen(taken), &lock));
	assert_int_equal(lock.pid, 1234);
	assert_int_equal(lock.inode, 5678);
	assert_true(lock.device == makedev(8, 1));
	assert_false(lock.waits);
	assert_true(keepers_parse_flock_line(waits, strlen(waits), &lock));
	assert_int_equal(lock.pid, 1235);
	assert_true(lock.waits);
	assert_false(keepers_parse_flock_line(posix, strlen(posix), &lock));
	for (size_t length = 0; taken + length <= strstr(taken, "5678"); length++)
		assert_false(keepers_parse_flock_line(taken, length, &lock));
	(void)keepers_parse_flock_line(foreign, strlen(foreign), &lock);
}

static void a_descriptor_tells_its_flock_and_whether_exec_closes_it(void **state)
{
	static const char inherited[] = "pos:\t0\nflags:\t0100000\nmnt_id:\t28\nino:\t5678\nlock:\t1: POSIX  ADVISORY  WRITE 7 08:01:5678 0 9\n"
					"lock:\t2: FLOCK  ADVISORY  WRITE 0 08:01:5678 0 EOF\nlock:\t3: FLOCK  ADVISORY  READ  9 08:01:1 0 EOF\n";
	static const char closed[] = "flags:\t02100000\nlock:\t1: FLOCK  ADVISORY  READ  7 08:01:5678 0 EOF\n";
	const struct fdinfo info = fdinfo_parse(inherited, strlen(inherited)), other = fdinfo_parse(closed, strlen(closed));

	(void)state;
	assert_true(info.has_flock && !info.close_on_exec);
	assert_int_equal(info.flock.inode, 5678);
	assert_int_equal(info.flock.pid, 0);
	assert_true(other.has_flock && other.close_on_exec);
	for (size_t length = 0; length < strlen(closed); length++)
		assert_false(fdinfo_parse(closed, length).has_flock);
}

static void a_descriptor_is_known_by_its_file_s_name(void **state)
{
	static const char path[] = "/run/lock/x.lock", here[] = "/run/lock/x.lock", moved[] = "/chroot/x.lock", deleted[] = "/x.lock (deleted)",
			  other[] = "/run/lock/xx.lock", socket[] = "socket:[1]";

	(void)state;
	assert_true(fdinfo_has_name(here, strlen(here), path));
	assert_true(fdinfo_has_name(moved, strlen(moved), path));
	assert_true(fdinfo_has_name(deleted, strlen(deleted), path));
	assert_false(fdinfo_has_name(other, strlen(other), path));
	assert_false(fdinfo_has_name(socket, strlen(socket), path));
	assert_false(fdinfo_has_name(here, 0, path));
}

static void a_zombie_is_not_alive(void **state)
{
	pid_t child = fork();
	siginfo_t info;

	(void)state;
	if (child == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_false(process_alive(child, PROCESS_NO_STAMP));
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(process_alive(child, PROCESS_NO_STAMP));
	assert_true(process_alive(getpid(), process_stamp(process_self().start)));
}

static void *stay(void *nothing)
{
	pause();
	return nothing;
}

static void a_process_whose_leader_alone_has_ended_is_not_ending(void **state)
{
	struct process_stat status = { .state = '?' };
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, stay, NULL) == 0)
			pthread_exit(NULL);
		_exit(1);
	}
	while (status.state != 'Z') {
		assert_int_equal(process_read_stat(child, &status), 0);
		assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
	}
	assert_true(process_alive(child, PROCESS_NO_STAMP));
	assert_false(process_is_ending(child));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(process_is_ending(child));
}

static bool is_parent(pid_t pid, const void *parent)
{
	return pid == *(const pid_t *)parent;
}

static void ancestors_are_found(void **state)
{
	pid_t parent = getppid(), nobody = -1;

	(void)state;
	assert_int_equal(process_find_ancestor(is_parent, &parent), parent);
	assert_int_equal(process_find_ancestor(is_parent, &nobody), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_is_read_behind_the_last_parenthesis),
		cmocka_unit_test(a_cut_stat_is_refused),
		cmocka_unit_test(a_time_namespace_is_known_by_its_offset),
		cmocka_unit_test(a_namespace_is_known_by_its_number),
		cmocka_unit_test(a_line_of_maps_is_compared_by_inode_and_device_or_path),
		cmocka_unit_test(large_device_numbers_agree_with_makedev),
		cmocka_unit_test(a_flock_line_tells_owner_and_waiters),
		cmocka_unit_test(a_descriptor_tells_its_flock_and_whether_exec_closes_it),
		cmocka_unit_test(a_descriptor_is_known_by_its_file_s_name),
		cmocka_unit_test(a_zombie_is_not_alive),
		cmocka_unit_test(a_process_whose_leader_alone_has_ended_is_not_ending),
		cmocka_unit_test(ancestors_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
