// SPDX-License-Identifier: MIT
#include "swapattack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char content[] = "not to be touched";
static const char stale[] = "999999999\n";

static void write_file(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | flags, 0666);

	if (fd != -1 && write(fd, text, strlen(text)) == -1)
		exit(97);
	if (fd != -1)
		close(fd);
}

static void clear(const char *path)
{
	if (unlink(path) != 0)
		rmdir(path);
}

struct scene swapattack_scene(const char *lock, const char *lair, const char *secret)
{
	struct scene scene = { .lock = lock, .secret = secret };

	snprintf(scene.new, sizeof(scene.new), "%s/new", lair);
	snprintf(scene.link, sizeof(scene.link), "%s/link", lair);
	snprintf(scene.nowhere, sizeof(scene.nowhere), "%s/nowhere", lair);
	return scene;
}

void swapattack_prepare(const struct scene *scene, const char *start, uid_t attacker)
{
	umask(022);
	clear(scene->lock);
	clear(scene->new);
	clear(scene->link);
	clear(scene->secret);
	write_file(scene->secret, O_CREAT | O_EXCL, content);
	// By root, for the kernel may keep others from it.
	if (link(scene->secret, scene->link) != 0)
		exit(97);
	if (strcmp(start, "none") == 0)
		return;
	write_file(scene->lock, O_CREAT | O_EXCL, stale);
	if (strcmp(start, "mine") == 0 && chown(scene->lock, attacker, attacker) != 0)
		exit(97);
}

static void place(const struct scene *scene, const char *path)
{
	// A folder does not replace a file, nor the other way about.
	if (rename(path, scene->lock) != 0) {
		clear(scene->lock);
		(void)!rename(path, scene->lock);
	}
	clear(scene->new);
}

static void put_file(const struct scene *scene, const char *text)
{
	write_file(scene->new, O_CREAT | O_EXCL, text);
	place(scene, scene->new);
}

int swapattack_do(const struct scene *scene, const char *what)
{
	umask(0);
	if (strcmp(what, "hardlink") == 0)
		place(scene, scene->link);
	else if (strcmp(what, "remove") == 0)
		(void)!unlink(scene->lock);
	else if (strcmp(what, "chmod") == 0)
		(void)!chmod(scene->lock, 0);
	else if (strcmp(what, "truncate") == 0)
		(void)!truncate(scene->lock, 0);
	else if (strcmp(what, "write") == 0)
		write_file(scene->lock, O_TRUNC | O_NONBLOCK | O_NOFOLLOW, "1");
	else if (strcmp(what, "empty") == 0)
		put_file(scene, "");
	else if (strcmp(what, "stale") == 0)
		put_file(scene, stale);
	else if (strcmp(what, "pid") == 0)
		put_file(scene, "1");
	else if ((strcmp(what, "symlink") == 0 && symlink(scene->secret, scene->new) == 0) ||
		 (strcmp(what, "dangling") == 0 && symlink(scene->nowhere, scene->new) == 0) ||
		 (strcmp(what, "fifo") == 0 && mkfifo(scene->new, 0644) == 0) ||
		 (strcmp(what, "folder") == 0 && mkdir(scene->new, 0777) == 0))
		place(scene, scene->new);
	else
		return -1;
	return 0;
}

int swapattack_is_unharmed(const struct scene *scene)
{
	char text[sizeof(content) + 1] = "";
	int fd = open(scene->secret, O_RDONLY);
	struct stat status;
	int kept;

	kept = fd != -1 && fstat(fd, &status) == 0 && status.st_uid == 0 && (status.st_mode & 07777) == 0644 &&
	       read(fd, text, sizeof(text)) == sizeof(content) - 1 && strcmp(text, content) == 0;
	if (fd != -1)
		close(fd);
	return kept && access(scene->nowhere, F_OK) != 0;
}
