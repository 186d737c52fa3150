// SPDX-License-Identifier: MIT
// The file that is to be the shim, or the command: its beginning, behind eight bytes with its size.
#include "fuzz.h"
#include "shimfile.h"

#include <elf.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	uint64_t whole = input_number(&input, 8);
	size_t length = (size_t)(input.end - input.at);
	char *start = input_copy(input.at, length), path[MACHINE_START];
	const char *wrong = shimfile_check(start, length, whole, machine_ours);

	CHECK(!wrong || wrong[0]);
	if (!wrong)
		CHECK(length >= sizeof(Elf64_Ehdr) && memcmp(start, ELFMAG, SELFMAG) == 0 &&
		      memmem(start, length, SHIMFILE_OWNER, sizeof(SHIMFILE_OWNER)));
	(void)machine_parse(start, length);
	if (machine_interpreter(start, length, path))
		CHECK(path[0] && memmem(start, length, path, strlen(path)) && !path[strcspn(path, " \t\n")]);
	free(start);
	return 0;
}
