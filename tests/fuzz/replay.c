// SPDX-License-Identifier: MIT
// replay FOLDER: calls the fuzz target it is linked with for every file there, where there is no libFuzzer to do so.
#include "fuzz.h"

#include <dirent.h>
#include <err.h>
#include <limits.h>

static void replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t size = 0, got, room = 0;
	uint8_t *data = NULL, *exact;

	if (!file)
		err(1, "%s", path);
	do {
		room += 65536;
		// cppcheck-suppress memleakOnRealloc ; the next line ends the process then
		data = realloc(data, room);
		CHECK(data);
		got = fread(data + size, 1, room - size, file);
		size += got;
	} while (got > 0);
	if (ferror(file))
		err(1, "%s", path);
	(void)fclose(file);
	exact = malloc(size + !size);
	CHECK(exact);
	memcpy(exact, data, size);
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	free(data);
}

int main(int argc, char **argv)
{
	const struct dirent *entry;
	int count = 0;
	DIR *folder;

	if (argc != 2)
		errx(1, "usage: replay FOLDER");
	folder = opendir(argv[1]);
	if (!folder)
		err(1, "%s", argv[1]);
	while ((entry = readdir(folder)) != NULL) {
		char path[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		fprintf(stderr, "%s\n", entry->d_name);
		replay(path);
		count++;
	}
	(void)closedir(folder);
	if (count == 0)
		errx(1, "%s: no files", argv[1]);
	return 0;
}
