# SPDX-License-Identifier: MIT
# What Perl programs do with processes, threads, signals and exits.
use strict;
use warnings;
use Config;
use IPC::Open3;
use POSIX ();
use Socket;

$| = 1;

sub show_process {
	for my $path (sort { $a cmp $b } glob('/proc/self/fd/*')) {
		my $target = readlink $path;
		print "descriptor $path $target\n" if defined $target;
	}
	open my $status, '<', '/proc/self/status' or die;
	print grep { /^(Sig|Shd|Umask|Threads|NoNew|Seccomp)/ } <$status>;
	open my $limits, '<', '/proc/self/limits' or die;
	print <$limits>;
	print "$_=$ENV{$_}\n" for sort grep { !/^EXCLUSIVELOCK_|^LD_PRELOAD$/ } keys %ENV;
	print POSIX::getcwd(), "\n";
}

sub use_threads {
	return unless $Config{useithreads};
	require threads;
	my @threads = map { my $n = $_; threads->create(sub { `echo $n` * 2 }) } 1 .. 4;
	print 'threads ', join(' ', map { $_->join } @threads), "\n";
}

sub use_fork {
	for my $status (0, 7, 255) {
		my $pid = fork // die;
		POSIX::_exit($status) unless $pid;
		waitpid $pid, 0;
		print "forked $?\n";
	}
	my $pid = fork // die;
	# Leaves by way of END, as the parent does.
	exit 9 unless $pid;
	waitpid $pid, 0;
	print "forked and left by exit $?\n";
	$pid = fork // die;
	exec $^X, '-e', 'exit 3' unless $pid;
	waitpid $pid, 0;
	print "forked and replaced $?\n";
	$pid = fork // die;
	kill 'KILL', $$ unless $pid;
	waitpid $pid, 0;
	print "forked and killed $?\n";
}

sub use_pipes {
	print "system ", system($^X, '-e', 'exit 4'), "\n";
	print "backticks ", `$ENV{STATE}`;
	open my $out, '|-', 'sort', '-r' or die;
	print $out "$_\n" for 1 .. 5;
	close $out;
	open my $in, '-|', 'sh', '-c', 'echo from below; exit 5' or die;
	print <$in>;
	close $in;
	print "pipe $?\n";
	my $pid = open3(my $to, my $from, undef, 'tr', 'a-z', 'A-Z');
	print $to "through both\n";
	close $to;
	print <$from>;
	waitpid $pid, 0;
	socketpair my $left, my $right, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die;
	unless (my $child = fork) {
		syswrite $left, "from the child\n";
		POSIX::_exit(0);
	}
	sysread $right, my $line, 100;
	wait;
	print $line;
}

sub use_signals {
	local $SIG{USR1} = sub { print "handled $_[0]\n" };
	kill 'USR1', $$;
	local $SIG{ALRM} = sub { die "alarm\n" };
	eval { alarm 1; select undef, undef, undef, 10; };
	print "alarm: $@";
}

END { print "END in ", ($$ == $main::parent ? 'parent' : 'child'), " with $?\n"; }

our $parent = $$;
show_process();
use_threads();
use_fork();
use_pipes();
use_signals();
print "gate ", `$ENV{GATE}/gate`;
exit 42;
