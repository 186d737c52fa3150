// SPDX-License-Identifier: MIT
// A line of /proc/PID/maps, with a path in it that anybody may have chosen.
#include "columns.h"
#include "keepers.h"

struct model_line {
	dev_t device;
	uint64_t inode;
	const char *path;
};

// The columns. False: they are not there. *STRANGE: a device that no kernel has.
static bool model(const char *line, struct model_line *model, bool *strange)
{
	const char *at = columns_behind_word(columns_behind_word(columns_behind_word(line)));

	if (!columns_device(&at, &model->device, strange))
		return false;
	at = columns_behind_word(at);
	model->path = columns_behind_word(at);
	return columns_number(at, &model->inode) && model->inode != 0;
}

static void check_line(const char *line, size_t length)
{
	struct model_line columns;
	struct mapped_file file = { .path = "" };
	bool strange = false, complete = model(line, &columns, &strange);

	if (strange)
		return;
	if (!complete) {
		CHECK(!keepers_line_maps(line, length, &file));
		return;
	}
	// By device and inode; by path and inode; never by the inode alone, nor by another.
	file = (struct mapped_file){ .device = columns.device, .inode = columns.inode, .path = line };
	CHECK(keepers_line_maps(line, length, &file));
	file.device++;
	CHECK(!keepers_line_maps(line, length, &file));
	file.path = columns.path;
	CHECK(keepers_line_maps(line, length, &file));
	file.inode++;
	CHECK(!keepers_line_maps(line, length, &file));
}

// As the kernel writes it, fs/proc/task_mmu.c: the path begins in column 74.
static void write_and_read(struct input *input)
{
	unsigned major = (unsigned)input_number(input, 2) & 0xfff, minor = (unsigned)input_number(input, 4) & 0xfffff;
	uint64_t inode = input_number(input, 8), address = input_number(input, 6);
	char *path = input_string(input), *line, columns[128];
	int length;

	path[strcspn(path, "\n")] = '\0';
	path[0] = path[0] ? '/' : '\0';
	snprintf(columns, sizeof(columns), "%08llx-%08llx ---s 00000000 %02x:%02x %llu ", (unsigned long long)address,
		 (unsigned long long)address + 4096, major, minor, (unsigned long long)inode);
	length = asprintf(&line, "%-73s%s", columns, path);
	CHECK(length > 0);
	if (inode != 0) {
		struct mapped_file file = { .device = makedev(major, minor), .inode = inode, .path = "" };

		CHECK(keepers_line_maps(line, (size_t)length, &file));
		file = (struct mapped_file){ .device = makedev(major, minor) + 1, .inode = inode, .path = path };
		CHECK(keepers_line_maps(line, (size_t)length, &file) || path[0] == '\0');
		file.inode--;
		CHECK(!keepers_line_maps(line, (size_t)length, &file));
	}
	free(line);
	free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	char *line = input_string(&input);

	check_line(line, strlen(line));
	free(line);
	// Zero bytes, and no end but the one that is given.
	(void)keepers_line_maps((const char *)data, size, &(struct mapped_file){ .device = 1, .inode = 1, .path = "/" });
	input = input_of(data, size);
	write_and_read(&input);
	return 0;
}
