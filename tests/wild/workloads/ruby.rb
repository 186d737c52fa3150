# SPDX-License-Identifier: MIT
# What Ruby programs do with processes, threads, signals and exits.
require "open3"
$stdout.sync = true

def show_process
  Dir.children("/proc/self/fd").map(&:to_i).sort.each do |number|
    puts "descriptor #{number} #{File.readlink("/proc/self/fd/#{number}")}"
  rescue Errno::ENOENT
    nil
  end
  puts File.readlines("/proc/self/status").grep(/^(Sig|Shd|Umask|NoNew|Seccomp)/)
  puts File.read("/proc/self/limits")
  puts ENV.to_h.reject { |name, _| name.start_with?("EXCLUSIVELOCK_") || name == "LD_PRELOAD" }.sort.inspect
  puts Dir.pwd
end

def use_threads
  results = (1..6).map { |number| Thread.new { `echo #{number}`.to_i * 2 } }.map(&:value)
  puts "threads #{results}"
  Thread.new { sleep }
end

def use_fork
  [0, 3, 255].each do |status|
    Process.wait(fork { exit! status })
    puts "forked #{$?.exitstatus}"
  end
  Process.wait(fork { exit 4 })
  puts "forked and left by exit #{$?.exitstatus}"
  Process.wait(fork { exec RbConfig.ruby, "-e", "exit 5" })
  puts "forked and replaced #{$?.exitstatus}"
  Process.wait(fork { Process.kill(:KILL, $$) })
  puts "forked and killed #{$?.termsig}"
  reader, writer = IO.pipe
  pid = fork { writer.puts "from the child" }
  writer.close
  puts reader.read
  Process.wait(pid)
end

def use_spawn
  state = ENV.fetch("STATE")
  [{}, { close_others: true }, { pgroup: true }, { unsetenv_others: true }].each do |options|
    output, status = Open3.capture2e(state, **options)
    puts "spawn #{options} #{status.exitstatus}", output
  end
  Process.wait(Process.spawn(RbConfig.ruby, "-e", "puts 'the same program'; exit 6"))
  puts "spawned #{$?.exitstatus}"
  puts "system #{system('exit 7').inspect} #{$?.exitstatus}"
  puts IO.popen(%w[tr a-z A-Z], "r+") { |pipe| pipe.puts("through both"); pipe.close_write; pipe.read }
  Process.detach(Process.spawn("true")).join
end

def use_signals
  reader, writer = IO.pipe
  trap("USR1") { writer.puts "handled" }
  Process.kill(:USR1, $$)
  puts reader.gets
  trap("EXIT") { puts "trap EXIT in #{$$ == $parent ? 'parent' : 'child'}" }
end

$parent = $$
at_exit { puts "at_exit in #{$$ == $parent ? 'parent' : 'child'} #{system('exit 8').inspect}" }
show_process
use_threads
use_fork
use_spawn
use_signals
puts "gate #{`#{ENV.fetch('GATE')}/gate`}"
exit 42
