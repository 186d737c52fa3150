<?php
// SPDX-License-Identifier: MIT
// What PHP programs do with processes, signals and exits.

function show_process(): void
{
	$numbers = array_filter(scandir('/proc/self/fd'), 'is_numeric');
	sort($numbers);
	foreach ($numbers as $number) {
		$target = @readlink("/proc/self/fd/$number");
		if ($target !== false)
			echo "descriptor $number $target\n";
	}
	echo implode(preg_grep('/^(Sig|Shd|Umask|Threads|NoNew|Seccomp)/', file('/proc/self/status')));
	echo file_get_contents('/proc/self/limits');
	$environment = array_filter(getenv(), fn($name) => !preg_match('/^EXCLUSIVELOCK_|^LD_PRELOAD$/', $name), ARRAY_FILTER_USE_KEY);
	ksort($environment);
	print_r($environment);
	echo getcwd(), "\n";
}

function use_fork(): void
{
	if (!function_exists('pcntl_fork'))
		return;
	foreach ([0, 3, 255] as $status) {
		if (($pid = pcntl_fork()) === 0)
			exit($status);
		pcntl_waitpid($pid, $raw);
		echo 'forked ', pcntl_wexitstatus($raw), "\n";
	}
	if (($pid = pcntl_fork()) === 0)
		pcntl_exec(PHP_BINARY, ['-r', 'exit(4);']);
	pcntl_waitpid($pid, $raw);
	echo 'forked and replaced ', pcntl_wexitstatus($raw), "\n";
	if (($pid = pcntl_fork()) === 0)
		posix_kill(getmypid(), SIGKILL);
	pcntl_waitpid($pid, $raw);
	echo 'forked and killed ', pcntl_wtermsig($raw), "\n";
	pcntl_async_signals(true);
	pcntl_signal(SIGUSR1, function (int $number) { echo "handled $number\n"; });
	posix_kill(getmypid(), SIGUSR1);
}

function use_processes(): void
{
	$state = getenv('STATE');
	echo shell_exec($state);
	$process = proc_open([$state], [1 => ['pipe', 'w'], 2 => ['pipe', 'w']], $pipes, '/', ['A' => '1']);
	echo stream_get_contents($pipes[1]), stream_get_contents($pipes[2]), proc_close($process), "\n";
	exec(PHP_BINARY . ' -r "echo \"the same program\n\"; exit(5);"', $lines, $status);
	echo implode($lines), " $status\n";
	$pipe = popen('tr a-z A-Z', 'w');
	fwrite($pipe, "down a pipe\n");
	echo pclose($pipe), "\n";
}

class Destroyed
{
	public function __destruct()
	{
		echo "destructor\n";
	}
}

$kept = new Destroyed();
$parent = getmypid();
register_shutdown_function(function () use ($parent) {
	echo 'shutdown function in ', getmypid() === $parent ? 'parent' : 'child', "\n";
	system('exit 8', $status);
	echo "its child $status\n";
});
show_process();
use_fork();
use_processes();
echo 'gate ', shell_exec(getenv('GATE') . '/gate');
exit(42);
