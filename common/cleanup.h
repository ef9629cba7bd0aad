/* Scope-bound release of resources: `cleanup_free char *text = ...;`. */
#ifndef GATEHOUSE_COMMON_CLEANUP_H
#define GATEHOUSE_COMMON_CLEANUP_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_fd_(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_file_(FILE **file)
{
    if (*file)
        fclose(*file);
}

static inline void cleanup_json_(json_t **json)
{
    json_decref(*json);
}

#define cleanup_free __attribute__((cleanup(cleanup_free_)))
#define cleanup_fd __attribute__((cleanup(cleanup_fd_)))
#define cleanup_file __attribute__((cleanup(cleanup_file_)))
#define cleanup_json __attribute__((cleanup(cleanup_json_)))

#endif
