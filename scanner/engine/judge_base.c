#include "scanner/engine/judge_private.h"

#include <sys/mman.h>
#include <sys/stat.h>

bool judge_base_open(int fd, const struct tree_limits *limits, struct judge_base *base,
                     struct error *error)
{
    struct stat status;
    *base = (struct judge_base){0};
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size <= 0)
        return error_set_errno(error, "filters", "the clean message cannot be read");
    base->map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base->map == MAP_FAILED) {
        base->map = NULL;
        return error_set_errno(error, "filters", "the clean message cannot be read");
    }
    base->length = (size_t)status.st_size;
    base->own_message = message_parse(base->map, base->length);
    base->own_tree = base->own_message ? tree_build(base->own_message, limits) : NULL;
    if (!base->own_tree)
        return error_set(error, ERROR_INTERNAL, "filters", "out of memory");
    base->message = base->own_message;
    base->tree = base->own_tree;
    view_build_nodes(base->tree, &base->view);
    return true;
}

void judge_base_close(struct judge_base *base)
{
    view_free(&base->view);
    tree_free(base->own_tree);
    message_free(base->own_message);
    if (base->map)
        munmap(base->map, base->length);
    *base = (struct judge_base){0};
}
