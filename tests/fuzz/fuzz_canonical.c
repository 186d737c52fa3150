// SPDX-License-Identifier: MIT
// Paths without symlinks, in a tree that is part of the input: the working directory, the path, then links and their targets.
// Whatever is no link is there, unless a part of its path begins with an exclamation mark.
#include "canonical.h"
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#define LINKS_MAX 40

static char **tree;

ssize_t __wrap_readlinkat(int folder, const char *path, char *target, size_t size);
char *__wrap_getcwd(char *path, size_t size);

static const char *link_at(const char *path)
{
	for (char **link = tree + 2; link[0] && link[1]; link += 2)
		if (strcmp(link[0], path) == 0 && link[1][0] != '\0')
			return link[1];
	return NULL;
}

ssize_t __wrap_readlinkat(int folder, const char *path, char *target, size_t size)
{
	const char *text = link_at(path);
	size_t length;

	CHECK(folder == AT_FDCWD && path[0] == '/' && strlen(path) < PATH_MAX);
	CHECK(!strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../"));
	if (strstr(path, "/!") || !text) {
		errno = strstr(path, "/!") ? ENOENT : EINVAL;
		return -1;
	}
	// No kernel has a longer one.
	length = strnlen(text, PATH_MAX - 1);
	length = length < size ? length : size;
	memcpy(target, text, length);
	return (ssize_t)length;
}

char *__wrap_getcwd(char *path, size_t size)
{
	if (strlen(tree[0]) >= size) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return strcpy(path, tree[0]);
}

// How a path resolves, in as much memory as it takes.
struct model {
	char *path, *rest;
	int links;
	int error;	// the first one
};

static void fail_if(struct model *model, bool condition, int error)
{
	if (condition && model->error == 0)
		model->error = error;
}

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

// The link at the end of the path: its target goes before the rest.
static void follow(struct model *model, const char *target)
{
	size_t length = strnlen(target, PATH_MAX - 1);
	char *rest = malloc(length + strlen(model->rest) + 2);

	CHECK(rest);
	memcpy(rest, target, length);
	strcpy(stpcpy(rest + length, "/"), model->rest);
	free(model->rest);
	model->rest = rest;
	cut_last(model->path);
	if (target[0] == '/')
		model->path[0] = '\0';
	fail_if(model, ++model->links > LINKS_MAX, ELOOP);
	fail_if(model, strlen(rest) >= PATH_MAX, ENAMETOOLONG);
}

static void step(struct model *model, const char *component)
{
	char *longer = realloc(model->path, strlen(model->path) + strlen(component) + 2);
	const char *target;

	CHECK(longer);
	model->path = longer;
	if (strcmp(component, "..") == 0) {
		cut_last(model->path);
		return;
	}
	strcat(strcat(model->path, "/"), component);
	fail_if(model, strlen(model->path) >= PATH_MAX, ENAMETOOLONG);
	target = strstr(model->path, "/!") ? NULL : link_at(model->path);
	if (target)
		follow(model, target);
	else
		fail_if(model, strstr(model->path, "/!") && model->rest[strspn(model->rest, "/")] != '\0', ENOENT);
}

static struct model resolve(const char *path)
{
	struct model model = { .path = strdup(path[0] == '/' ? "" : tree[0]), .rest = strdup(path) };

	CHECK(model.path && model.rest);
	fail_if(&model, strlen(path) >= PATH_MAX || strlen(model.path) >= PATH_MAX, ENAMETOOLONG);
	fail_if(&model, path[0] != '/' && tree[0][0] != '/', ENOENT);
	if (strcmp(model.path, "/") == 0)
		model.path[0] = '\0';
	while (model.error == 0) {
		size_t slashes = strspn(model.rest, "/"), length = strcspn(model.rest + slashes, "/");
		char *component = input_copy((const uint8_t *)model.rest + slashes, length);

		memmove(model.rest, model.rest + slashes + length, strlen(model.rest + slashes + length) + 1);
		if (length > 0 && strcmp(component, ".") != 0)
			step(&model, component);
		free(component);
		if (length == 0)
			break;
	}
	return model;
}

static void check(const char *path)
{
	char *resolved = malloc(PATH_MAX);
	struct model model = resolve(path);
	int result;

	CHECK(resolved);
	errno = 0;
	result = canonical_path(path, resolved);
	CHECK(result == (model.error ? -1 : 0) && (result == 0 || errno == model.error));
	if (result == 0)
		CHECK(strcmp(resolved, model.path[0] ? model.path : "/") == 0);
	free(model.path);
	free(model.rest);
	free(resolved);
}

// The working directory as the kernel tells it: absolute and without links, or out of reach.
static bool is_directory(const char *path)
{
	size_t length = strlen(path);

	return strcmp(path, "/") == 0 || path[0] == '(' ||
	       (path[0] == '/' && path[length - 1] != '/' && !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") &&
		strcmp(path + length - (length > 1 ? 2 : 1), "/.") != 0 && (length < 3 || strcmp(path + length - 3, "/..") != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);

	tree = input_strings(&input);
	if (tree[0] && tree[1] && is_directory(tree[0]))
		check(tree[1]);
	input_free(tree);
	return 0;
}
