// SPDX-License-Identifier: MIT
// A lock of C++: returned, moved, and given back when nobody has it any more.
#include <cstdio>
#include <exclusivelock.hpp>
#include <utility>

static exclusive::lock begin()
{
	exclusivelock_options options{};

	options.size = sizeof(options);
	options.patience = 10;
	return exclusive::open("move", options);
}

int main()
{
	exclusive::lock lock = begin();

	if (!lock) {
		std::perror("move");
		return 1;
	}
	{
		exclusive::lock other = std::move(lock);
		std::printf("held: %d\n", exclusivelock_holder("move") != 0);
	}
	std::printf("held: %d\n", exclusivelock_holder("move") != 0);
	exclusive::forever(exclusive::try_lock("move"));
	std::printf("held: %d\n", exclusivelock_holder("move") != 0);
	return 0;
}
