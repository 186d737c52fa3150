// SPDX-License-Identifier: MIT
// EXCLUSIVELOCK_INSTANCE, which anybody may have written: what is a mark is exactly what would be written for it.
#include "fuzz.h"
#include "mark.h"

static void write_as(const struct mark *mark, const char *expected)
{
	char *text = malloc(MARK_MAX);
	struct mark again;

	CHECK(text);
	mark_write(mark, text);
	CHECK(!expected || strcmp(text, expected) == 0);
	CHECK(mark_parse(text, &again));
	CHECK(again.pid == mark->pid && again.start == mark->start && again.session == mark->session && again.outers == mark->outers &&
	      again.lock.number == mark->lock.number && again.lock.device == mark->lock.device && again.lock.inode == mark->lock.inode);
	free(text);
}

static struct mark_descriptor descriptor_of(struct input *input)
{
	return (struct mark_descriptor){
		.number = (int)(input_number(input, 4) & INT32_MAX),
		.flags = (unsigned)input_number(input, 1) & MARK_FLAGS_MAX,
		.device = input_number(input, 8),
		.inode = input_number(input, 8),
	};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	char *text = input_string(&input);
	struct mark mark;

	if (mark_parse(text, &mark)) {
		CHECK(mark.pid > 0 && mark.session >= 0 && mark.lock.number >= -1 && mark.outers <= MARK_OUTER_MAX);
		write_as(&mark, text);
	}
	free(text);

	input = input_of(data, size);
	mark = (struct mark){ .pid = (pid_t)(input_number(&input, 4) & INT32_MAX) | 1, .start = input_number(&input, 8) };
	mark.session = (pid_t)(input_number(&input, 4) & INT32_MAX);
	mark.space = input_number(&input, 8);
	mark.lock = descriptor_of(&input);
	if (input_number(&input, 1) & 1)
		mark.lock.number = -1;
	for (int i = (int)(input_number(&input, 1) & 15); i > 0; i--) {
		struct mark_descriptor outer = descriptor_of(&input);

		(void)mark_add_outer(&mark, &outer);
	}
	write_as(&mark, NULL);
	return 0;
}
