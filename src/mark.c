// SPDX-License-Identifier: MIT
#include "mark.h"

#include <string.h>

void mark_write(const struct mark *mark, char buffer[MARK_MAX])
{
	struct text text = text_in(buffer, MARK_MAX);

	text_number(&text, (uint64_t)mark->pid);
	text_add(&text, ".");
	text_number(&text, mark->start);
	text_add(&text, ".");
	text_number(&text, mark->inode);
	text_add(&text, ".");
	text_number(&text, (uint64_t)mark->session);
	if (mark->descriptor >= 0) {
		text_add(&text, ".");
		text_number(&text, (uint64_t)mark->descriptor);
	}
}

bool mark_parse(const char *text, struct mark *mark)
{
	uint64_t numbers[5] = { 0 };
	int count = 0;
	const char *end;

	if (!text)
		return false;
	end = text + strlen(text);
	do {
		if (count == 5 || !text_parse_number(&text, end, &numbers[count]))
			return false;
		count++;
	} while (*text == '.' && text++);
	if (text != end || count < 4 || numbers[0] > INT32_MAX || numbers[3] > INT32_MAX || numbers[4] > INT32_MAX)
		return false;
	*mark = (struct mark){
		.pid = (pid_t)numbers[0],
		.start = numbers[1],
		.inode = numbers[2],
		.session = (pid_t)numbers[3],
		.descriptor = count == 5 ? (int)numbers[4] : -1,
	};
	return true;
}
