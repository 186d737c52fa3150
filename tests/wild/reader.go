// SPDX-License-Identifier: MIT

// reader [wait|STATUS]: prints its arguments and environment, works with goroutines and children, and ends with STATUS, or
// waits for the end of its input.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

func environment() {
	lines := os.Environ()
	sort.Strings(lines)
	for _, line := range lines {
		// What is our own, and what the shell counts.
		if !strings.HasPrefix(line, "EXCLUSIVELOCK_") && !strings.HasPrefix(line, "LD_PRELOAD=") {
			fmt.Println(line)
		}
	}
	pid, marked := os.LookupEnv("EXCLUSIVELOCK_PID")
	fmt.Fprintln(os.Stderr, "marked", marked, pid == strconv.Itoa(os.Getpid()))
}

func work() {
	var group sync.WaitGroup
	var mutex sync.Mutex
	sum := 0
	for i := 0; i < 100; i++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			mutex.Lock()
			defer mutex.Unlock()
			sum += number
		}(i)
	}
	group.Wait()
	output, err := exec.Command("/bin/sh", "-c", "echo child; exit 3").Output()
	fmt.Print(sum, " ", string(output), err, "\n")
}

func self() {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	output, err := exec.Command(path, "leaf").CombinedOutput()
	fmt.Print("self ", string(output), err, "\n")
}

func main() {
	if os.Args[1] == "leaf" {
		fmt.Println("leaf")
		return
	}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGUSR1)
	if os.Args[1] == "wait" {
		fmt.Println("ready", os.Getpid())
		io.Copy(io.Discard, os.Stdin)
		return
	}
	environment()
	work()
	self()
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-interrupts)
	status, _ := strconv.Atoi(os.Args[1])
	os.Exit(status)
}
