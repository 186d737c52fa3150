// SPDX-License-Identifier: MIT
// C++ takes the same header. Waits for its turn, for ten seconds at most.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exclusivelock.h>

int main()
{
	exclusivelock *lock = exclusivelock_wait("queue", 10);

	if (!lock) {
		std::fprintf(stderr, "queue: %s (pid %ld)\n", std::strerror(errno), static_cast<long>(exclusivelock_holder("queue")));
		return 1;
	}
	std::puts("my turn");
	exclusivelock_release(lock);
	return 0;
}
