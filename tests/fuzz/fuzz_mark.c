// SPDX-License-Identifier: MIT
// EXCLUSIVELOCK_INSTANCE, which anybody may have written: "PID.START.DEVICE.INODE.SESSION[.DESCRIPTOR]".
#include "fuzz.h"
#include "mark.h"

#include <errno.h>

static const uint64_t largest[] = { INT32_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, INT32_MAX, INT32_MAX };

// The same by strtoull(3). Returns how many numbers there are, 0: it is no mark.
static int model(const char *text, uint64_t numbers[6])
{
	for (int count = 0; count < 6; text++) {
		size_t digits = strspn(text, "0123456789");

		errno = 0;
		numbers[count] = strtoull(text, NULL, 10);
		if (digits == 0 || (digits > 1 && *text == '0') || errno == ERANGE || numbers[count] > largest[count] || numbers[0] == 0)
			return 0;
		text += digits;
		count++;
		if (*text != '.')
			return *text == '\0' && count >= 5 ? count : 0;
	}
	return 0;
}

static bool same(const struct mark *a, const struct mark *b)
{
	return a->pid == b->pid && a->start == b->start && a->device == b->device && a->inode == b->inode &&
	       a->session == b->session && a->descriptor == b->descriptor;
}

static void read_back(const struct mark *mark)
{
	char *text = malloc(MARK_MAX);
	struct mark again;

	CHECK(text);
	mark_write(mark, text);
	CHECK(mark_parse(text, &again));
	CHECK(same(mark, &again));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	char *text = input_string(&input);
	uint64_t numbers[6] = { 0 };
	int count = model(text, numbers);
	struct mark mark;

	CHECK(mark_parse(text, &mark) == (count > 0));
	if (count > 0) {
		const struct mark expected = { (pid_t)numbers[0], numbers[1], numbers[2], numbers[3], (pid_t)numbers[4],
					       count == 6 ? (int)numbers[5] : -1 };

		CHECK(same(&mark, &expected));
		CHECK(mark.pid > 0 && mark.session >= 0 && mark.descriptor >= -1);
		read_back(&mark);
	}
	free(text);

	input = input_of(data, size);
	mark.pid = (pid_t)(input_number(&input, 4) & INT32_MAX) | 1;
	mark.start = input_number(&input, 8);
	mark.device = input_number(&input, 8);
	mark.inode = input_number(&input, 8);
	mark.session = (pid_t)(input_number(&input, 4) & INT32_MAX);
	mark.descriptor = (int)(input_number(&input, 4) & INT32_MAX) - 1;
	read_back(&mark);
	return 0;
}
